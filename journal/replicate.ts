import type { EventEnvelope, Head } from '../domain/envelope.ts';
import type { Conflict, EventRange, LogHead } from './journal.ts';

/**
 * How the logs of all nodes reach all nodes (DESIGN 2). Pure: messages and ticks in, orders out; the agent
 * carries them between the bus, the other nodes and the journal.
 *
 * Everything that the network does is allowed: events may come in any order, twice, or not at all. Two things
 * make the logs converge all the same: heads are announced again and again, and whatever is missing between
 * what is stored and what was announced is requested from any node that has it. Bounded: one request per log
 * and `requestsMax` in all; of events that came too early `bufferedMax` are kept, the rest comes by request.
 */
export interface ReplicateOptions {
  readonly own: string;
  readonly eventsPerRequest: number;
  readonly requestsMax: number;
  readonly requestTimeoutMs: number;
  readonly bufferedMax: number;
}

export const replicateDefaults = {
  eventsPerRequest: 500,
  requestsMax: 8,
  requestTimeoutMs: 2000,
  bufferedMax: 2000,
} as const;

export type ReplicateOrder =
  /** Ask `to` for the range; its answer, however short, comes back by `answered`. */
  | { readonly type: 'request'; readonly id: number; readonly to: string; readonly range: EventRange }
  /** Each continues what is stored of its log. Where the journal stores less than that, `restart`. */
  | { readonly type: 'store'; readonly events: readonly EventEnvelope[] }
  /** Others have seen more of this node's own log than it has: the journal is damaged. */
  | { readonly type: 'own-behind'; readonly head: Head }
  /** Two different events with one identity: an alarm; nothing is overwritten. */
  | { readonly type: 'conflict'; readonly conflict: Conflict; readonly from: string };

interface Request {
  readonly id: number;
  readonly to: string;
  readonly range: EventRange;
  readonly deadline: number;
}

/** One incarnation of one node's log. */
interface LogState {
  readonly node: string;
  readonly incarnation: number;
  /** Stored, or ordered to be. */
  next: { sequence: number; hash: string };
  /** What each other node says it has of it. */
  readonly announced: Map<string, Head>;
  /** Nodes whose copy contradicts the stored one, by the hash at which it was found. */
  readonly contradicting: Map<string, string>;
  /** Events that came too early, by sequence. */
  readonly early: Map<number, EventEnvelope>;
  request: Request | undefined;
  /** The node asked last: the next request goes to another one where there is one. */
  askedLast: string;
}

export class Replication {
  readonly #options: ReplicateOptions;
  readonly #logs = new Map<string, LogState>();
  #bufferedCount = 0;
  /** Found to be in order, and not yet ordered to be stored. */
  readonly #ready: EventEnvelope[] = [];
  #ownIncarnation = 1;
  #nextId = 1;

  constructor(options: ReplicateOptions, logs: readonly LogHead[]) {
    this.#options = options;
    this.restart(logs);
  }

  /** The journal holds exactly this. What came too early may be just what comes next now: it is asked for again. */
  restart(logs: readonly LogHead[]): void {
    for (const log of this.#logs.values()) {
      log.next = { sequence: 0, hash: '' };
      log.early.clear();
    }
    this.#bufferedCount = 0;
    for (const head of logs) this.#standAt(head);
  }

  /** This node appended to its own log. */
  appended(head: LogHead): void {
    this.#standAt(head);
  }

  #standAt({ node, incarnation, sequence, hash }: LogHead): void {
    this.#log(node, incarnation).next = { sequence, hash };
    if (node === this.#options.own) this.#ownIncarnation = Math.max(this.#ownIncarnation, incarnation);
  }

