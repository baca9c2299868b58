import {
  comparePositions,
  EventEnvelope as EnvelopeSchema,
  type EventEnvelope,
  parseSeen,
} from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import type { Damage, EventRange, Journal, LogHead, SignedHead } from '../../journal/journal.ts';
import { type ReplicateOrder, Replication, replicateDefaults } from '../../journal/replicate.ts';
import type { AgentBus } from '../bus/bus.ts';
import type { JournalRecord } from '../bus/messages.ts';
import type { Clock } from '../engine/clock.ts';
import type { AgentLog } from './ports.ts';

export interface ExchangeOptions {
  readonly journal: Journal;
  readonly bus: AgentBus;
  readonly clock: Clock;
  readonly log: AgentLog;
  /** Nodes that may have what is missing here. */
  readonly others: () => readonly NodeName[];
  /** The journal is whole again; `damage` is what was wrong. */
  readonly repaired: (damage: readonly Damage[]) => Promise<void>;
}

const envelopes = (records: readonly unknown[]): EventEnvelope[] =>
  records.map((record) => EnvelopeSchema.safeParse(record)).flatMap(({ data }) => (data ? [data] : []));

/**
 * Carries the logs between this node's journal and the others: own events are published once they are durable,
 * others' are stored in the order of their log. What was published while nobody listened comes by request, from any
 * node that has it (DESIGN 2).
 *
 * An event is stored only when everything that its writer had seen is stored too. So what lies in the journal can
 * always be put in its causal order, and no event of this node ever waits for another's.
 */
export class JournalExchange {
  readonly #journal: Journal;
  readonly #bus: AgentBus;
  readonly #clock: Clock;
  readonly #log: AgentLog;
  readonly #replication: Replication;
  /** Of other nodes, in the order in which they are to be stored: what comes while a batch is stored is the next one. */
  #unstored: EventEnvelope[] = [];
  #storing = false;
  readonly #others: () => readonly NodeName[];
  readonly #repaired: (damage: readonly Damage[]) => Promise<void>;
  #repairing = false;
  #closed = false;

  constructor(options: ExchangeOptions) {
    const { journal, bus, clock, log } = options;
    this.#others = options.others;
    this.#repaired = options.repaired;
    this.#journal = journal;
    this.#bus = bus;
    this.#clock = clock;
    this.#log = log;
    this.#replication = new Replication({ own: journal.node, ...replicateDefaults }, journal.logs());
  }

