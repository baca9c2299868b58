import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, History, toEvent } from '../../adapters/agent/history.ts';
import { HistoryKeeper } from '../../adapters/agent/history-keeper.ts';
import { WholeOrder } from '../../adapters/agent/whole-order.ts';
import { CausalOrder, causalFacts } from '../../domain/causality.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { emptyStanding, fold, type Standing } from '../../projections/views.ts';
import { draftOf } from '../../tools/bench-journal-events.ts';
import { MemoryJournal } from '../scenarios/memory-journal.ts';
import { SimulatedClock } from '../scenarios/simulated-clock.ts';

const journalOf = (name: string) => new MemoryJournal(NodeName.parse(name), () => 1000);

/**
 * Three nodes' events: `eve` writes of twenty resources, `adam` now and then of one, of which `eve` hears later;
 * `boris` is soon cut off and goes on alone for a long time.
 */
async function logs(count: number): Promise<EventEnvelope[]> {
  const [eve, adam, boris] = [journalOf('eve'), journalOf('adam'), journalOf('boris')];
  const events: EventEnvelope[] = [];
  for (let number = 0; number < count; number += 1) {
    const stored = await eve.append([draftOf(number)]);
    events.push(...stored);
    await adam.receive(stored);
    if (number === 30) await boris.receive(events);
    if (number === 350)
      for (const node of [eve, adam]) await node.receive(events.filter((event) => event.node !== node.node));
    if (number > 30 && number < 350 && number % 20 === 0)
      events.push(...(await boris.append([{ ...draftOf(number), command: `boris/${number}` }])));
    if (number % 7 !== 0) continue;
    const answered = await adam.append([{ ...draftOf(number), command: `adam/${number}` }]);
    events.push(...answered);
    if (number % 21 === 0) await eve.receive(events.filter(({ node }) => node === 'adam'));
  }
  return events;
}

const all = await logs(400);
const names = ['eve', 'adam', 'boris'] as const;
const of = (node: string) => all.filter((event) => event.node === node);

/** What every node folds these events to, sooner or later. */
function wholeOf(events: readonly EventEnvelope[]): { standing: Standing; ids: readonly string[] } {
  const order = new CausalOrder<EventEnvelope>(causalFacts);
  order.add(events);
  const standing = emptyStanding();
  fold(standing, order.events().map(toEvent));
  return { standing, ids: order.events().map(({ id }) => id) };
}

const whole = wholeOf(all);
const plain = (standing: Standing) => JSON.parse(JSON.stringify(standing));
const small = { min: 16, max: 32 };

/** An agent's history beside its journal, as it is after each of its starts. */
class Keeping {
  readonly journal = journalOf('sophocles');
  readonly clock = new SimulatedClock();
  readonly changes: Change[] = [];
  history = new History(undefined, small);
  keeper = this.#keeper();

  #keeper(): HistoryKeeper {
    const silent = () => undefined;
    return new HistoryKeeper(this.history, {
      journal: this.journal,
      clock: this.clock,
      log: { info: silent, warn: silent, error: silent },
      changed: (change) => this.changes.push(change),
    });
  }

  async start(): Promise<void> {
    this.journal.reopen();
    this.history = new History(undefined, small);
    this.keeper = this.#keeper();
    await this.keeper.load();
    this.journal.onStored((events) => this.keeper.stored(events));
  }

  async receive(events: readonly EventEnvelope[]): Promise<void> {
    await this.journal.receive(events);
    await this.keeper.settled;
    await this.clock.pass(300);
  }
}

