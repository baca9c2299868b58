import { describe, expect, it } from 'vitest';
import { Cluster, megabyte, mirrorTo } from './cluster.ts';
import { Namespaces } from './namespaces.ts';
import { readImage, Workload } from './workload.ts';

const byteSize = 16 * megabyte;

async function twoNodes() {
  const cluster = await Cluster.start(['eve', 'adam'], new Namespaces());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  return cluster;
}

/** Both serve, neither knows of the other. */
async function apart(cluster: Cluster<Namespaces>): Promise<void> {
  cluster.site.cut('eve');
  await cluster.untilServing('adam', 't1', 'adam');
  await cluster.untilLost('eve', 't1', 'adam');
  expect(await cluster.status('eve', 't1')).toMatchObject({ source: 'eve' });
}

describe('a partition', { timeout: 90_000 }, () => {
  it('of all paths: both serve and write, both see the split brain, no byte changes until a victim is named (FAULTS 10)', async () => {
    const cluster = await twoNodes();
    const common = new Workload(byteSize);
    await common.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    await cluster.untilClean('t1');
    await apart(cluster);
    const device = {
      eve: await cluster.openDevice('eve', 't1'),
      adam: await cluster.openDevice('adam', 't1'),
    };
    const survivor = common.fork();
    const victim = common.fork(1_000_000);
    await Promise.all([survivor.writeRange(device.eve, 50, 149), victim.writeRange(device.adam, 100, 199)]);

    const before = await Promise.all(cluster.nodes.map((node) => readImage(node.image('t1'))));
    cluster.site.heal('eve');
    for (const node of ['eve', 'adam'])
      await cluster.until(node, 't1', 'a split brain', ({ state }) => state === 'split-brain', 30_000);
    for (const node of ['eve', 'adam'])
      await cluster.eventually(`${node} has it in its history`, async () =>
        expect(await cluster.history(node, 't1')).toContain('split-brain.detected'),
      );
    expect(await cluster.refusalOf('eve', 'switchover', { tag: 't1', node: 'adam' })).toBe('split-brain');
    const after = await Promise.all(cluster.nodes.map((node) => readImage(node.image('t1'))));
    expect(after.map((image, index) => image.equals(before[index] ?? image.subarray(1)))).toEqual([
      true,
      true,
    ]);

    await cluster.orderAcceptingLoss('eve', 'resolve-split-brain', { tag: 't1', victim: 'adam' });
    const status = await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(mirrorTo(status, 'adam')?.lastResync).toMatchObject({ kind: 'partial' });
    expect(survivor.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('of all paths: if one wrote it goes on, if none did the better priority does; no split brain (FAULTS 11, 36)', async () => {
    const cluster = await twoNodes();
    await apart(cluster);
    cluster.site.heal('eve');
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);

    await apart(cluster);
    const workload = new Workload(byteSize);
    await workload.writeRange(await cluster.openDevice('adam', 't1'), 0, 99);
    cluster.site.heal('eve');
    await cluster.untilInSync('adam', 't1', 'adam', ['eve']);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);

    const history = await cluster.history('eve', 't1');
    expect(history.filter((type) => type === 'takeover.conflicted')).not.toEqual([]);
    expect(history).not.toContain('split-brain.detected');
    await cluster.verifyJournals();
  });

  it('of the bus alone changes no role and stops no write (FAULTS 24)', async () => {
    const cluster = await twoNodes();
    const workload = new Workload(byteSize);
    const running = workload.run(await cluster.openDevice('eve', 't1'), 2);
    cluster.site.cut('eve', ['bus']);
    cluster.site.cut('adam', ['bus']);
    const before = workload.acknowledged;
    await cluster.elapses(4 * cluster.lostMs);
    expect(workload.acknowledged).toBeGreaterThan(before);
    for (const node of ['eve', 'adam'])
      expect(await cluster.status(node, 't1')).toMatchObject({
        source: 'eve',
        epoch: 1,
        state: 'in-service',
      });
    await cluster.order('eve', 'pause', { tag: 't1', targets: ['adam'], reason: 'no bus' });
    await cluster.order('eve', 'resume', { tag: 't1', targets: ['adam'] });
    await running.end();

    cluster.site.heal('eve', ['bus']);
    cluster.site.heal('adam', ['bus']);
    await cluster.untilInSync('adam', 't1', 'eve', ['adam']);
    expect(await cluster.history('adam', 't1')).not.toContain('failover.started');
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('of the links alone: the target records over the bus that it is out of sync, the source goes on, nobody takes over from it (FAULTS 3)', async () => {
    const cluster = await twoNodes();
    const workload = new Workload(byteSize);
    const device = await cluster.openDevice('eve', 't1');
    cluster.site.cut('eve', ['link']);
    await workload.writeRange(device, 0, 99);
    const status = await cluster.until('adam', 't1', 'adam is out of sync', (shown) => {
      return mirrorTo(shown, 'adam')?.status === 'out-of-sync';
    });
    expect(mirrorTo(status, 'adam')).toMatchObject({ eligible: false, data: 'outdated' });
    expect(await cluster.refusalOf('adam', 'switchover', { tag: 't1', node: 'adam' })).toBe(
      'target-out-of-sync',
    );

    await cluster.node('eve').killAll();
    await cluster.untilLost('adam', 't1', 'eve');
    expect(await cluster.refusalOf('adam', 'failover', { tag: 't1', node: 'adam' })).toBe(
      'target-out-of-sync',
    );
    cluster.site.heal('eve', ['link']);
    await cluster.node('eve').start();
    await cluster.untilInSync('eve', 't1', 'eve', ['adam'], { epoch: 2 });
    expect(await cluster.history('adam', 't1')).not.toContain('failover.started');
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });
});