  start(): void {
    this.#bus.subscribeJournal((record) => {
      const event = EnvelopeSchema.safeParse(record);
      if (event.success) this.#carryOut(this.#replication.received([event.data], this.#now()));
    });
    this.#bus.serveRanges(async ({ node, incarnation, from, to }) => {
      const events: EventEnvelope[] = [];
      for await (const batch of this.#journal.read({ node, incarnation, from, to })) events.push(...batch);
      return events as unknown as JournalRecord[];
    });
  }

  close(): void {
    this.#closed = true;
  }

  /** Own events that have just become durable. */
  stored(own: readonly EventEnvelope[]): void {
    if (own.length === 0) return;
    for (const { node, incarnation, sequence, hash } of own)
      this.#replication.appended({ node, incarnation, sequence, hash });
    this.#bus.publishEvents(own as unknown as JournalRecord[]);
  }

  /** What another node has of every log, of every incarnation. */
  announced(from: string, logs: readonly LogHead[]): void {
    this.#carryOut(this.#replication.announced(from, logs, this.#now()));
  }

  /** Another node's signed head: kept as evidence against whoever rewrites its past. */
  attested(head: SignedHead, keys: readonly string[]): void {
    this.#journal.attest(head, keys).catch((error: unknown) => {
      this.#log.error({ node: head.node, error: String(error) }, 'a signed head does not fit');
    });
  }

  tick(): void {
    this.#carryOut(this.#replication.tick(this.#now()));
    if (this.#journal.damage().length > 0) void this.#repair();
  }

  /** What is damaged here is fetched from whoever has it; events must fit the chain on both sides (FAULTS 19). */
  async #repair(): Promise<void> {
    if (this.#repairing) return;
    this.#repairing = true;
    const damage = this.#journal.damage();
    try {
      const remaining = await this.#journal.repair((range) => this.#fetch(range));
      if (remaining.length > 0) return;
      this.#replication.restart(this.#journal.logs());
      await this.#repaired(damage);
    } catch (error) {
      this.#log.error({ error: String(error) }, 'the journal could not be repaired yet');
    } finally {
      this.#repairing = false;
    }
  }

  async #fetch({ node, incarnation, from, to }: EventRange): Promise<readonly EventEnvelope[]> {
    for (const other of this.#others()) {
      const range = { node: NodeName.parse(node), incarnation, from, to };
      const answer = await this.#bus
        .requestRange(other, range, replicateDefaults.requestTimeoutMs)
        .catch(() => []);
      const events = envelopes(answer);
      if (events.length > 0) return events;
    }
    return [];
  }

  #now(): number {
    return this.#clock.nowMs();
  }

  #carryOut(orders: readonly ReplicateOrder[]): void {
    for (const order of orders) {
      switch (order.type) {
        case 'request':
          void this.#request(order);
          break;
        case 'store':
          this.#unstored.push(...order.events);
          void this.#storeAll();
          break;
        case 'own-behind':
          this.#journal.reportSeen(order.head);
          break;
        case 'conflict':
          this.#log.error({ ...order.conflict, from: order.from }, 'two different events have one identity');
          break;
        default:
          order satisfies never;
      }
    }
  }

  async #request({ id, to, range }: Extract<ReplicateOrder, { type: 'request' }>): Promise<void> {
    const { node, incarnation, from, to: last } = range;
    const answer = await this.#bus
      .requestRange(
        NodeName.parse(to),
        { node: NodeName.parse(node), incarnation, from, to: last },
        replicateDefaults.requestTimeoutMs,
      )
      .catch(() => []);
    if (this.#closed) return;
    this.#carryOut(this.#replication.answered(id, envelopes(answer), this.#now()));
  }

  async #storeAll(): Promise<void> {
    if (this.#storing) return;
    this.#storing = true;
    while (this.#unstored.length > 0 && !this.#closed) await this.#store(this.#unstored.splice(0));
    this.#storing = false;
  }

  async #store(events: readonly EventEnvelope[]): Promise<void> {
    try {
      const { ready, early } = this.#causal(events);
      const received = ready.length > 0 ? await this.#journal.receive(ready) : undefined;
      for (const { id, message } of received?.rejected ?? []) this.#log.error({ id }, message);
      if (early || (received && received.stored.length + received.duplicates < ready.length))
        this.#replication.restart(this.#journal.logs());
    } catch (error) {
      this.#log.error({ error: String(error) }, 'events of other nodes could not be stored');
      this.#replication.restart(this.#journal.logs());
    }
  }

  /** Of a batch the events whose causes are stored or come before them in it; the rest is asked for again. */
  #causal(events: readonly EventEnvelope[]): { ready: EventEnvelope[]; early: boolean } {
    const heads = new Map(
      Object.entries(this.#journal.heads()).map(([node, head]) => [
        node,
        head as { incarnation: number; sequence: number },
      ]),
    );
    const ready: EventEnvelope[] = [];
    let rest = [...events];
    for (let before = -1; before !== ready.length; ) {
      before = ready.length;
      const waiting: EventEnvelope[] = [];
      const held = new Set<string>();
      for (const event of rest) {
        const seen = (parseSeen(event.seen) ?? []).filter(({ node }) => node !== event.node);
        const isCaused = seen.every((head) => {
          const stored = heads.get(head.node);
          return stored !== undefined && comparePositions(stored, head) >= 0;
        });
        if (!isCaused || held.has(event.node)) {
          held.add(event.node);
          waiting.push(event);
          continue;
        }
        ready.push(event);
        heads.set(event.node, event);
      }
      rest = waiting;
    }
    return { ready, early: rest.length > 0 };
  }
}
