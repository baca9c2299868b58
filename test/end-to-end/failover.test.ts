import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;

async function twoNodes() {
  const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  const workload = new Workload(byteSize);
  return { cluster, workload };
}

describe('the four failover scenarios of the admin guide', { timeout: 60_000 }, () => {
  it('1: the target takes over from a lost source, which is resynced partially when it returns (FAULTS 1)', async () => {
    const { cluster, workload } = await twoNodes();
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 199);
    await cluster.untilClean('t1');

    await cluster.node('eve').killAll();
    const degraded = await cluster.untilServing('adam', 't1', 'adam');
    expect(degraded).toMatchObject({ state: 'degraded', lastOwner: 'adam' });
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    await workload.writeRange(await cluster.openDevice('adam', 't1'), 100, 299);

    await cluster.node('eve').start();
    const status = await cluster.untilInSync('adam', 't1', 'adam', ['eve']);
    const resync = mirrorTo(status, 'eve')?.lastResync;
    expect(resync).toMatchObject({ kind: 'partial', result: 'completed' });
    // 300 blocks lie in 19 regions of 64 KiB.
    expect(resync?.bytes).toBeLessThanOrEqual(19 * 65_536);
    expect(status.nodes.find(({ node }) => node === 'eve')).toMatchObject({ role: 'target', flags: [] });
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('2: nobody takes over from a source lost during the resync; it goes on when that one is back (FAULTS 4, 5)', async () => {
    const { cluster, workload } = await twoNodes();
    await cluster.node('eve').killAll();
    await cluster.untilServing('adam', 't1', 'adam');
    await workload.writeRange(await cluster.openDevice('adam', 't1'), 0, 2047);
    await cluster.order('adam', 'settings', { tag: 't1', key: 'resync-max', value: 262_144 });
    await cluster.node('eve').start();
    await cluster.until(
      'adam',
      't1',
      'eve is being resynced',
      (status) => mirrorTo(status, 'eve')?.status === 'resyncing',
    );
    await cluster.until(
      'eve',
      't1',
      'eve is being resynced',
      (status) => mirrorTo(status, 'eve')?.status === 'resyncing',
    );

    await cluster.node('adam').killAll();
    await cluster.until('eve', 't1', 'adam is lost', ({ nodes }) =>
      nodes.some(({ node, alive }) => node === 'adam' && !alive),
    );
    expect(await cluster.refusalOf('eve', 'failover', { tag: 't1', node: 'eve' })).toBe('target-resyncing');
    expect((await cluster.status('eve', 't1')).source).not.toBe('eve');

    await cluster.node('adam').start();
    await cluster.untilServing('adam', 't1', 'adam', { epoch: 3 });
    await cluster.order('adam', 'settings', { tag: 't1', key: 'resync-max', value: 0 });
    await cluster.untilInSync('adam', 't1', 'adam', ['eve']);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('3: both down, the last owner first: it waits with the data-corrupt flag until it is forced online (FAULTS 6)', async () => {
    const { cluster, workload } = await twoNodes();
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    await Promise.all(cluster.nodes.map((node) => node.killAll()));

    await cluster.node('eve').start();
    const waiting = await cluster.until('eve', 't1', 'eve has the data-corrupt flag', ({ nodes }) =>
      nodes.some(({ node, flags }) => node === 'eve' && flags.includes('data-corrupt')),
    );
    expect(waiting).toMatchObject({ state: 'out-of-service', source: null, lastOwner: 'eve', device: [] });

    await cluster.orderAcceptingLoss('eve', 'force-online', { tag: 't1', node: 'eve' });
    const forced = await cluster.untilServing('eve', 't1', 'eve');
    expect(forced).toMatchObject({ state: 'degraded' });
    expect(forced.nodes.find(({ node }) => node === 'eve')?.flags).toEqual(['last-owner']);
    expect(await cluster.history('eve', 't1')).toContain('resource.forced-online');
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 50, 149);

    await cluster.node('adam').start();
    const status = await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(mirrorTo(status, 'adam')?.lastResync).toMatchObject({ kind: 'partial' });
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('4: both down, the target first: it never serves; the last owner does by itself when it is back (FAULTS 7)', async () => {
    const { cluster, workload } = await twoNodes();
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    await Promise.all(cluster.nodes.map((node) => node.killAll()));

    await cluster.node('adam').start();
    await cluster.until('adam', 't1', 'eve is lost', ({ nodes }) =>
      nodes.some(({ node, alive }) => node === 'eve' && !alive),
    );
    expect(mirrorTo(await cluster.status('adam', 't1'), 'adam')).toMatchObject({ eligible: false });
    expect(await cluster.refusalOf('adam', 'failover', { tag: 't1', node: 'adam' })).toBe(
      'target-out-of-sync',
    );
    expect((await cluster.status('adam', 't1')).source).not.toBe('adam');

    await cluster.node('eve').start();
    await cluster.untilInSync('eve', 't1', 'eve', ['adam'], { epoch: 2 });
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    expect(await cluster.history('adam', 't1')).not.toContain('failover.started');
    await cluster.verifyJournals();
  });
});
