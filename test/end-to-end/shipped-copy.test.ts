import { copyFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;
const tag = 't1';

it('a copy that was shipped since a baseline is extended without a full resync, whatever was written meanwhile', {
  timeout: 90_000,
}, async () => {
  const cluster = await Cluster.start(['adam', 'eve'], new Loopback());
  const volumes = await cluster.volumesOn('eve', tag, { byteSize });
  await cluster.order('eve', 'create', { tag, node: 'eve', volumes });
  const workload = new Workload(byteSize);
  await cluster.untilServing('eve', tag, 'eve');
  await workload.writeRange(await cluster.openDevice('eve', tag), 0, 499);
  const there = await cluster.volumesOn('adam', tag, { byteSize });
  const extend = { tag, node: 'adam', volumes: there, fullSync: false };
  expect(await cluster.refusalOf('eve', 'extend', extend)).toBe('no-baseline');

  await cluster.orderAcceptingLoss('eve', 'bitmap-mark-clean', { tag, node: 'eve' });
  const writing = workload.run(await cluster.openDevice('eve', tag), 1);
  await cluster.eventually('it is written to', async () =>
    expect(workload.acknowledged).toBeGreaterThan(510),
  );
  await copyFile(cluster.node('eve').image(tag), cluster.node('adam').image(tag));
  await writing.end();
  // The engine begins anew in between: what has changed since the baseline is not forgotten.
  await cluster.node('eve').killEngines();
  await cluster.eventually('eve serves again', async () =>
    expect(await cluster.history('eve', tag)).toContain('local-recovery.succeeded'),
  );
  const written = workload.acknowledged - 500;
  await cluster.order('eve', 'extend', extend);
  const status = await cluster.untilInSync('eve', tag, 'eve', ['adam']);
  const { kind, bytes = 0 } = mirrorTo(status, 'adam')?.lastResync ?? {};
  expect(kind).toBe('partial');
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(Math.min(written * 65_536, byteSize - 65_536));
  expect(workload.verify(await cluster.sameImages(tag))).toEqual([]);

  // From here on it is a replica like any other.
  await cluster.untilClean(tag);
  await cluster.node('eve').killAll();
  await cluster.untilServing('adam', tag, 'adam');
  expect(await workload.verifyDevice(await cluster.deviceOf('adam', tag))).toEqual([]);
  await cluster.verifyJournals();
});
