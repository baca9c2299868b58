import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, readFile, stat, statfs } from 'node:fs/promises';
import { lockFile } from './file-lock.ts';
import { IoError } from './io-error.ts';
import { ReplicaError } from './replica-error.ts';

export interface OpenedFile {
  readonly handle: FileHandle;
  readonly byteSize: number;
  /** Nothing but this machine's page cache and disk is behind it. */
  readonly isLocal: boolean;
}

/** statfs(2) types of file systems whose cached reads and writes wait for nobody else. */
const localFileSystems = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // zfs
]);

/**
 * Opens a file, partition or disk for this process alone: devices with O_EXCL, which also refuses what is mounted or
 * swapped on (FAULTS 26); files with a lock. Errors: `path-missing`, `path-in-use`, or the system's.
 */
export async function openFile(path: string): Promise<OpenedFile> {
  const found = await stat(path).catch((error: unknown) => Promise.reject(explain(error, path)));
  if (!found.isFile() && !found.isBlockDevice()) {
    throw new ReplicaError('path-missing', `${path} is neither a file nor a block device`);
  }
  const flags = constants.O_RDWR | (found.isBlockDevice() ? constants.O_EXCL : 0);
  const handle = await open(path, flags).catch((error: unknown) => Promise.reject(explain(error, path)));
  try {
    const opened = await handle.stat();
    if (opened.ino !== found.ino || opened.dev !== found.dev) {
      throw new ReplicaError('path-in-use', `${path} was replaced while it was being opened`);
    }
    if (opened.isBlockDevice()) return { handle, byteSize: await deviceByteSize(opened), isLocal: true };
    if (!(await lockFile(handle.fd))) throw inUse(path);
    const { type } = await statfs(path);
    return { handle, byteSize: opened.size, isLocal: localFileSystems.has(type >>> 0) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Linux counts the size of every block device in units of 512 bytes. */
async function deviceByteSize({ rdev }: Stats): Promise<number> {
  const major = Math.floor(rdev / 256) % 4096;
  const minor = (rdev % 256) + Math.floor(rdev / 2 ** 20) * 256;
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * 512;
}

function explain(error: unknown, path: string): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new ReplicaError('path-missing', `${path} does not exist`);
    case 'EBUSY':
      return inUse(path);
    default:
      return error instanceof Error ? error : new IoError('EIO', `${path}: ${String(error)}`);
  }
}

const inUse = (path: string): ReplicaError =>
  new ReplicaError('path-in-use', `${path} is in use: mounted, swapped on, or opened by another program`);
