import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import {
  bitmapMagic,
  bitmapVersion,
  blockByteSize,
  decodeHeader,
  encodeHeader,
} from '../adapters/block/bitmap-codec.ts';
import type { Done } from '../adapters/block/block-device.ts';
import { examineBitmap } from '../adapters/block/examine-bitmap.ts';
import { FileDevice } from '../adapters/block/file-device.ts';
import { ReplicaError } from '../adapters/block/replica-error.ts';
import { openIntentLogFile, openMetadataDevice } from '../adapters/block/replica-files.ts';
import { ReplicaLock } from '../adapters/block/replica-lock.ts';
import type { ReplicaMetadata } from '../adapters/block/replica-metadata.ts';
import { openReplicaMetadata, readReplicaMetadata } from '../adapters/block/replica-metadata.ts';
import { metadataPath } from '../adapters/block/replica-paths.ts';
import type { ReplicaRecord } from '../adapters/block/replica-record.ts';
import { withObservation } from '../adapters/block/replica-record.ts';
import { markClean } from '../domain/generation-state.ts';
import { NodeName, VolumeName } from '../domain/vocabulary.ts';

/*
 * The old `bitmap` (admin guide, "Bitmap Administration"), offline, on one intent log of a replica that no engine has
 * open. Exit codes: 0 done, 1 refused, 2 usage, 5 damaged (REQUIREMENTS 5).
 */

const usage = `usage: bitmap -a NUM|-c|-d|-X BITMAP_FILE

  -X FILE      examines the bitmap
  -c FILE      cleans it: the copies are equal, you swear; wrong, and the difference is never resynced
  -d FILE      dirties it: the next resync is full
  -a NUM FILE  sets how many writes an asynchronous mirror may have outstanding (default 256)`;

const asyncLimitMax = 1_000_000;
const damageCodes: readonly string[] = ['metadata-damaged', 'metadata-version', 'intent-log-invalid'];

