import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { Namespaces } from './namespaces.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;
const region = 65_536;

async function twoNodes() {
  const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  return cluster;
}

describe('who takes over', { timeout: 90_000 }, () => {
  it('of two targets that see the source lost exactly one, the better priority first, then the other (FAULTS 36)', async () => {
    const cluster = await Cluster.start(['eve', 'adam', 'sophocles'], new Loopback());
    await cluster.mirror('t1', { source: 'eve', targets: { sophocles: 'sync', adam: 'sync' }, byteSize });
    const workload = new Workload(byteSize);
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    await cluster.untilClean('t1');
    await cluster.node('eve').killAll();
    // sophocles was extended first: priority 2, adam 3.
    await cluster.untilServing('sophocles', 't1', 'sophocles');
    await workload.writeRange(await cluster.openDevice('sophocles', 't1'), 50, 149);
    const followed = await cluster.untilInSync('sophocles', 't1', 'sophocles', ['adam']);
    expect(mirrorTo(followed, 'adam')?.lastResync?.bytes ?? 0).toBeLessThanOrEqual(16 * region);
    const history = await cluster.history('adam', 't1');
    expect(history.filter((type) => type === 'failover.completed')).toHaveLength(1);
    expect(history).toContain('takeover.promised');
    expect(history).not.toContain('takeover.conflicted');

    await cluster.node('sophocles').killAll();
    await cluster.untilServing('adam', 't1', 'adam');
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    await workload.writeRange(await cluster.openDevice('adam', 't1'), 100, 199);
    await Promise.all([cluster.node('eve').start(), cluster.node('sophocles').start()]);
    await cluster.untilInSync('adam', 't1', 'adam', ['eve', 'sophocles']);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('two targets that cannot talk both do; when they meet it is a conflict, and no split brain as neither wrote (FAULTS 36)', async () => {
    const cluster = await Cluster.start(['eve', 'adam', 'sophocles'], new Namespaces());
    await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync', sophocles: 'sync' }, byteSize });
    const workload = new Workload(byteSize);
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    cluster.site.cut('sophocles');
    await cluster.node('eve').killAll();
    await Promise.all(['adam', 'sophocles'].map((node) => cluster.untilServing(node, 't1', node)));
    cluster.site.heal('sophocles');
    await cluster.untilInSync('adam', 't1', 'adam', ['sophocles']);
    for (const node of ['adam', 'sophocles']) {
      const history = await cluster.history(node, 't1');
      expect(history).toContain('takeover.conflicted');
      expect(history).not.toContain('split-brain.detected');
    }
    expect(workload.verify(await cluster.sameImages('t1', ['adam', 'sophocles']))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('where failover is to be confirmed, it waits for the word of an operator, who may also block it', async () => {
    const cluster = await twoNodes();
    const workload = new Workload(byteSize);
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    await cluster.order('adam', 'settings', {
      node: 'eve',
      peer: 'adam',
      key: 'confirm-failover',
      value: 600,
    });
    await cluster.node('eve').killAll();
    await cluster.until('adam', 't1', 'it waits', ({ state }) => state === 'awaiting-confirmation');
    await cluster.order('adam', 'confirm-failover', { tag: 't1', block: true });
    await cluster.until('adam', 't1', 'it is blocked', ({ state }) => state === 'blocked');
    await cluster.node('eve').start();
    await cluster.untilInSync('eve', 't1', 'eve', ['adam'], { epoch: 2 });

    await cluster.node('eve').killAll();
    await cluster.until('adam', 't1', 'it waits again', ({ state }) => state === 'awaiting-confirmation');
    await cluster.order('adam', 'confirm-failover', { tag: 't1' });
    await cluster.untilServing('adam', 't1', 'adam');
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('a wait for confirmation that nobody ends goes as it was set: here it is blocked', async () => {
    const cluster = await twoNodes();
    await cluster.order('adam', 'settings', {
      node: 'eve',
      peer: 'adam',
      key: 'confirm-failover-default',
      value: 'block',
    });
    await cluster.order('adam', 'settings', { node: 'eve', peer: 'adam', key: 'confirm-failover', value: 1 });
    await cluster.node('eve').killAll();
    await cluster.until('adam', 't1', 'it is blocked', ({ state }) => state === 'blocked');
    await cluster.verifyJournals();
  });

  it('a copy that misses writes only by force, with the token that says what is lost (FAULTS 23)', async () => {
    const cluster = await twoNodes();
    const workload = new Workload(byteSize);
    const device = await cluster.openDevice('eve', 't1');
    await workload.writeRange(device, 0, 99);
    await cluster.order('eve', 'pause', { tag: 't1', targets: ['adam'], reason: 'test' });
    const old = workload.fork(1_000_000);
    await workload.writeRange(device, 50, 149);
    expect(await cluster.refusalOf('adam', 'force-online', { tag: 't1', node: 'adam' })).toBe(
      'already-in-service',
    );

    await cluster.node('eve').killAll();
    await cluster.untilLost('adam', 't1', 'eve');
    expect(await cluster.refusalOf('adam', 'failover', { tag: 't1', node: 'adam' })).toBe('target-paused');
    const asked = await cluster.ask('adam', 'force-online', { tag: 't1', node: 'adam' });
    expect(asked).toMatchObject({ ok: false, refusal: { code: 'loss-not-accepted' } });
    expect(asked.loss?.text).toBeTruthy();
    expect(
      await cluster.refusalOf('adam', 'force-online', { tag: 't1', node: 'adam', acceptLoss: 'wrong' }),
    ).toBe('stale-command');
    await cluster.order('adam', 'force-online', { tag: 't1', node: 'adam', acceptLoss: asked.token });
    await cluster.untilServing('adam', 't1', 'adam');
    expect(await old.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    await cluster.verifyJournals();
  });
});
