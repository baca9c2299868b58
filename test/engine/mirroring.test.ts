import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeName } from '../../domain/vocabulary.ts';
import { Lab, type NodeUnderTest } from './engine-under-test.ts';
import { runWorkload } from './workload.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const volumeBytes = 8 * MiB;

const caughtUp = (source: NodeUnderTest, target: NodeUnderTest) =>
  source.until('an empty queue', () => source.peer(target).queuedWrites === 0);

describe('a mirror over real sockets and files', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(() => lab.close());

  it('copies everything to a new target, then every write before it is acknowledged (sync)', async () => {
    const [source, target] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    expect(target.replica).toMatchObject({ inSync: true, consistent: true, resyncing: null });
    for (let round = 0; round < 50; round += 1) {
      await source.write((round * 37 * KiB) % (7 * MiB), Buffer.alloc(4 * KiB, round + 1));
      expect(target.image().equals(source.image())).toBe(true);
    }
    expect(target.replica.generation).toBe(source.replica.generation);
  });

  it('overlapping writes in flight end up identical on all replicas, whatever their modes', async () => {
    const [source, sync, memory, async] = await lab.mirror(
      { adam: 'sync', eve: 'sync', mia: 'memory-sync', sophocles: 'async' },
      { volumeBytes },
    );
    const shape = { count: 3000, depth: 32, volumeBytes: MiB, sectorsMax: 64 };
    await runWorkload(source.export, { seed: 7, ...shape });
    expect(sync.image().equals(source.image())).toBe(true);
    await caughtUp(source, memory);
    await caughtUp(source, async);
    expect(memory.image().equals(source.image())).toBe(true);
    expect(async.image().equals(source.image())).toBe(true);
  });

  it('a write larger than a link message arrives whole', async () => {
    const [source, target] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    const bytes = Buffer.alloc(3 * MiB + 512);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at);
    await source.write(512, bytes, true);
    expect(
      target
        .image()
        .subarray(512, 512 + bytes.length)
        .equals(bytes),
    ).toBe(true);
  });

  it('writes and copies of a pair with compression are smaller on the link, and the same on the disk (2.11)', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'sync' }, { volumeBytes });
    await adam.ordered({ order: 'settings', peer: 'eve', settings: { compress: 6 } });
    const sentTo = (target: NodeUnderTest) =>
      adam.engine.node?.peers.get(NodeName.parse(target.name))?.link.counters.bytesSent ?? 0;
    const before = [sentTo(eve), sentTo(mia)] as const;
    const shape = { count: 500, depth: 16, volumeBytes: 4 * MiB, sectorsMax: 64 };
    await runWorkload(adam.export, { seed: 5, ...shape });
    await adam.write(5 * MiB + 512, Buffer.alloc(2 * MiB, 'some words, '));
    expect(eve.image().equals(adam.image())).toBe(true);
    expect(sentTo(eve) - before[0]).toBeLessThan((sentTo(mia) - before[1]) / 4);
    adam.observations.length = 0;
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await adam.until('the full resync', () =>
      adam.observations.some(
        ({ type, ...rest }) => type === 'resync-completed' && 'kind' in rest && rest.kind === 'full',
      ),
    );
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('regions are cleared on both sides when both disks have them (I5)', async () => {
    const [source, target] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await source.write(0, Buffer.alloc(4 * KiB, 1));
    await source.write(MiB, Buffer.alloc(4 * KiB, 2));
    expect(source.peer(target).dirtyRegions).toBeGreaterThanOrEqual(2);
    await source.until('clean logs', () => source.peer(target).dirtyRegions === 0);
    await target.until('clean logs', () => target.peer(source).dirtyRegions === 0);
  });

  it('targets clear for each other when both have a write', async () => {
    const [source, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'sync' }, { volumeBytes });
    await source.write(0, Buffer.alloc(4 * KiB, 1));
    expect(eve.peer(mia).dirtyRegions).toBeGreaterThan(0);
    await eve.until('clean logs', () => eve.peer(mia).dirtyRegions === 0);
    await mia.until('clean logs', () => mia.peer(eve).dirtyRegions === 0);
  });

  it('a full resync runs beside overlapping application writes and ends equal (2.7)', async () => {
    const adam = lab.node('adam', { volumeBytes });
    const eve = lab.node('eve', { volumeBytes });
    await adam.open({ isFirst: true });
    await eve.open();
    await adam.ordered({ order: 'serve', epoch: 1 });
    await adam.ordered({ order: 'settings', settings: { resyncMin: 16 * MiB, resyncMax: 16 * MiB } });
    await adam.write(0, Buffer.alloc(volumeBytes, 7));
    await adam.connect(eve);
    await eve.connect(adam);
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.until('a resync', () => adam.peer(eve).status === 'resyncing');
    const startedMs = performance.now();
    const shape = { depth: 8, volumeBytes, sectorsMax: 32 };
    for (let seed = 1; adam.peer(eve).status !== 'fully-operational'; seed += 1) {
      await runWorkload(adam.export, { seed, count: 100, ...shape });
    }
    // 8 MiB at 16 MiB/s, less what may be ahead.
    expect(performance.now() - startedMs).toBeGreaterThan(200);
    expect(eve.image().equals(adam.image())).toBe(true);
    await runWorkload(adam.export, { seed: 99, count: 200, ...shape });
    expect(eve.image().equals(adam.image())).toBe(true);
  });
});