export interface Output {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

type Order =
  | { readonly kind: 'examine' | 'mark-clean' | 'mark-dirty'; readonly file: string }
  | { readonly kind: 'async-limit'; readonly limit: number; readonly file: string };

/** Resolves to the exit code. */
export async function bitmapCommand(args: readonly string[], output: Output): Promise<number> {
  const order = parse(args);
  if (order === null) {
    output.err(usage);
    return 2;
  }
  try {
    if (!existsSync(order.file)) throw new ReplicaError('path-missing', `${order.file} does not exist`);
    switch (order.kind) {
      case 'examine':
        return examine(order.file, output);
      case 'mark-clean':
      case 'mark-dirty':
        await mark(order.kind, order.file);
        return 0;
      case 'async-limit':
        return await setAsyncLimit(order.file, order.limit, output);
      default:
        return order satisfies never;
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
    output.err(`bitmap: ${error instanceof Error ? error.message : String(error)} (${code})`);
    return damageCodes.includes(code) ? 5 : 1;
  }
}

/** As the old program took them: `-X FILE` and `-XFILE` alike. */
function parse(args: readonly string[]): Order | null {
  const [flag, ...rest] = args.flatMap((arg) =>
    /^-[acdX]./.test(arg) ? [arg.slice(0, 2), arg.slice(2)] : [arg],
  );
  const file = rest.at(-1);
  if (file === undefined || file === '' || rest.length !== (flag === '-a' ? 2 : 1)) return null;
  switch (flag) {
    case '-X':
      return { kind: 'examine', file };
    case '-c':
      return { kind: 'mark-clean', file };
    case '-d':
      return { kind: 'mark-dirty', file };
    case '-a': {
      const limit = /^\d+$/.test(rest[0] ?? '') ? Number(rest[0]) : 0;
      return limit >= 1 && limit <= asyncLimitMax ? { kind: 'async-limit', limit, file } : null;
    }
    default:
      return null;
  }
}

/** Modelled on `mdadm -X`. Reads only, so it works beside a running engine too: what a restart would find. */
function examine(file: string, { out, err }: Output): number {
  const found = examineBitmap(readFileSync(file));
  if (typeof found === 'string') {
    err(`bitmap: the header of ${file} is not to be believed (${found}): every region counts as dirty`);
    return 5;
  }
  const { header, markedCount, damagedPageCount } = found;
  const { identity, regionSize, regionCount, asyncLimit } = header;
  const kibibytes = (regionCount * regionSize) / 1024;
  const percent = ((markedCount / regionCount) * 100).toFixed(1);
  const lines: readonly (readonly [string, string])[] = [
    ['Filename', file],
    ['Magic', bitmapMagic],
    ['Version', String(bitmapVersion)],
    ['Resource', `${identity.tag} (${identity.resource}), cluster ${identity.cluster}`],
    ['Mirror', `volume ${identity.volume}, ${identity.node} for ${identity.peer}`],
    ['State', damagedPageCount === 0 ? 'OK' : `${damagedPageCount} damaged pages count as dirty`],
    ['Chunksize', `${regionSize / 1024} KB`],
    ['Write Mode', `Allow write behind, max ${asyncLimit}`],
    ['Sync Size', `${kibibytes} (${(kibibytes / 1024).toFixed(2)} MiB)`],
    ['Bitmap', `${regionCount} bits (chunks), ${markedCount} dirty (${percent}%)`],
  ];
  for (const [name, value] of lines) out(`${name.padStart(16)} : ${value}`);
  return damagedPageCount === 0 ? 0 : 5;
}

async function mark(kind: 'mark-clean' | 'mark-dirty', file: string): Promise<void> {
  const folder = dirname(resolve(file));
  const { volume, peer } = namesOf(file);
  await withReplica(folder, async (metadata) => {
    const { cluster, tag, resource, node, volumes, generation } = metadata.value;
    const byteSize = volumes.find(({ name }) => name === volume)?.byteSize;
    if (byteSize === undefined) {
      throw new ReplicaError('volume-mismatch', `the replica in ${folder} has no volume ${volume}`);
    }
    const wasInvalid = generation.peers[peer]?.intentLog === 'invalid';
    const log = await openIntentLogFile(folder, {
      identity: { cluster, tag, resource, volume, node, peer },
      volumeByteSize: byteSize,
      recordedInvalid: wasInvalid,
      createdGeneration: generation.current,
    });
    try {
      // 1. The audit first (I19): the agent journals it when it next sees the replica.
      const type = kind === 'mark-clean' ? 'marked-clean' : 'marked-dirty';
      const { markedCount, regionCount } = log;
      const audit = { type, volume, peer, dirtyRegions: markedCount, regions: regionCount, ...actor() };
      await completed((done) => metadata.update((record) => withObservation(record, audit), done));
      // 2. The bits.
      await completed((done) => (kind === 'mark-clean' ? log.clearAll(done) : log.markAll(done)));
      // 3. Changes count from here (a baseline), unless logs of other volumes may still be invalid.
      if (kind === 'mark-clean' && (!wasInvalid || volumes.length === 1)) {
        await completed((done) => metadata.update((record) => markClean(record, peer), done));
      }
    } finally {
      await completed((done) => log.close(done));
    }
  });
}

async function setAsyncLimit(file: string, limit: number, { err }: Output): Promise<number> {
  return withReplica(dirname(resolve(file)), async () => {
    const device = await FileDevice.open(file);
    try {
      const block = Buffer.alloc(blockByteSize);
      await completed((done) => device.read(block, 0, done));
      const header = decodeHeader(block);
      if (typeof header === 'string') {
        err(`bitmap: the header of ${file} is not to be believed (${header})`);
        return 5;
      }
      await completed((done) => device.write(encodeHeader({ ...header, asyncLimit: limit }), 0, done));
      await completed((done) => device.flush(done));
      return 0;
    } finally {
      await completed((done) => device.close(done));
    }
  });
}

/** Runs with the replica locked: no engine has it open, and none opens it meanwhile. */
async function withReplica<T>(folder: string, run: (metadata: ReplicaMetadata) => Promise<T>): Promise<T> {
  if (!existsSync(metadataPath(folder))) {
    throw new ReplicaError(
      'metadata-missing',
      `${folder} is no replica's folder: there is no metadata in it`,
    );
  }
  const lock = await ReplicaLock.acquire(folder, 'bitmap');
  try {
    const metadata = await openWhosever(folder);
    try {
      return await run(metadata);
    } finally {
      await completed((done) => metadata.close(done));
    }
  } finally {
    await lock.release();
  }
}

async function openWhosever(folder: string): Promise<ReplicaMetadata> {
  const device = await openMetadataDevice(folder);
  try {
    const record = await result<ReplicaRecord>((done) =>
      readReplicaMetadata(device, (error, content) => done(error, content?.record ?? null)),
    );
    return await result<ReplicaMetadata>((done) => openReplicaMetadata(device, record, done));
  } catch (error) {
    await completed((done) => device.close(done));
    throw error;
  }
}

function namesOf(file: string): { volume: VolumeName; peer: NodeName } {
  const [, volume, peer] = /^([^.]+)\.([^.]+)\.bitmap$/.exec(basename(file)) ?? [];
  const names = { volume: VolumeName.safeParse(volume), peer: NodeName.safeParse(peer) };
  if (names.volume.success && names.peer.success) {
    return { volume: names.volume.data, peer: names.peer.data };
  }
  throw new ReplicaError('path-missing', `${file} is no intent log: its name is not VOLUME.PEER.bitmap`);
}

/** Whoever the operating system says; nobody has verified it (REQUIREMENTS 5). */
const actor = () => ({ actor: userInfo().username, verified: false, via: 'offline', at: Date.now() });

const completed = (start: (done: Done) => void): Promise<void> =>
  new Promise((settle, reject) => {
    start((error) => (error === null ? settle() : reject(error)));
  });

const result = <T>(start: (done: (error: Error | null, value: T | null) => void) => void): Promise<T> =>
  new Promise((settle, reject) => {
    start((error, value) => (value === null ? reject(error) : settle(value)));
  });
