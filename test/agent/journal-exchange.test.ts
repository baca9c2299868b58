import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JournalExchange } from '../../adapters/agent/journal-exchange.ts';
import { InProcessHub } from '../../adapters/bus/in-process-bus.ts';
import { ActorName, ClusterName } from '../../adapters/bus/subjects.ts';
import { parseSeen } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { drafts } from '../journal/drafts.ts';
import { MemoryJournal } from '../scenarios/memory-journal.ts';
import { SimulatedClock } from '../scenarios/simulated-clock.ts';

const names = ['adam', 'eve', 'sophocles'].map((name) => NodeName.parse(name));
const heartbeatMs = 1000;

/** What becomes of one message: its copies' delays in milliseconds; none is a loss. */
const fate = fc.oneof(
  { weight: 5, arbitrary: fc.constant([0]) },
  { weight: 2, arbitrary: fc.constant<number[]>([]) },
  { weight: 2, arbitrary: fc.tuple(fc.nat(3000)) },
  { weight: 1, arbitrary: fc.tuple(fc.nat(500), fc.nat(500)) },
);
const step = fc.oneof(
  fc.record({ do: fc.constant('append' as const), node: fc.nat(2), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.nat(2500) }),
  fc.record({ do: fc.constant('cut' as const), node: fc.nat(2) }),
  fc.record({ do: fc.constant('heal' as const) }),
);

/** Journals of three nodes that exchange over a bus which loses, delays, repeats and reorders. */
class Nodes {
  readonly clock = new SimulatedClock();
  readonly journals = new Map<NodeName, MemoryJournal>();
  fates: () => readonly number[] = () => [0];
  readonly #cut = new Set<string>();
  readonly #hub = new InProcessHub({
    clock: this.clock,
    route: ({ from, to }) => (this.#cut.has(from) || this.#cut.has(to) ? [] : this.fates()),
  });

  constructor() {
    for (const name of names) this.#start(name);
  }

  #start(name: NodeName): void {
    const journal = new MemoryJournal(name, () => this.clock.nowMs());
    this.journals.set(name, journal);
    const bus = this.#hub.connect(ClusterName.parse('lab'), ActorName.parse(name));
    const exchange = new JournalExchange({
      journal,
      bus,
      clock: this.clock,
      log: { info() {}, warn() {}, error() {} },
      others: () => names.filter((other) => other !== name),
      repaired: async () => {},
    });
    journal.onStored((events) => exchange.stored(events.filter(({ node }) => node === name)));
    bus.subscribeHeartbeats(({ node, heads }) =>
      exchange.announced(
        node,
        Object.entries(heads).map(([of, head]) => ({ node: of, ...head })),
      ),
    );
    exchange.start();
    const beat = () => {
      this.clock.after(heartbeatMs, beat);
      bus.publishHeartbeat({ heads: journal.heads(), heard: {} });
      exchange.tick();
    };
    beat();
  }

  async append(node: NodeName, count: number): Promise<void> {
    await this.journals.get(node)?.append(drafts(count));
  }

  cut(node: NodeName): void {
    this.#cut.add(node);
  }

  heal(): void {
    this.#cut.clear();
  }

  heads(): unknown[] {
    return names.map((name) => this.journals.get(name)?.heads());
  }

  /** Events that lie in a journal before something that their writer had seen. */
  async uncaused(): Promise<string[]> {
    const found: string[] = [];
    for (const journal of this.journals.values()) {
      const heads = journal.heads();
      for await (const batch of journal.replay())
        for (const event of batch)
          for (const seen of parseSeen(event.seen) ?? [])
            if ((heads[seen.node]?.sequence ?? 0) < seen.sequence) found.push(`${journal.node}: ${event.id}`);
    }
    return found;
  }
}

describe('journals over a bad bus (I10)', { timeout: 120_000 }, () => {
  it('hold nothing without its causes at any time, and all the same once the bus is well', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.infiniteStream(fate), async (steps, chance) => {
        const nodes = new Nodes();
        nodes.fates = () => chance.next().value ?? [0];
        for (const one of steps) {
          if (one.do === 'append') await nodes.append(names[one.node] as NodeName, one.count);
          if (one.do === 'pass') await nodes.clock.pass(one.ms);
          if (one.do === 'cut') nodes.cut(names[one.node] as NodeName);
          if (one.do === 'heal') nodes.heal();
          expect(await nodes.uncaused()).toEqual([]);
        }
        nodes.heal();
        nodes.fates = () => [0];
        await nodes.clock.pass(20_000);
        const [first, ...others] = nodes.heads();
        for (const other of others) expect(other).toEqual(first);
        const written = steps.reduce((sum, one) => sum + (one.do === 'append' ? one.count : 0), 0);
        const held = Object.values(first as Record<string, { sequence: number }>);
        expect(held.reduce((sum, { sequence }) => sum + sequence, 0)).toBe(written);
      }),
      { numRuns: 60 },
    );
  });
});
