import { expect, it } from 'vitest';
import { Cluster, Loopback, megabyte } from './cluster.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;

it('of two nodes one is off: all that an operator needs works on the other', {
  timeout: 90_000,
}, async () => {
  const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  const workload = new Workload(byteSize);
  await workload.writeRange(await cluster.openDevice('eve', 't1'), 0, 99);
  await Promise.all(cluster.nodes.map((node) => node.killAll()));

  // eve is the last owner, and alone.
  await cluster.node('eve').start();
  await cluster.until('eve', 't1', 'it cannot tell', ({ nodes }) =>
    nodes.some(({ flags }) => flags.includes('data-corrupt')),
  );
  await cluster.untilLost('eve', 't1', 'adam');
  expect(await cluster.refusalOf('eve', 'in-service', { tag: 't1', node: 'eve' })).toBe('data-corrupt');
  await cluster.orderAcceptingLoss('eve', 'force-online', { tag: 't1', node: 'eve' });
  await cluster.untilServing('eve', 't1', 'eve');
  await workload.writeRange(await cluster.openDevice('eve', 't1'), 50, 149);
  // The workload's client has the device open.
  expect(await cluster.refusalOf('eve', 'delete', { tag: 't1' })).toBe('device-in-use');

  expect(await cluster.refusalOf('eve', 'switchover', { tag: 't1', node: 'adam' })).toMatch(/^target-/);
  await cluster.order('eve', 'settings', { tag: 't1', key: 'resync-max', value: 1_000_000 });
  await cluster.order('eve', 'pause', { tag: 't1', targets: ['adam'], reason: 'it is off' });
  await cluster.order('eve', 'resume', { tag: 't1', targets: ['adam'] });
  expect((await cluster.ask('eve', 'nodes')).nodes).toEqual(
    expect.arrayContaining([expect.objectContaining({ node: 'adam', alive: false })]),
  );
  expect(await cluster.ask('eve', 'alarms')).toMatchObject({ ok: true });
  expect(await cluster.dirtyRegions('eve', 't1')).toBeGreaterThan(0);
  await cluster.order('eve', 'out-of-service', { tag: 't1', node: 'eve' });
  await cluster.until('eve', 't1', 'it is out of service', ({ state }) => state === 'out-of-service');
  await cluster.orderAcceptingLoss('eve', 'delete', { tag: 't1' });
  expect(await cluster.ask('eve', 'status', { tag: 't1' })).toMatchObject({
    refusal: { code: 'unknown-tag' },
  });

  // The one that was off learns of it, and drops its replica.
  await cluster.node('adam').start();
  await cluster.eventually('adam has ended its engine', async () => {
    expect(await cluster.ask('adam', 'status', { tag: 't1' })).toMatchObject({ ok: false });
    expect(cluster.node('adam').enginePids).toEqual([]);
  });
  await cluster.verifyJournals();
});
