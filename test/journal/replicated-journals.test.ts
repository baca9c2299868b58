import { cpSync, rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { EventRange, LogHead } from '../../journal/journal.ts';
import type { LevelJournal } from '../../journal/level-journal.ts';
import { type ReplicateOrder, Replication, replicateDefaults } from '../../journal/replicate.ts';
import { drafts } from './drafts.ts';
import { allEvents, codeOf, openJournal, temporaryDirectory } from './support.ts';

const names = ['adam', 'eve', 'sophocles'];

/** Real journals that replicate over function calls. */
class Cluster {
  readonly directories = new Map(names.map((name) => [name, temporaryDirectory()]));
  readonly journals = new Map<string, LevelJournal>();
  readonly replications = new Map<string, Replication>();

  async start(name: string): Promise<LevelJournal> {
    const journal = await openJournal(this.directory(name), name);
    this.journals.set(name, journal);
    this.replications.set(name, new Replication({ own: name, ...replicateDefaults }, journal.logs()));
    return journal;
  }

  async stop(name: string): Promise<void> {
    await this.journal(name).close();
    this.journals.delete(name);
    for (const replication of this.replications.values()) replication.gone(name);
  }

  directory = (name: string): string => this.directories.get(name) ?? '';

  journal(name: string): LevelJournal {
    const journal = this.journals.get(name);
    if (journal === undefined) throw new Error(`${name} is not there`);
    return journal;
  }

  async append(name: string, count: number): Promise<readonly EventEnvelope[]> {
    const events = await this.journal(name).append(drafts(count));
    for (const event of events) this.replications.get(name)?.appended(event);
    return events;
  }

  /** Everybody hears everybody's heads, until nobody asks for anything more. */
  async exchange(): Promise<void> {
    for (const from of this.journals.keys())
      for (const to of this.journals.keys())
        if (from !== to) await this.#announce(from, to, this.journal(from).logs());
  }

  async #announce(from: string, to: string, logs: readonly LogHead[]): Promise<void> {
    await this.#carryOut(to, this.replications.get(to)?.announced(from, logs, 0) ?? []);
  }

  async #carryOut(at: string, orders: readonly ReplicateOrder[]): Promise<void> {
    for (const order of orders) {
      if (order.type === 'store') await this.journal(at).receive(order.events);
      if (order.type === 'own-behind') this.journal(at).reportSeen(order.head);
      if (order.type === 'request') {
        const events = await this.read(order.to, order.range);
        await this.#carryOut(at, this.replications.get(at)?.answered(order.id, events, 0) ?? []);
      }
    }
  }

  async read(at: string, range: EventRange): Promise<EventEnvelope[]> {
    const events: EventEnvelope[] = [];
    for await (const batch of this.journal(at).read(range)) events.push(...batch);
    return events;
  }
}

async function threeNodes(): Promise<Cluster> {
  const cluster = new Cluster();
  for (const name of names) await cluster.start(name);
  for (const name of names) await cluster.append(name, 700);
  await cluster.exchange();
  return cluster;
}

describe('journals that replicate', () => {
  it('hold the same events on every node', async () => {
    const cluster = await threeNodes();
    const [first = [], ...others] = await Promise.all(names.map((name) => allEvents(cluster.journal(name))));
    expect(first).toHaveLength(2100);
    for (const other of others) expect(other).toEqual(first);
  });

  it('a node whose disk is an older copy acts on nothing until it has its own log back', async () => {
    const cluster = await threeNodes();
    await cluster.stop('eve');
    const older = temporaryDirectory();
    cpSync(cluster.directory('eve'), older, { recursive: true });
    await cluster.start('eve');
    const lost = await cluster.append('eve', 30);
    await cluster.exchange();
    await cluster.stop('eve');
    rmSync(cluster.directory('eve'), { recursive: true });
    cpSync(older, cluster.directory('eve'), { recursive: true });

    const eve = await cluster.start('eve');
    expect(eve.damage()).toEqual([]);
    await cluster.exchange();
    expect(eve.damage()).toMatchObject([{ code: 'torn-tail', node: 'eve', from: 701, to: 730 }]);
    expect(await codeOf(eve.append(drafts(1)))).toBe('torn-tail');
    expect(await eve.repair((range) => cluster.read('adam', range))).toEqual([]);
    expect(await cluster.read('eve', { node: 'eve', incarnation: 1, from: 701, to: 730 })).toEqual(lost);
    expect((await eve.append(drafts(1)))[0]).toMatchObject({ id: 'eve/1/731', previous: lost.at(-1)?.hash });
  });

  it('a node with a new disk gets everything back, its own log too', async () => {
    const cluster = await threeNodes();
    const before = await allEvents(cluster.journal('adam'));
    await cluster.stop('eve');
    rmSync(cluster.directory('eve'), { recursive: true });
    const eve = await cluster.start('eve');
    await cluster.exchange();
    expect(eve.damage()).toMatchObject([{ code: 'log-missing', node: 'eve', from: 1, to: 700 }]);
    expect(await eve.repair((range) => cluster.read('sophocles', range))).toEqual([]);
    expect(await allEvents(eve)).toEqual(before);
  });

  it('what an operator gave up comes back to the earlier incarnation, and everybody holds both', async () => {
    const cluster = await threeNodes();
    await cluster.stop('eve');
    const older = temporaryDirectory();
    cpSync(cluster.directory('eve'), older, { recursive: true });
    await cluster.start('eve');
    await cluster.append('eve', 30);
    await cluster.exchange();
    await cluster.stop('eve');
    rmSync(cluster.directory('eve'), { recursive: true });
    cpSync(older, cluster.directory('eve'), { recursive: true });

    const eve = await cluster.start('eve');
    await eve.startIncarnation();
    const [first] = await cluster.append('eve', 5);
    expect(first).toMatchObject({ id: 'eve/2/1', seen: expect.stringContaining('eve/1/700/') });
    for (let round = 0; round < 3; round += 1) await cluster.exchange();
    expect(eve.damage()).toEqual([]);
    const all = await allEvents(eve);
    expect(all).toHaveLength(2100 + 30 + 5);
    for (const name of ['adam', 'sophocles']) expect(await allEvents(cluster.journal(name))).toEqual(all);
  });
});
