import { openSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, type NodeUnderTest } from './engine-under-test.ts';
import { runWorkload } from './workload.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const region = 64 * KiB;
const volumeBytes = 8 * MiB + 20 * KiB;

const lastOf = (node: NodeUnderTest, type: string) =>
  node.observations.findLast((each) => each.type === type);
const clean = (source: NodeUnderTest, target: NodeUnderTest) =>
  source.until(
    'clean logs',
    () => source.peer(target).dirtyRegions === 0 && target.peer(source).dirtyRegions === 0,
  );

/** What a bad disk does: bytes change, and nobody is told. */
function damage(node: NodeUnderTest, offset: number): void {
  writeSync(openSync(node.volumePath, 'r+'), Buffer.from('rot'), 0, 3, offset);
}

async function verify(source: NodeUnderTest, target: NodeUnderTest) {
  source.observations.length = 0;
  await source.ordered({ order: 'verify', peer: target.name });
  await source.until('the end of the comparison', () => lastOf(source, 'verify-completed') !== undefined);
  return lastOf(source, 'verify-completed');
}

describe('verify, while in use (REQUIREMENTS 2.9)', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(() => lab.close());

  it.each(['sync', 'async'])('finds no difference in a %s copy that is being written to', async (mode) => {
    const [adam] = await lab.mirror({ adam: 'sync', eve: mode }, { volumeBytes });
    const shape = { depth: 16, volumeBytes: 8 * MiB, sectorsMax: 64 };
    adam.observations.length = 0;
    await adam.ordered({ order: 'verify', peer: 'eve' });
    for (let seed = 1; lastOf(adam, 'verify-completed') === undefined; seed += 1)
      await runWorkload(adam.export, { seed, count: 100, ...shape });
    expect(lastOf(adam, 'verify-completed')).toMatchObject({ differing: 0, ranges: [], bytes: volumeBytes });
  });

  it('finds each region that differs, marks it on both sides, and the next resync copies just these', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'sync' }, { volumeBytes });
    await adam.write(0, Buffer.alloc(2 * MiB, 5));
    await clean(adam, eve);
    for (const at of [3 * region + 100, 4 * region, 70 * region + 9, volumeBytes - 3]) damage(eve, at);
    expect(await verify(adam, eve)).toMatchObject({
      differing: 4,
      ranges: [
        { volume: 'v0', first: 3, last: 4 },
        { volume: 'v0', first: 70, last: 70 },
        { volume: 'v0', first: 128, last: 128 },
      ],
    });
    expect(adam.peer(eve)).toMatchObject({ status: 'fully-operational', dirtyRegions: 4 });
    expect(eve.peer(adam).dirtyRegions).toBe(4);
    expect(eve.peer(mia).dirtyRegions).toBe(4);
    expect(await verify(adam, mia)).toMatchObject({ differing: 0 });

    // A write into such a region, and the clearing behind it, say nothing about the rest of it.
    await adam.write(3 * region, Buffer.alloc(4 * KiB, 6));
    await adam.write(90 * region, Buffer.alloc(4 * KiB, 6));
    await adam.until('clean logs elsewhere', () => adam.peer(eve).dirtyRegions === 4);
    await adam.ordered({ order: 'pause', peer: 'eve', reason: 'repair' });
    await adam.ordered({ order: 'resume', peer: 'eve' });
    await adam.until('the resync', () => lastOf(adam, 'resync-completed') !== undefined);
    expect(lastOf(adam, 'resync-completed')).toMatchObject({ kind: 'partial', bytes: 3 * region + 20 * KiB });
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
    await clean(adam, eve);
    expect(await verify(adam, eve)).toMatchObject({ differing: 0 });
  });

  it('is refused where the target is not in sync, and interrupted when it goes away', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes, alone: true });
    await adam.ordered({ order: 'settings', settings: { resyncMax: MiB } });
    await adam.ordered({ order: 'verify', peer: 'eve' });
    await eve.crash();
    await adam.until('the end', () => lastOf(adam, 'verify-interrupted') !== undefined);
    expect(await adam.order({ order: 'verify', peer: 'eve' })).toMatchObject({
      ok: false,
      code: 'target-out-of-sync',
    });
  });
});

describe('a resync that compares first (REQUIREMENTS 2.7)', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab({ resyncChecksums: true });
  });
  afterEach(() => lab.close());

  it('a full resync copies only what differs, beside the writes', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await runWorkload(adam.export, { seed: 3, count: 400, depth: 16, volumeBytes: 8 * MiB, sectorsMax: 64 });
    for (const at of [0, 50 * region, volumeBytes - 3]) damage(eve, at);
    adam.observations.length = 0;
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await adam.until('the resync', () => lastOf(adam, 'resync-completed') !== undefined);
    expect(lastOf(adam, 'resync-completed')).toMatchObject({ kind: 'full', bytes: 2 * region + 20 * KiB });
    expect(eve.image().equals(adam.image())).toBe(true);
    await clean(adam, eve);

    adam.observations.length = 0;
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await adam.until('the next resync', () => adam.peer(eve).status !== 'fully-operational');
    for (let seed = 1; lastOf(adam, 'resync-completed') === undefined; seed += 1)
      await runWorkload(adam.export, { seed, count: 50, depth: 8, volumeBytes: 8 * MiB, sectorsMax: 64 });
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
  });
});
