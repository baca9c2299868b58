import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { IntentLog } from '../../adapters/block/intent-log.ts';
import {
  createMetadataFile,
  createReplicaFolder,
  openIntentLogFile,
  openMetadataFile,
} from '../../adapters/block/replica-files.ts';
import { ReplicaLock } from '../../adapters/block/replica-lock.ts';
import type { ReplicaRecord } from '../../adapters/block/replica-record.ts';
import { NumberedObservation } from '../../adapters/engine/control-protocol.ts';
import { markDirty } from '../../domain/generation-state.ts';
import { regionSize } from '../../domain/vocabulary.ts';
import { bitmapCommand } from '../../tools/bitmap-command.ts';
import { completed } from './completed.ts';
import { adam, gibibyte, sampleIdentity, sampleRecord } from './replica-samples.ts';
import { scratchFolder } from './scratch.ts';

interface Replica {
  readonly folder: string;
  readonly file: string;
}

/** A replica whose log for adam has three dirty regions. */
async function replica(record: ReplicaRecord = sampleRecord): Promise<Replica> {
  const folder = join(scratchFolder(), 'volume.mk');
  await createReplicaFolder(folder);
  const metadata = await createMetadataFile(folder, record);
  await completed((done) => metadata.close(done));
  await withLog(folder, async (log) => {
    await completed((done) => log.clearAll(done));
    await completed((done) => log.mark(5 * regionSize, 3 * regionSize, done));
  });
  return { folder, file: join(folder, 'data.adam.bitmap') };
}

async function withLog<T>(folder: string, run: (log: IntentLog) => Promise<T>): Promise<T> {
  const log = await openIntentLogFile(folder, {
    identity: sampleIdentity,
    volumeByteSize: gibibyte,
    recordedInvalid: false,
    createdGeneration: null,
  });
  const value = await run(log);
  await completed((done) => log.close(done));
  return value;
}

const markedCount = (folder: string) => withLog(folder, async (log) => log.markedCount);

async function recordOf(folder: string): Promise<ReplicaRecord> {
  const metadata = await openMetadataFile(folder, sampleRecord);
  await completed((done) => metadata.close(done));
  return metadata.value;
}

async function run(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await bitmapCommand(args, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { status, out: out.join('\n'), err: err.join('\n') };
}

describe('bitmap (admin guide, "Bitmap Administration")', () => {
  it('-X says what is in the file, and changes nothing', async () => {
    const { file, folder } = await replica();
    const before = readFileSync(file);
    const { status, out } = await run('-X', file);
    expect(status).toBe(0);
    expect(out).toContain(`Filename : ${file}`);
    expect(out).toContain('Chunksize : 64 KB');
    expect(out).toContain('Bitmap : 16384 bits (chunks), 3 dirty (0.0%)');
    expect(await run(`-X${file}`)).toMatchObject({ status: 0, out });
    expect(readFileSync(file).equals(before)).toBe(true);
    expect((await recordOf(folder)).observations.pending).toEqual([]);
  });

  it('-X works while an engine has the replica open', async () => {
    const { file, folder } = await replica();
    await withLog(folder, async () => expect(await run('-X', file)).toMatchObject({ status: 0 }));
  });

  it('-d marks everything, -c nothing, and each leaves a numbered observation (I19)', async () => {
    const { file, folder } = await replica();
    expect(await run('-d', file)).toMatchObject({ status: 0, err: '' });
    expect(await markedCount(folder)).toBe(gibibyte / regionSize);
    expect(await run('-c', file)).toMatchObject({ status: 0, err: '' });
    expect(await markedCount(folder)).toBe(0);
    const { next, pending } = (await recordOf(folder)).observations;
    expect(next).toBe(3);
    expect(() => pending.map((each) => NumberedObservation.parse(each))).not.toThrow();
    expect(pending).toMatchObject([
      { observation: 1, type: 'marked-dirty', volume: 'data', peer: 'adam', dirtyRegions: 3 },
      { observation: 2, type: 'marked-clean', dirtyRegions: gibibyte / regionSize, verified: false },
    ]);
  });

  it('-c makes an invalid log valid again', async () => {
    const { file, folder } = await replica(markDirty(sampleRecord, adam));
    expect(await run('-c', file)).toMatchObject({ status: 0 });
    expect((await recordOf(folder)).generation.peers[adam]?.intentLog).toBe('kept');
    expect(await markedCount(folder)).toBe(0);
  });

  it('-a sets the asynchronous limit and keeps the bits', async () => {
    const { file, folder } = await replica();
    expect((await run('-X', file)).out).toContain('Allow write behind, max 256');
    expect(await run('-a', '512', file)).toMatchObject({ status: 0 });
    expect((await run('-X', file)).out).toContain('Allow write behind, max 512');
    expect(await markedCount(folder)).toBe(3);
  });

  it.each(['-c', '-d', '-a'])('%s is refused while an engine has the replica', async (flag) => {
    const { file, folder } = await replica();
    const before = readFileSync(file);
    const lock = await ReplicaLock.acquire(folder, 'engine of datarep-ext3');
    const args = flag === '-a' ? [flag, '5', file] : [flag, file];
    expect(await run(...args)).toMatchObject({
      status: 1,
      err: expect.stringMatching(/in use by engine of datarep-ext3, process \d+.*replica-in-use/),
    });
    await lock.release();
    expect(readFileSync(file).equals(before)).toBe(true);
    expect((await recordOf(folder)).observations.pending).toEqual([]);
  });

  it.each([
    [[]],
    [['-X']],
    [['-q', 'file']],
    [['-a', 'file']],
    [['-a', '0', 'file']],
    [['-a', '-3', 'file']],
    [['-c', 'one', 'two']],
    [['-c', '']],
  ])('%j is a usage error', async (args) => {
    expect(await run(...args)).toMatchObject({ status: 2, err: expect.stringContaining('usage: bitmap') });
  });

  it('refuses what is missing, no intent log, or not in a replica', async () => {
    const { folder, file } = await replica();
    const elsewhere = join(scratchFolder(), 'data.adam.bitmap');
    writeFileSync(elsewhere, readFileSync(file));
    expect(await run('-c', join(folder, 'data.eve.bitmap'))).toMatchObject({ status: 1 });
    expect(await run('-c', join(folder, 'metadata'))).toMatchObject({ status: 1 });
    expect(await run('-c', elsewhere)).toMatchObject({
      status: 1,
      err: expect.stringContaining('metadata-missing'),
    });
  });

  it('damage is said with its own exit code: torn page, header, metadata', async () => {
    const { file, folder } = await replica();
    const damage = (path: string, at: number) => {
      const bytes = readFileSync(path);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    };
    damage(file, 5000);
    expect(await run('-X', file)).toMatchObject({
      status: 5,
      out: expect.stringContaining('16384 bits (chunks), 16384 dirty (100.0%)'),
    });
    damage(file, 100);
    expect(await run('-X', file)).toMatchObject({ status: 5 });
    expect(await run('-a', '5', file)).toMatchObject({ status: 5 });
    damage(join(folder, 'metadata'), 50);
    damage(join(folder, 'metadata'), 128 * 1024 + 50);
    expect(await run('-c', file)).toMatchObject({
      status: 5,
      err: expect.stringContaining('metadata-damaged'),
    });
  });
});
