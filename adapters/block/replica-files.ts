import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Done } from './block-device.ts';
import { FileDevice } from './file-device.ts';
import type { IntentLog } from './intent-log.ts';
import type { IntentLogOptions } from './open-intent-log.ts';
import { intentLogByteSize, openIntentLog } from './open-intent-log.ts';
import { ReplicaError } from './replica-error.ts';
import type { ReplicaMetadata } from './replica-metadata.ts';
import { createReplicaMetadata, openReplicaMetadata } from './replica-metadata.ts';
import { metadataByteSize } from './replica-metadata-codec.ts';
import { intentLogPath, metadataPath } from './replica-paths.ts';
import type { ReplicaIdentity, ReplicaRecord } from './replica-record.ts';

/**
 * The files of a replica, from and to stable storage. Each is made under another name, complete, and then given its
 * own, so that a crash leaves either no file or a whole one. Space is written, not only promised: a full disk shows
 * when a replica is made, not when a region is marked.
 */

/** Makes the folder (mode 0700) and those above it, durably. */
export async function createReplicaFolder(folder: string): Promise<void> {
  const firstMade = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (firstMade === undefined) return;
  for (let made = folder; made.length >= firstMade.length; made = dirname(made)) {
    await syncFolder(dirname(made));
  }
}

/** Errors: `path-in-use` where there is metadata already, or the system's. */
export async function createMetadataFile(folder: string, record: ReplicaRecord): Promise<ReplicaMetadata> {
  const path = metadataPath(folder);
  const newPath = await newFile(path, metadataByteSize);
  // 1. Complete under another name.
  const device = await FileDevice.open(newPath);
  try {
    await opened((done) => createReplicaMetadata(device, record, done));
  } finally {
    await closed(device);
  }
  // 2. Its own name, unless there is one: a replica's record is never overwritten by a fresh one.
  await link(newPath, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
    throw new ReplicaError('path-in-use', `${path} exists already`);
  });
  await rm(newPath);
  await syncFolder(folder);
  return openMetadataFile(folder, record);
}

/** Errors: those of `openReplicaMetadata`. */
export async function openMetadataFile(folder: string, expected: ReplicaIdentity): Promise<ReplicaMetadata> {
  const device = await openMetadataDevice(folder);
  try {
    return await opened((done) => openReplicaMetadata(device, expected, done));
  } catch (error) {
    await closed(device);
    throw error;
  }
}

/** Errors: `metadata-missing`, `path-in-use`, or the system's. */
export async function openMetadataDevice(folder: string): Promise<FileDevice> {
  const path = metadataPath(folder);
  return FileDevice.open(path).catch((error: unknown) => {
    if (!(error instanceof ReplicaError) || error.code !== 'path-missing') throw error;
    throw new ReplicaError('metadata-missing', `there is no replica metadata in ${folder}`);
  });
}

/** Opens the log's file, made anew where it is missing or has another size (all ones then: `reason`). */
export async function openIntentLogFile(
  bitmapFolder: string,
  options: Omit<IntentLogOptions, 'device'>,
): Promise<IntentLog> {
  const { volume, peer } = options.identity;
  const path = intentLogPath(bitmapFolder, volume, peer);
  const byteSize = intentLogByteSize(options.volumeByteSize);
  const found = await stat(path).catch(() => null);
  if (found?.size !== byteSize) {
    await rename(await newFile(path, byteSize), path);
    await syncFolder(bitmapFolder);
  }
  const device = await FileDevice.open(path);
  return new Promise((resolve) => openIntentLog({ ...options, device }, resolve));
}

/** A file of zeros beside `path`, on stable storage; what an interrupted attempt left is replaced. */
async function newFile(path: string, byteSize: number): Promise<string> {
  const newPath = `${path}.new`;
  const handle = await open(newPath, 'w', 0o600);
  try {
    const chunk = Buffer.alloc(Math.min(byteSize, 1024 * 1024));
    for (let at = 0; at < byteSize; at += chunk.length) {
      await handle.writeFile(chunk.subarray(0, Math.min(chunk.length, byteSize - at)));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return newPath;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function opened(
  start: (done: (error: Error | null, metadata: ReplicaMetadata | null) => void) => void,
): Promise<ReplicaMetadata> {
  return new Promise((resolve, reject) => {
    start((error, metadata) => {
      if (metadata !== null) resolve(metadata);
      else reject(error);
    });
  });
}

const closed = (device: FileDevice): Promise<void> =>
  new Promise((resolve) => {
    const ignore: Done = () => resolve();
    device.close(ignore);
  });