  /** Another node says what it has of every log. */
  announced(from: string, logs: readonly LogHead[], nowMs: number): ReplicateOrder[] {
    const orders: ReplicateOrder[] = [];
    for (const head of logs) {
      const log = this.#log(head.node, head.incarnation);
      const before = log.announced.get(from);
      log.announced.set(from, head);
      if (before?.hash === head.hash) continue;
      if (head.sequence === log.next.sequence && head.hash !== log.next.hash)
        orders.push(this.#contradicts(log, from, head));
      else if (this.#isOwn(log) && head.sequence > log.next.sequence)
        orders.push({ type: 'own-behind', head });
    }
    return [...orders, ...this.#requests(nowMs)];
  }

  /** Events as they were published, by whomever. */
  received(events: readonly EventEnvelope[], nowMs: number): ReplicateOrder[] {
    for (const event of events) this.#keep(event);
    return [...this.#inOrder(), ...this.#requests(nowMs)];
  }

  /** The answer to a request; empty when that node does not have the range. */
  answered(id: number, events: readonly EventEnvelope[], nowMs: number): ReplicateOrder[] {
    const log = [...this.#logs.values()].find(({ request }) => request?.id === id);
    if (log?.request === undefined) return this.received(events, nowMs);
    const { to, range } = log.request;
    log.request = undefined;
    const first = events.find((event) => isIn(event, range) && event.sequence === log.next.sequence + 1);
    if (events.length === 0) log.announced.delete(to);
    if (first !== undefined && first.sequence > 1 && first.previous !== log.next.hash)
      return [this.#contradicts(log, to, log.announced.get(to) ?? first), ...this.#requests(nowMs)];
    return this.received(
      events.filter((event) => isIn(event, range)),
      nowMs,
    );
  }

  /** Requests that nobody answered are made again, of another node where there is one. */
  tick(nowMs: number): ReplicateOrder[] {
    for (const log of this.#logs.values())
      if (log.request !== undefined && log.request.deadline <= nowMs) log.request = undefined;
    return this.#requests(nowMs);
  }

  /** A node that is gone is not asked. */
  gone(node: string): void {
    for (const log of this.#logs.values()) {
      log.announced.delete(node);
      if (log.request?.to === node) log.request = undefined;
    }
  }

  /** True when nothing that was announced is missing here. */
  get isComplete(): boolean {
    return [...this.#logs.values()].every((log) => this.#isOwn(log) || this.#sources(log).length === 0);
  }

  /** The log that only this node appends to; of its earlier incarnations others may hold more than it does. */
  #isOwn({ node, incarnation }: LogState): boolean {
    return node === this.#options.own && incarnation >= this.#ownIncarnation;
  }

  #log(node: string, incarnation: number): LogState {
    const key = `${node}/${incarnation}`;
    let log = this.#logs.get(key);
    if (log === undefined) {
      log = {
        node,
        incarnation,
        next: { sequence: 0, hash: '' },
        announced: new Map(),
        contradicting: new Map(),
        early: new Map(),
        request: undefined,
        askedLast: '',
      };
      this.#logs.set(key, log);
    }
    return log;
  }

  #contradicts(log: LogState, from: string, head: Pick<Head, 'sequence' | 'hash'>): ReplicateOrder {
    log.contradicting.set(from, head.hash);
    const id = `${log.node}/${log.incarnation}/${log.next.sequence}`;
    return { type: 'conflict', from, conflict: { id, storedHash: log.next.hash, receivedHash: head.hash } };
  }

  #keep(event: EventEnvelope): void {
    const log = this.#log(event.node, event.incarnation);
    if (this.#isOwn(log)) return;
    const isWanted = event.sequence > log.next.sequence && !log.early.has(event.sequence);
    const isNext = event.sequence === log.next.sequence + 1;
    if (!isWanted || (!isNext && this.#bufferedCount >= this.#options.bufferedMax)) return;
    log.early.set(event.sequence, event);
    this.#bufferedCount += 1;
    this.#take(log);
  }

  /** Moves what continues the log from the early ones to the ready ones. */
  #take(log: LogState): void {
    for (;;) {
      const sequence = log.next.sequence + 1;
      const event = log.early.get(sequence);
      if (event === undefined) return;
      log.early.delete(sequence);
      this.#bufferedCount -= 1;
      if (sequence > 1 && event.previous !== log.next.hash) return;
      this.#ready.push(event);
      log.next = { sequence, hash: event.hash };
    }
  }

  #inOrder(): ReplicateOrder[] {
    const events = this.#ready.splice(0);
    return events.length === 0 ? [] : [{ type: 'store', events }];
  }

  /** Nodes that have more of the log than is stored here, and do not contradict it. */
  #sources(log: LogState): { node: string; sequence: number }[] {
    return [...log.announced]
      .filter(
        ([node, head]) => head.sequence > log.next.sequence && log.contradicting.get(node) !== head.hash,
      )
      .map(([node, { sequence }]) => ({ node, sequence }));
  }

  #requests(nowMs: number): ReplicateOrder[] {
    const { requestsMax, eventsPerRequest, requestTimeoutMs } = this.#options;
    const orders: ReplicateOrder[] = [];
    let underWay = [...this.#logs.values()].filter(({ request }) => request !== undefined).length;
    for (const log of this.#logs.values()) {
      if (underWay >= requestsMax) break;
      if (this.#isOwn(log) || log.request !== undefined) continue;
      const sources = this.#sources(log);
      const source = sources.find(({ node }) => node !== log.askedLast) ?? sources[0];
      if (source === undefined) continue;
      const from = log.next.sequence + 1;
      const nextEarly = Math.min(...log.early.keys());
      const to = Math.min(source.sequence, from + eventsPerRequest - 1, nextEarly - 1);
      const range = { node: log.node, incarnation: log.incarnation, from, to };
      log.request = { id: this.#nextId, to: source.node, range, deadline: nowMs + requestTimeoutMs };
      log.askedLast = source.node;
      orders.push({ type: 'request', id: this.#nextId, to: source.node, range });
      this.#nextId += 1;
      underWay += 1;
    }
    return orders;
  }
}

const isIn = (event: EventEnvelope, range: EventRange): boolean =>
  event.node === range.node &&
  event.incarnation === range.incarnation &&
  event.sequence >= range.from &&
  event.sequence <= range.to;
