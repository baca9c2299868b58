import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte } from './cluster.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;

async function twoNodes() {
  const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  return cluster;
}

describe('a half-dead node is not a lost node (FAULTS 35)', { timeout: 60_000 }, () => {
  it('agent dead, engine alive: writes go on, failover is refused, the agent adopts its engine when it is back', async () => {
    const cluster = await twoNodes();
    const eve = cluster.node('eve');
    const workload = new Workload(byteSize);
    const running = workload.run(await cluster.openDevice('eve', 't1'), 2);
    const engines = eve.enginePids;
    await eve.killAgent();
    const before = workload.acknowledged;
    await cluster.elapses(3 * cluster.lostMs);
    expect(workload.acknowledged).toBeGreaterThan(before);
    expect(await cluster.refusalOf('adam', 'failover', { tag: 't1', node: 'adam' })).toBe('source-alive');

    await eve.start();
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(eve.enginePids).toEqual(engines);
    await running.end();
    expect(await cluster.status('adam', 't1')).toMatchObject({ source: 'eve', epoch: 1 });
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('engine dead, agent alive: it is started again in place, and the target does not take over', async () => {
    const cluster = await twoNodes();
    const eve = cluster.node('eve');
    const workload = new Workload(byteSize);
    const running = workload.run(await cluster.openDevice('eve', 't1'), 2);
    await cluster.eventually('writes run', async () => expect(workload.acknowledged).toBeGreaterThan(50));
    const dead = eve.enginePids;
    await eve.killEngines();
    await running.ended;
    await cluster.eventually('another engine', async () => {
      expect(eve.enginePids).toHaveLength(1);
      expect(eve.enginePids).not.toEqual(dead);
    });
    await cluster.eventually('it is recovered', async () => {
      expect(await cluster.history('eve', 't1')).toContain('local-recovery.succeeded');
    });
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(await workload.verifyDevice(await cluster.deviceOf('eve', 't1'))).toEqual([]);
    await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    const history = await cluster.history('eve', 't1');
    expect(history).not.toContain('failover.started');
    await cluster.verifyJournals();
  });

  it('the engine of a target dead: it is started again, and gets what it missed', async () => {
    const cluster = await twoNodes();
    const workload = new Workload(byteSize);
    const running = workload.run(await cluster.openDevice('eve', 't1'), 2);
    await cluster.eventually('writes run', async () => expect(workload.acknowledged).toBeGreaterThan(50));
    await cluster.node('adam').killEngines();
    const before = workload.acknowledged;
    await cluster.eventually('writes go on', async () =>
      expect(workload.acknowledged).toBeGreaterThan(before + 50),
    );
    await running.end();
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('both frozen: taken over; when they go on the old source acknowledges nothing that is lost (FAULTS 27)', async () => {
    const cluster = await twoNodes();
    const eve = cluster.node('eve');
    const workload = new Workload(byteSize);
    const running = workload.run(await cluster.openDevice('eve', 't1'), 4);
    await cluster.eventually('writes run', async () => expect(workload.acknowledged).toBeGreaterThan(50));
    eve.freeze();
    await cluster.untilServing('adam', 't1', 'adam');
    expect(await workload.verifyDevice(await cluster.deviceOf('adam', 't1'))).toEqual([]);
    const atTakeover = readFileSync(cluster.node('adam').image('t1'));
    const later = workload.fork(1_000_000);
    await later.writeRange(await cluster.openDevice('adam', 't1'), 0, 49);

    eve.thaw();
    await running.ended;
    // What adam had written and answered before it took over may still be acknowledged: that is on its copy.
    expect(workload.verify(atTakeover)).toEqual([]);
    await cluster.untilInSync('adam', 't1', 'adam', ['eve']);
    expect(later.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });
});