describe('the history of a node', () => {
  it('folds to the same standing in whatever order and portions the logs arrive', () => {
    const portions = fc.array(
      fc.record({ from: fc.constantFrom(...names), size: fc.integer({ min: 1, max: 150 }) }),
      {
        minLength: 1,
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(portions, (steps) => {
        const history = new History();
        const queues = { eve: of('eve'), adam: of('adam'), boris: of('boris') };
        for (const { from, size } of steps) {
          const change = history.add(queues[from].splice(0, size));
          const { before, after, events } = change as Change;
          if (events.length === 0) expect(after).toBe(before);
          expect(history.events(history.length - events.length)).toEqual(events);
        }
        history.add([...queues.adam, ...queues.boris, ...queues.eve]);
        expect(history.length).toBe(all.length);
        expect(history.standing).toEqual(whole.standing);
      }),
      { numRuns: 40 },
    );
  });

  it('is the same replayed, live, and from a snapshot and what lies behind it, whenever it starts anew (I10)', async () => {
    const steps = fc.array(
      fc.record({
        from: fc.constantFrom(...names),
        size: fc.integer({ min: 1, max: 90 }),
        restarts: fc.boolean(),
      }),
      { minLength: 6, maxLength: 24 },
    );
    const take = (from: (typeof names)[number], restarts: boolean) => ({ from, size: 90, restarts });
    const cutOff = [take('adam', false), ...[1, 2, 3].map(() => take('eve', true)), take('boris', true)];
    let fromSnapshots = 0;
    let refolds = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (todo) => {
        const keeping = new Keeping();
        await keeping.start();
        const queues = { eve: of('eve'), adam: of('adam'), boris: of('boris') };
        for (const { from, size, restarts } of todo) {
          await keeping.receive(queues[from].splice(0, size));
          if (!restarts) continue;
          const live = plain(keeping.history.standing);
          await keeping.start();
          if (keeping.history.lastCut.base.length > 0) fromSnapshots += 1;
          expect(plain(keeping.history.standing)).toEqual(live);
        }
        await keeping.receive([...queues.adam, ...queues.boris, ...queues.eve]);
        refolds += keeping.changes.filter(({ isRefolded }) => isRefolded).length;
        expect(keeping.history.length).toBe(all.length);
        expect(plain(keeping.history.standing)).toEqual(plain(whole.standing));
        expect(keeping.history.events().length, 'events in memory').toBeLessThan(200);
      }),
      { numRuns: 40, examples: [[cutOff]] },
    );
    expect(Math.min(fromSnapshots, refolds), 'both were met').toBeGreaterThan(0);
  });

  it('keeps few snapshots, the older the fewer', async () => {
    const keeping = new Keeping();
    await keeping.start();
    for (const event of all) await keeping.journal.receive([event]);
    await keeping.clock.pass(300);
    for (let at = 0; at < 3; at += 1) {
      const more = await keeping.journal.append(Array.from({ length: 64 }, (_, i) => draftOf(i)));
      expect(more).toHaveLength(64);
      await keeping.clock.pass(300);
    }
    const names = await keeping.journal.snapshotNames();
    expect(names.length).toBeGreaterThan(1);
    expect(names.length).toBeLessThan(12);
  });

  it.each([
    ['another fold', (body: string) => body.replace(/"fold":"[0-9a-f]+"/, '"fold":"0"')],
    ['no snapshot at all', () => '{}'],
  ])('a snapshot of %s is thrown away, and everything folded from the journal', async (_, spoil) => {
    const keeping = new Keeping();
    await keeping.start();
    await keeping.receive(all);
    const { journal } = keeping;
    for (const name of await journal.snapshotNames()) {
      const { heads, body } = (await journal.getSnapshot(name)) ?? { heads: {}, body: '' };
      const wrong = body.replace('"percent":', '"percent":1');
      await journal.putSnapshot(name, { heads, body: spoil(wrong) });
    }
    await keeping.start();
    expect(plain(keeping.history.standing)).toEqual(plain(whole.standing));
  });

  it('a snapshot whose heads are not in the journal is of another past', async () => {
    const keeping = new Keeping();
    await keeping.start();
    await keeping.receive(all);
    const { journal } = keeping;
    const [name = ''] = await journal.snapshotNames();
    const snapshot = await journal.getSnapshot(name);
    if (!snapshot?.heads['eve']) throw new Error('no snapshot of it');
    const eve = { ...snapshot.heads['eve'], hash: 'f'.repeat(64) };
    const body = snapshot.body.replace(/"alive":true/g, '"alive":false');
    await journal.putSnapshot(name, { heads: { ...snapshot.heads, eve }, body });
    await keeping.start();
    expect(plain(keeping.history.standing)).toEqual(plain(whole.standing));
  });
});

describe('the whole order', () => {
  it('is read from the journal where memory does not hold all of it, and follows what happens', async () => {
    const keeping = new Keeping();
    await keeping.start();
    await keeping.receive(all);
    const { history, journal, clock } = keeping;
    const past = new WholeOrder(history, journal, clock);
    const ids = async () => (await past.order()).events().map(({ id }) => id);
    expect(history.order.base.length).toBeGreaterThan(0);
    expect(await ids()).toEqual(whole.ids);

    const [more] = await journal.append([draftOf(1)]);
    expect(await ids()).toEqual([...whole.ids, more?.id]);
    for (let at = 0; at < 4; at += 1) {
      await journal.append(Array.from({ length: 32 }, (_, i) => draftOf(i)));
      await clock.pass(300);
    }
    expect((await ids()).length).toBe(all.length + 129);
  });
});
