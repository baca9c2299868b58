import { execFile } from 'node:child_process';
import { constants, type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { PathFact } from '../../domain/facts.ts';
import type { Host } from '../agent/ports.ts';
import { type Mount, parseMountInfo } from './mount-table.ts';

const run = promisify(execFile);
/** Beside a device that hangs in the kernel, whoever asks for loop devices hangs with it. */
const answerMs = 5000;
const missing: PathFact = {
  exists: false,
  usedBy: null,
  mountedAt: null,
  fstype: null,
  byteSize: 0,
  blank: false,
};

/** Paths of this machine: what they are, who has them, whether there is anything on them (rules 1 and 2). */
export class LinuxHost implements Host {
  realPath(path: string): Promise<string> {
    return realpath(path).catch(() => path);
  }

  async inspect(path: string, protectedPaths: ReadonlyMap<string, string>): Promise<PathFact> {
    const real = await realpath(path).catch(() => undefined);
    if (real === undefined) return missing;
    const stats = await stat(real);
    if (!stats.isFile() && !stats.isBlockDevice()) {
      return { ...missing, exists: true, usedBy: 'neither a file nor a block device' };
    }
    const loops = await loopsOf(real);
    const mount = mountOf(real, loops ?? [], parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8')));
    const otherUse = (await isSwap(real)) ? 'swap' : loopUse(loops);
    const usedBy = protectedPaths.get(real) ?? (mount ? 'mounted' : (otherUse ?? null));
    const handle = await open(real, constants.O_RDONLY);
    try {
      const byteSize = stats.isFile() ? stats.size : await deviceSize(real);
      const unallocated = stats.isFile() && stats.blocks === 0;
      return {
        exists: true,
        usedBy,
        mountedAt: mount?.at ?? null,
        fstype: mount?.fstype ?? null,
        byteSize,
        blank: unallocated || (await readsZeros(handle, byteSize)),
      };
    } finally {
      await handle.close();
    }
  }
}

/** Where a device, or a file by way of a loop device, is mounted. */
function mountOf(path: string, loops: readonly string[], mounts: readonly Mount[]): Mount | undefined {
  return mounts.find(({ source }) => source === path || loops.includes(source));
}

/** Null: there was no answer in time. */
async function loopsOf(path: string): Promise<string[] | null> {
  const listed = ['--associated', path, '--output', 'NAME', '--noheadings'];
  try {
    const { stdout } = await run('losetup', listed, { timeout: answerMs });
    return stdout.split('\n').flatMap((line) => line.trim() || []);
  } catch (error) {
    return (error as { killed?: boolean }).killed === true ? null : [];
  }
}

function loopUse(loops: readonly string[] | null): string | undefined {
  if (loops === null) return 'nobody can tell: losetup does not answer, as beside a device that hangs';
  return loops.map((loop) => `attached as ${loop}`)[0];
}

async function isSwap(path: string): Promise<boolean> {
  const swaps = await readFile('/proc/swaps', 'utf8').catch(() => '');
  return swaps.split('\n').some((line) => line.startsWith(`${path} `));
}

async function deviceSize(device: string): Promise<number> {
  const sectors = await readFile(`/sys/class/block/${basename(device)}/size`, 'utf8');
  return Number(sectors.trim()) * 512;
}

/** Stops at the first other byte; the holes of a sparse file read fast. */
async function readsZeros(handle: FileHandle, byteSize: number): Promise<boolean> {
  const chunk = Buffer.alloc(1024 * 1024);
  const zeros = Buffer.alloc(chunk.length);
  for (let offset = 0; offset < byteSize; ) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, byteSize - offset), offset);
    if (bytesRead === 0) return true;
    if (zeros.compare(chunk, 0, bytesRead, 0, bytesRead) !== 0) return false;
    offset += bytesRead;
  }
  return true;
}
