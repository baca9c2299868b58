import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  createMetadataFile,
  createReplicaFolder,
  openIntentLogFile,
  openMetadataFile,
} from '../../adapters/block/replica-files.ts';
import { ReplicaLock } from '../../adapters/block/replica-lock.ts';
import { intentLogPath, lockPath, metadataPath, replicaFolder } from '../../adapters/block/replica-paths.ts';
import type { NodeName, VolumeName } from '../../domain/vocabulary.ts';
import { completed } from './completed.ts';
import { adam, data, gibibyte, sampleIdentity, sampleRecord } from './replica-samples.ts';
import { scratchFolder } from './scratch.ts';

async function newFolder(): Promise<string> {
  const folder = join(scratchFolder(), 'deep', 'volume.mk');
  await createReplicaFolder(folder);
  return folder;
}

describe('replica paths', () => {
  it('lie beside the file, or in the bitmap folder of a device', () => {
    expect(replicaFolder('/srv/volume', false, '/var/r')).toBe('/srv/volume.mk');
    expect(replicaFolder('/dev/sdb1', true, '/var/r')).toBe('/var/r');
    expect(metadataPath('/srv/volume.mk')).toBe('/srv/volume.mk/metadata');
    expect(intentLogPath('/srv/volume.mk', data, adam)).toBe('/srv/volume.mk/data.adam.bitmap');
  });

  it.each(['..', '../up', 'a/b', '', 'a.b'])('no name leads elsewhere: %j', (name) => {
    expect(() => intentLogPath('/srv/volume.mk', name as VolumeName, adam)).toThrow();
    expect(() => intentLogPath('/srv/volume.mk', data, name as NodeName)).toThrow();
  });
});

describe('replica files', () => {
  it('metadata is made once, and opened by whom it belongs to', async () => {
    const folder = await newFolder();
    await expect(openMetadataFile(folder, sampleRecord)).rejects.toMatchObject({ code: 'metadata-missing' });
    const metadata = await createMetadataFile(folder, sampleRecord);
    await completed((done) => metadata.update((record) => ({ ...record, epoch: 4 }), done));
    await completed((done) => metadata.close(done));
    await expect(createMetadataFile(folder, sampleRecord)).rejects.toMatchObject({ code: 'path-in-use' });
    const reopened = await openMetadataFile(folder, sampleRecord);
    expect(reopened.value.epoch).toBe(4);
    await completed((done) => reopened.close(done));
    await expect(openMetadataFile(folder, { ...sampleRecord, cluster: 'other' })).rejects.toMatchObject({
      code: 'other-cluster',
    });
    // The refusal let go of the file.
    await completed(async (done) => (await openMetadataFile(folder, sampleRecord)).close(done));
  });

  it('an intent log is made anew where its file is missing or has another size, and is kept otherwise', async () => {
    const folder = await newFolder();
    const options = {
      identity: sampleIdentity,
      volumeByteSize: gibibyte,
      recordedInvalid: false,
      createdGeneration: null,
    };
    const open = () => openIntentLogFile(folder, options);
    const made = await open();
    expect(made.reason).toMatch(/new/);
    expect(made.markedCount).toBe(made.regionCount);
    await completed((done) => made.clearAll(done));
    await completed((done) => made.close(done));
    const kept = await open();
    expect(kept).toMatchObject({ reason: null, markedCount: 0, state: 'kept' });
    await completed((done) => kept.close(done));
    truncateSync(join(folder, 'data.adam.bitmap'), 5_000);
    const cut = await open();
    expect(cut.markedCount).toBe(cut.regionCount);
    await completed((done) => cut.close(done));
  });
});

describe('replica lock', () => {
  it('is for one, says who has it, and can be had again after a release', async () => {
    const folder = await newFolder();
    const lock = await ReplicaLock.acquire(folder, 'the engine');
    await expect(ReplicaLock.acquire(folder, 'another')).rejects.toMatchObject({
      code: 'replica-in-use',
      message: expect.stringContaining(`the engine, process ${process.pid}`),
    });
    await lock.release();
    await (await ReplicaLock.acquire(folder, 'another')).release();
    expect(readFileSync(lockPath(folder), 'utf8')).toBe('');
  });

  it('ends with a holder that is killed', async () => {
    const folder = await newFolder();
    await (await ReplicaLock.acquire(folder, 'first')).release();
    const holder = spawn('flock', ['--exclusive', '--no-fork', lockPath(folder), 'cat']);
    holder.stdin.write('locked');
    await once(holder.stdout, 'data');
    await expect(ReplicaLock.acquire(folder, 'second')).rejects.toMatchObject({ code: 'replica-in-use' });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await (await ReplicaLock.acquire(folder, 'second')).release();
  });
});
