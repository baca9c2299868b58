import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte } from './cluster.ts';
import { signal } from './processes.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;

async function threeNodes() {
  const cluster = await Cluster.start(['eve', 'adam', 'sophocles'], new Loopback());
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync', sophocles: 'sync' }, byteSize });
  return cluster;
}

/** A switchover that is under way when the bus fails; who serves in the end, and that it was done once or not at all. */
async function switchoverWithout(cluster: Cluster, fail: () => Promise<void>, mend: () => Promise<void>) {
  const workload = new Workload(byteSize);
  const running = workload.run(await cluster.openDevice('eve', 't1'), 2);
  const id = randomUUID();
  const reply = cluster
    .ask('sophocles', 'switchover', { id, tag: 't1', node: 'adam' }, 4000)
    .catch(() => undefined);
  await cluster.eventually('the switchover has begun', async () => {
    expect(await cluster.history('eve', 't1')).toContain('switchover.started');
  });
  await fail();
  await cluster.elapses(2 * cluster.lostMs);
  await mend();
  await reply;
  await running.end();

  const ended = await cluster.eventually('the switchover has ended', async () => {
    const types = (await cluster.history('sophocles', 't1')).filter(isEnd);
    expect(types).not.toEqual([]);
    return types;
  });
  const source = ended[0] === 'switchover.completed' ? 'adam' : 'eve';
  const others = ['eve', 'adam', 'sophocles'].filter((name) => name !== source);
  await cluster.untilInSync('sophocles', 't1', source, others);
  const history = await cluster.history('sophocles', 't1');
  expect(history).not.toContain('failover.started');
  expect(history.filter((type) => type === 'switchover.started')).toHaveLength(1);
  expect(history.filter(isEnd)).toHaveLength(1);
  // Told again, it is the same command and not another one (rule 22).
  await cluster.ask('sophocles', 'switchover', { id, tag: 't1', node: 'adam' });
  expect((await cluster.status('sophocles', 't1')).source).toBe(source);
  expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
  await cluster.verifyJournals();
}

const isEnd = (type: string) => type === 'switchover.completed' || type === 'switchover.failed';

describe('the bus in the middle of a switchover (FAULTS 24, 25)', { timeout: 90_000 }, () => {
  it('killed and started again: no role changes by itself, nothing is done twice, all journals are equal', async () => {
    const cluster = await threeNodes();
    await switchoverWithout(
      cluster,
      () => cluster.site.stopBus(),
      async () => {
        await cluster.site.startBus();
      },
    );
  });

  it('frozen for a while: the same', async () => {
    const cluster = await threeNodes();
    await switchoverWithout(
      cluster,
      async () => signal(cluster.site.busPid, 'SIGSTOP'),
      async () => signal(cluster.site.busPid, 'SIGCONT'),
    );
  });

  it('back with an emptied store: the same', async () => {
    const cluster = await threeNodes();
    await switchoverWithout(
      cluster,
      async () => {
        await cluster.site.stopBus();
        await rm(join(cluster.site.busFolder, 'store'), { recursive: true });
      },
      async () => {
        await cluster.site.startBus();
      },
    );
  });
});
