import { spawnSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { mirrorkeeper } from './node-under-test.ts';
import { Workload } from './workload.ts';

const byteSize = 8 * megabyte;

const cli = (socket: string, ...args: readonly string[]) =>
  spawnSync(process.execPath, [mirrorkeeper, ...args, '--socket', socket], { encoding: 'utf8' });

describe('mirrors of one resource, each with what belongs to its pair of nodes', { timeout: 90_000 }, () => {
  it('modes hold whichever of the two is the source, and change at once; two sources share one backup node', async () => {
    const cluster = await Cluster.start(['eve', 'adam', 'sophocles'], new Loopback());
    await cluster.mirror('t1', {
      source: 'eve',
      targets: { adam: 'sync', sophocles: 'async' },
      pairs: { sophocles: { adam: 'memory-sync' } },
      byteSize,
    });
    await cluster.mirror('t2', { source: 'adam', targets: { sophocles: 'sync' }, byteSize });
    const modes = async (node: string) =>
      Object.fromEntries(
        (await cluster.status(node, 't1')).mirrors.map(({ target, mode }) => [target, mode]),
      );
    expect(await modes('eve')).toEqual({ adam: 'sync', sophocles: 'async' });
    const [one, other] = [new Workload(byteSize), new Workload(byteSize)];
    const device = await cluster.openDevice('eve', 't1');
    await Promise.all([
      one.writeRange(device, 0, 199),
      other.writeRange(await cluster.openDevice('adam', 't2'), 0, 199),
    ]);
    await cluster.order('eve', 'switchover', { tag: 't1', node: 'adam' });
    await cluster.untilInSync('adam', 't1', 'adam', ['eve', 'sophocles']);
    expect(await modes('adam')).toEqual({ eve: 'sync', sophocles: 'memory-sync' });

    const setting = { tag: 't1', node: 'sophocles', peer: 'adam', key: 'mode', value: 'async' };
    await cluster.order('adam', 'settings', setting);
    expect(await modes('adam')).toEqual({ eve: 'sync', sophocles: 'async' });
    // Nobody waits for sophocles any more: what is written while it stands still is acknowledged.
    const target = cluster.node('sophocles');
    target.freeze(target.enginePids);
    await one.writeRange(await cluster.openDevice('adam', 't1'), 200, 207);
    target.thaw();
    await cluster.untilInSync('adam', 't1', 'adam', ['eve', 'sophocles']);
    // Everything that adam serves moves away at once.
    const drained = cli(cluster.node('eve').socket, 'drain', 'adam');
    expect(drained).toMatchObject({ status: 0, stderr: '' });
    await cluster.untilInSync('eve', 't1', 'eve', ['adam', 'sophocles']);
    await cluster.untilInSync('sophocles', 't2', 'sophocles', ['adam']);
    expect(cli(cluster.node('eve').socket, 'drain', 'adam').stdout).toBe('nothing is in service on adam\n');
    expect(one.verify(await cluster.sameImages('t1'))).toEqual([]);
    expect(other.verify(await cluster.sameImages('t2', ['adam', 'sophocles']))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('verify finds what a bad disk has changed, while in use; pause and resume repair it (REQUIREMENTS 2.9)', async () => {
    const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
    await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
    const workload = new Workload(byteSize);
    const device = await cluster.openDevice('eve', 't1');
    await workload.writeRange(device, 0, 199);
    await cluster.untilClean('t1');
    const image = await open(cluster.node('adam').image('t1'), 'r+');
    await image.write('rot', 5 * 65_536 + 77);
    await image.close();
    const writing = workload.run(device);
    const wait = cli(cluster.node('adam').socket, 'verify', 't1', '--wait', '--timeout', '30');
    await writing.end();
    expect({ status: wait.status, stdout: wait.stdout, stderr: wait.stderr }).toMatchObject({
      status: 5,
      stdout: expect.stringContaining('adam differs from eve in 1 regions of 64 KiB (data 5–5)'),
    });
    await cluster.order('eve', 'pause', { tag: 't1' });
    await cluster.order('eve', 'resume', { tag: 't1' });
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('a queue that stays full is paused by policy, and resumed when the target keeps up again (rule 18)', async () => {
    const cluster = await Cluster.start(['eve', 'adam'], new Loopback(), 400);
    await cluster.mirror('t1', { source: 'eve', targets: { adam: 'async' }, byteSize });
    for (const [key, value] of [
      ['async-limit', 8],
      ['auto-pause', 0.5],
    ] as const)
      await cluster.order('eve', 'settings', { tag: 't1', key, value });
    const workload = new Workload(byteSize);
    const target = cluster.node('adam');
    const writing = workload.run(await cluster.openDevice('eve', 't1'));
    target.freeze(target.enginePids);
    await cluster.until('eve', 't1', 'paused', (status) => mirrorTo(status, 'adam')?.status === 'paused');
    target.thaw();
    await cluster.untilInSync('eve', 't1', 'eve', ['adam']);
    await writing.end();
    const history = await cluster.history('eve', 't1');
    const policy = history.filter((type) => type === 'mirror.paused' || type === 'mirror.resumed');
    expect(policy.slice(0, 2)).toEqual(['mirror.paused', 'mirror.resumed']);
    await cluster.eventually('the queue is empty', async () =>
      expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]),
    );
    await cluster.verifyJournals();
  });
});
