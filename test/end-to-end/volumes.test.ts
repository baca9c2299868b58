import { describe, expect, it } from 'vitest';
import { sectorSize } from '../simulation/disk.ts';
import { writeNumberOf } from '../simulation/stamp.ts';
import { Cluster, Loopback, megabyte, mirrorTo } from './cluster.ts';
import { blockSize, readImage, Workload } from './workload.ts';

const byteSize = 8 * megabyte;
const region = 65_536;
const volumes = ['data', 'wal'] as const;

/** Number of the write that a block holds; 0 for none. */
const writeAt = (image: Buffer, offset: number) => writeNumberOf(image, offset, offset / sectorSize);

describe('several volumes in one resource', { timeout: 90_000 }, () => {
  it('keep one write order across all of them: a copy that is behind is a prefix, whatever was in flight (I6)', async () => {
    const cluster = await Cluster.start(['eve', 'adam', 'sophocles'], new Loopback());
    await cluster.mirror('pg', {
      source: 'eve',
      targets: { adam: 'sync', sophocles: 'async' },
      byteSize,
      volumes,
    });
    const [data, wal] = [new Workload(byteSize), new Workload(byteSize)];
    const dataDevice = await cluster.openDevice('eve', 'pg', 'data');
    const walDevice = await cluster.openDevice('eve', 'pg', 'wal');
    // The n-th block of `data` is written when the n-th of `wal` is acknowledged, as a database does it.
    const writing = (async () => {
      for (let block = 0; !walDevice.isClosed && !dataDevice.isClosed; block = (block + 1) % 2000) {
        await wal.write(walDevice, block);
        await data.write(dataDevice, block);
      }
    })().catch(() => undefined);
    await cluster.eventually('some hundred writes are acknowledged', async () =>
      expect(data.acknowledged).toBeGreaterThan(300),
    );
    await cluster.node('eve').killAll();
    await writing;
    // Read before adam takes over: the resync from there does not keep the order. The later read can only be newer.
    const behind = cluster.node('sophocles');
    const dataThere = await readImage(behind.image('pg', 'data'));
    const walThere = await readImage(behind.image('pg', 'wal'));
    for (let at = 0; at < byteSize; at += blockSize)
      expect(writeAt(dataThere, at), `block ${at / blockSize}`).toBeLessThanOrEqual(writeAt(walThere, at));
    await cluster.untilServing('adam', 'pg', 'adam');
    expect(await data.verifyDevice(await cluster.deviceOf('adam', 'pg', 'data'))).toEqual([]);
    expect(await wal.verifyDevice(await cluster.deviceOf('adam', 'pg', 'wal'))).toEqual([]);

    await cluster.node('eve').start();
    await cluster.untilInSync('adam', 'pg', 'adam', ['eve', 'sophocles']);
    for (const [name, workload] of [
      ['data', data],
      ['wal', wal],
    ] as const)
      expect(workload.verify(await cluster.sameImages('pg', undefined, name))).toEqual([]);
    await cluster.verifyJournals();
  });

  it('have an intent log each: a switchover and a return copy just the dirty regions of both', async () => {
    const cluster = await Cluster.start(['eve', 'adam'], new Loopback());
    await cluster.mirror('pg', { source: 'eve', targets: { adam: 'sync' }, byteSize, volumes });
    const [data, wal] = [new Workload(byteSize), new Workload(byteSize)];
    const write = async (node: string, first: number, last: number) => {
      await data.writeRange(await cluster.openDevice(node, 'pg', 'data'), first, last);
      await wal.writeRange(await cluster.openDevice(node, 'pg', 'wal'), first + 1000, last + 1000);
    };
    await write('eve', 0, 99);
    await cluster.untilClean('pg');
    await cluster.order('eve', 'switchover', { tag: 'pg', node: 'adam' });
    await cluster.untilInSync('adam', 'pg', 'adam', ['eve']);
    await write('adam', 50, 149);
    await cluster.untilClean('pg');
    await cluster.node('eve').killAll();
    await cluster.untilLost('adam', 'pg', 'eve');
    await write('adam', 200, 215);
    await cluster.node('eve').start();
    const status = await cluster.untilInSync('adam', 'pg', 'adam', ['eve'], { epoch: 2 });
    // Blocks 200 to 215 of data and 1200 to 1215 of wal lie in two regions each at most.
    const { kind, bytes = 0 } = mirrorTo(status, 'eve')?.lastResync ?? {};
    expect({ kind, isSmall: bytes > 0 && bytes <= 4 * region }).toEqual({ kind: 'partial', isSmall: true });
    for (const [name, workload] of [
      ['data', data],
      ['wal', wal],
    ] as const)
      expect(workload.verify(await cluster.sameImages('pg', undefined, name))).toEqual([]);
    await cluster.verifyJournals();
  });
});
