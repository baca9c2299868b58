import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { NbdClient } from './nbd-client.ts';
import { readImage, Workload } from './workload.ts';

const byteSize = 16 * megabyte;
const region = 65_536;

describe('a mirror under an operator', { timeout: 60_000 }, () => {
  it('a paused target gets what was written meanwhile when it is resumed, and only that (FAULTS 3)', async () => {
    const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
    await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
    const workload = new Workload(byteSize);
    const device = await cluster.openDevice('eve', 't1');
    await workload.writeRange(device, 0, 63);
    await cluster.untilClean('t1');

    await cluster.order('eve', 'pause', { tag: 't1', targets: ['adam'], reason: 'backup' });
    expect(await cluster.refusalOf('eve', 'pause', { tag: 't1', targets: ['adam'] })).toBe('already-paused');
    expect(await cluster.refusalOf('eve', 'switchover', { tag: 't1', node: 'adam' })).toBe('target-paused');
    const before = await readImage(cluster.node('adam').image('t1'));
    await workload.writeRange(device, 32, 95);
    expect((await readImage(cluster.node('adam').image('t1'))).equals(before)).toBe(true);

    await cluster.order('eve', 'resume', { tag: 't1', targets: ['adam'] });
    const status = await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(mirrorTo(status, 'adam')?.lastResync).toMatchObject({ kind: 'partial', bytes: 4 * region });
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('a switchover and the way back copy only what was written in between; clients of an earlier reign are refused (FAULTS 34)', async () => {
    const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
    await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
    const workload = new Workload(byteSize);
    const firstReign = await cluster.deviceOf('eve', 't1');
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 255);
    await cluster.untilClean('t1');

    await cluster.order('eve', 'switchover', { tag: 't1', node: 'adam' });
    const there = await cluster.untilInSync('adam', 't1', 'adam', ['eve']);
    expect(mirrorTo(there, 'eve')?.lastResync?.bytes ?? 0).toBe(0);
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    await workload.writeRange(await cluster.openDevice('adam', 't1'), 128, 383);

    await cluster.order('adam', 'switchover', { tag: 't1', node: 'eve' });
    const back = await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(back.epoch).toBe(3);
    expect(mirrorTo(back, 'adam')?.lastResync?.kind ?? 'partial').toBe('partial');
    expect(mirrorTo(back, 'adam')?.lastResync?.bytes ?? 0).toBeLessThanOrEqual(16 * region);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    expect(await cluster.history('eve', 't1')).not.toContain('failover.started');

    await expect(NbdClient.connect(firstReign)).rejects.toThrow(/there is no export "data@1"/);
    await cluster.verifyJournals();
  });

  it('with two targets a switchover goes on with both, and either can be failed over to (FAULTS 29)', async () => {
    const cluster = await Cluster.start(['eve', 'adam', 'sophocles'], new Loopback());
    await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync', sophocles: 'async' }, byteSize });
    const workload = new Workload(byteSize);
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 255);
    await cluster.untilClean('t1');

    await cluster.order('sophocles', 'switchover', { tag: 't1', node: 'adam' });
    await workload.writeRange(await cluster.openDevice('adam', 't1'), 128, 383);
    const status = await cluster.untilInSync('adam', 't1', 'adam', ['eve', 'sophocles']);
    for (const target of ['eve', 'sophocles']) {
      const resync = mirrorTo(status, target)?.lastResync;
      expect(resync?.bytes ?? 0, target).toBeLessThanOrEqual(24 * region);
    }
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });
});
