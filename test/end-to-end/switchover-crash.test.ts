import { type FSWatcher, watch } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { Cluster, Loopback, megabyte } from './cluster.ts';
import { killAll } from './processes.ts';
import { Workload } from './workload.ts';

const byteSize = 8 * megabyte;
const tag = 't1';
const names = ['eve', 'adam', 'sophocles'] as const;

/** A file of a replica is written: the folder of its metadata and intent logs. */
function written(cluster: Cluster, node: string, isMeant: (file: string) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const watcher: FSWatcher = watch(`${cluster.node(node).image(tag)}.mk`, (_, file) => {
      if (file === null || !isMeant(file)) return;
      watcher.close();
      resolve();
    });
    onTestFinished(() => watcher.close());
  });
}

/** An event of that type is journaled that was not there before. */
async function journaled(cluster: Cluster, node: string, type: string): Promise<void> {
  const count = async () => (await cluster.history(node, tag)).filter((each) => each === type).length;
  const before = await count();
  await cluster.eventually(type, async () => expect(await count()).toBeGreaterThan(before));
}

const isMetadata = (file: string) => file === 'metadata';
const isBitmap = (file: string) => file.endsWith('.bitmap');

interface Move {
  readonly cluster: Cluster;
  readonly from: string;
  readonly to: string;
}

/** What the outside sees of each step of rule 6, in its order; the source node is killed at that moment. */
const steps: Readonly<Record<string, (move: Move) => Promise<void>>> = {
  '1 started': ({ cluster, to }) => journaled(cluster, to, 'switchover.started'),
  '2 drained: its intent logs are cleared': ({ cluster, from }) => written(cluster, from, isBitmap),
  '3 its logs are durable on the new source': ({ cluster, to }) => written(cluster, to, isMetadata),
  '4 its metadata says "handed over"': async ({ cluster, from, to }) => {
    await written(cluster, to, isMetadata);
    await written(cluster, from, isMetadata);
  },
  '4 it has left': ({ cluster, to }) => journaled(cluster, to, 'resource.left-service'),
  '5 the new one enters service': ({ cluster, to }) => journaled(cluster, to, 'resource.entered-service'),
  '6 it serves': ({ cluster, to }) => journaled(cluster, to, 'switchover.completed'),
  '7 mirrors re-form': ({ cluster, to }) => journaled(cluster, to, 'resync.completed'),
};
/** All of them in the soak; here those before, at and after the point of no return. */
const isSoak = process.env['MIRRORKEEPER_ROUNDS'] !== undefined;
const chosen = Object.entries(steps).filter(([step]) => isSoak || /^(2|4 its|5)/.test(step));

it(`kill -9 of the source node after each step of a switchover: one source, every acknowledged write, a way forward (FAULTS 29)`, {
  timeout: 60_000 * chosen.length,
}, async () => {
  const cluster = await Cluster.start(names, new Loopback());
  await cluster.mirror(tag, { source: 'eve', targets: { adam: 'sync', sophocles: 'sync' }, byteSize });
  const workload = new Workload(byteSize);
  let from = 'eve';
  for (const [step, reached] of chosen) {
    const { epoch } = await cluster.status(from, tag);
    const to = from === 'adam' ? 'sophocles' : 'adam';
    const writing = workload.run(await cluster.openDevice(from, tag));
    const enough = workload.acknowledged + 100;
    await cluster.eventually('writes run', async () => expect(workload.acknowledged).toBeGreaterThan(enough));
    const victim = cluster.node(from);
    const pids = [...victim.enginePids, victim.agentPid];
    const seen = reached({ cluster, from, to });
    const ordered = cluster.ask(to, 'switchover', { tag, node: to }, 5000).catch(() => undefined);
    await seen;
    await killAll(pids);
    await writing.ended;
    await ordered;

    const alive = names.find((name) => name !== from) ?? '';
    const source = await cluster.eventually(`somebody serves after step ${step}`, async () => {
      const status = await cluster.status(alive, tag);
      expect(status.epoch).toBeGreaterThan(epoch);
      expect(status.source).not.toBeNull();
      expect(status.source).not.toBe(from);
      return status.source ?? '';
    });
    await cluster.untilServing(source, tag, source);
    expect(await workload.verifyDevice(await cluster.deviceOf(source, tag)), step).toEqual([]);
    await victim.start();
    const others = names.filter((name) => name !== source);
    const status = await cluster.untilInSync(source, tag, source, others);
    expect(status.sources, step).toEqual([source]);
    from = source;
  }
  expect(workload.verify(await cluster.sameImages(tag))).toEqual([]);
  await cluster.verifyJournals();
});
