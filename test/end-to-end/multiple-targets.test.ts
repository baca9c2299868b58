import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;
const tag = 't1';

/** eve → adam, eve → sophocles …, in sync, written to, all intent logs clear. */
async function mirrored(...targets: readonly string[]) {
  const cluster = await Cluster.start(['eve', ...targets], new Loopback());
  const modes = Object.fromEntries(targets.map((target) => [target, 'sync' as const]));
  await cluster.mirror(tag, { source: 'eve', targets: modes, byteSize });
  const workload = new Workload(byteSize);
  await workload.writeRange(await cluster.openDevice('eve', tag), 0, 99);
  await cluster.untilClean(tag);
  return { cluster, workload };
}

/** Writes all over the device until so many are acknowledged; they may still be marked in every intent log. */
async function writeAbout(cluster: Cluster, workload: Workload, node: string, count: number) {
  const before = workload.acknowledged;
  const writing = workload.run(await cluster.openDevice(node, tag));
  await cluster.eventually(`${count} writes are acknowledged`, async () =>
    expect(workload.acknowledged).toBeGreaterThan(before + count),
  );
  return writing;
}

/** The last resync to each target was partial and copied no more than the intent logs of the pair held. */
async function expectPartial(cluster: Cluster, source: string, allowed: Readonly<Record<string, number>>) {
  const status = await cluster.status(source, tag);
  for (const [target, bytesMax] of Object.entries(allowed)) {
    const { kind, bytes = Number.NaN } = mirrorTo(status, target)?.lastResync ?? {};
    expect({ target, kind }).toEqual({ target, kind: 'partial' });
    expect(bytes, target).toBeLessThanOrEqual(bytesMax);
  }
}

describe('multiple targets, as the seed tells them (FAULTS 29)', { timeout: 90_000 }, () => {
  it('planned: A→B and A→C become B→A and B→C, each by a partial resync of what the intent logs hold', async () => {
    const { cluster, workload } = await mirrored('adam', 'sophocles');
    const writing = await writeAbout(cluster, workload, 'eve', 200);
    await writing.end();
    const marked = {
      eve: await cluster.dirtyBytes('eve', 'adam', tag),
      sophocles: await cluster.dirtyBytes('eve', 'sophocles', tag),
    };
    expect(marked.sophocles).toBeGreaterThan(0);
    await cluster.order('eve', 'switchover', { tag, node: 'adam' });
    await cluster.untilInSync('adam', tag, 'adam', ['eve', 'sophocles']);
    await expectPartial(cluster, 'adam', marked);
    expect(workload.verify(await cluster.sameImages(tag))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('the source is killed in mid-write: B→C at once, B→A when A is back, both partial', async () => {
    const { cluster, workload } = await mirrored('adam', 'sophocles');
    const writing = await writeAbout(cluster, workload, 'eve', 200);
    await cluster.node('eve').killAll();
    await writing.ended;
    const sophocles = await cluster.dirtyBytes('adam', 'sophocles', tag);
    expect(sophocles).toBeGreaterThan(0);
    await cluster.untilInSync('adam', tag, 'adam', ['sophocles']);
    await expectPartial(cluster, 'adam', { sophocles });
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', tag))).toEqual([]);

    await workload.writeRange(await cluster.openDevice('adam', tag), 300, 399);
    const atAdam = await cluster.dirtyRegions('adam', tag, 'eve');
    await cluster.node('eve').start();
    await cluster.untilInSync('adam', tag, 'adam', ['eve', 'sophocles']);
    // What eve has marked for adam is what it wrote last: as much as all that was marked before.
    await expectPartial(cluster, 'adam', { eve: 65_536 * atAdam + sophocles });
    expect(workload.verify(await cluster.sameImages(tag))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('four nodes, one target already away before the source is killed, then cascading: every resync is partial', async () => {
    const { cluster, workload } = await mirrored('adam', 'sophocles', 'mia');
    await cluster.node('mia').killAll();
    await cluster.untilLost('eve', tag, 'mia');
    await workload.writeRange(await cluster.openDevice('eve', tag), 500, 599);
    const writing = await writeAbout(cluster, workload, 'eve', 20);
    await cluster.node('eve').killAll();
    await writing.ended;
    const sophocles = await cluster.dirtyBytes('adam', 'sophocles', tag);
    await cluster.untilInSync('adam', tag, 'adam', ['sophocles']);
    await expectPartial(cluster, 'adam', { sophocles });
    const mia = 65_536 * (await cluster.dirtyRegions('adam', tag, 'mia'));
    expect(mia).toBeGreaterThan(0);
    await cluster.node('mia').start();
    await cluster.untilInSync('adam', tag, 'adam', ['sophocles', 'mia']);
    // mia itself has marked what came last before it was killed: nothing, all was clear.
    await expectPartial(cluster, 'adam', { mia });

    await cluster.node('adam').killAll();
    await cluster.untilServing('sophocles', tag, 'sophocles');
    await workload.writeRange(await cluster.openDevice('sophocles', tag), 600, 699);
    await cluster.untilInSync('sophocles', tag, 'sophocles', ['mia']);
    await cluster.node('sophocles').killAll();
    await cluster.untilServing('mia', tag, 'mia');
    expect(await workload.verifyDevice(await cluster.deviceOf('mia', tag))).toEqual([]);
    await workload.writeRange(await cluster.openDevice('mia', tag), 700, 799);

    await Promise.all(['eve', 'adam', 'sophocles'].map((node) => cluster.node(node).start()));
    await cluster.untilInSync('mia', tag, 'mia', ['eve', 'adam', 'sophocles']);
    await expectPartial(cluster, 'mia', { eve: byteSize, adam: byteSize, sophocles: byteSize });
    expect(workload.verify(await cluster.sameImages(tag))).toEqual([]);
    await cluster.verifyJournals();
  });
});
