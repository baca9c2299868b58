import { execFile } from 'node:child_process';
import { constants, type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { PathFact } from '../../domain/facts.ts';
import type { Host } from '../agent/ports.ts';

const run = promisify(execFile);
const missing: PathFact = { exists: false, usedBy: null, mountedAt: null, byteSize: 0, blank: false };

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
    const mountedAt = await mountPointOf(real);
    const usedBy = protectedPaths.get(real) ?? (mountedAt === null ? await otherUse(real) : 'mounted');
    const handle = await open(real, constants.O_RDONLY);
    try {
      const byteSize = stats.isFile() ? stats.size : await deviceSize(real);
      const unallocated = stats.isFile() && stats.blocks === 0;
      return {
        exists: true,
        usedBy,
        mountedAt,
        byteSize,
        blank: unallocated || (await readsZeros(handle, byteSize)),
      };
    } finally {
      await handle.close();
    }
  }
}

async function mountPointOf(device: string): Promise<string | null> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const line = mounts.split('\n').find((entry) => entry.startsWith(`${device} `));
  return line?.split(' ')[1] ?? null;
}

async function otherUse(path: string): Promise<string | null> {
  const swaps = await readFile('/proc/swaps', 'utf8').catch(() => '');
  if (swaps.split('\n').some((line) => line.startsWith(`${path} `))) return 'swap';
  const { stdout } = await run('losetup', ['--associated', path, '--output', 'NAME', '--noheadings']).catch(
    () => ({
      stdout: '',
    }),
  );
  return stdout.trim() === '' ? null : `attached as ${stdout.trim()}`;
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
