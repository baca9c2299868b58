import { execFile } from 'node:child_process';
import { access, constants, readFile, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a server has of what Mirrorkeeper may need; looked at, never changed. */
export interface Found {
  readonly nodeVersion: string;
  readonly processors: number;
  /** Of the programs that were asked for, those on the PATH. */
  readonly programs: ReadonlySet<string>;
  /** `nbd`, `fuse`, `loop`: loaded, built in or loadable. */
  readonly kernel: ReadonlySet<string>;
  readonly isRoot: boolean;
  readonly memoryAvailableBytes: number;
  /** Null: the folder is not there. */
  readonly diskFreeBytes: number | null;
  /** Null: nothing here says so. */
  readonly isClockSynchronised: boolean | null;
  /** Of the asked range, those that something listens on already. Null: none was asked for. */
  readonly portsTaken: readonly number[] | null;
  /** Why nothing can listen at the address, or null. */
  readonly addressFailure: string | null;
}

export interface Asked {
  readonly dir: string;
  readonly programs: readonly string[];
  readonly ports: { readonly host: string; readonly first: number; readonly last: number } | null;
}

export async function lookAround({ dir, programs, ports }: Asked): Promise<Found> {
  const onPath = await Promise.all(programs.map(isOnPath));
  const kernel = await Promise.all(['nbd', 'fuse', 'loop'].map(hasKernel));
  const listening = ports === null ? null : await listeners(ports);
  return {
    nodeVersion: process.versions.node,
    processors: availableParallelism(),
    programs: new Set(programs.filter((_, index) => onPath[index])),
    kernel: new Set(['nbd', 'fuse', 'loop'].filter((_, index) => kernel[index])),
    isRoot: process.getuid?.() === 0,
    memoryAvailableBytes: await memoryAvailable(),
    diskFreeBytes: await statfs(dir).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => null,
    ),
    isClockSynchronised: await isClockSynchronised(),
    portsTaken: listening?.taken ?? null,
    addressFailure: listening?.failure ?? null,
  };
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  const found = await Promise.all(folders.map((folder) => isThere(join(folder, program), constants.X_OK)));
  return found.includes(true);
}

const devices: Readonly<Record<string, string>> = {
  fuse: '/dev/fuse',
  loop: '/dev/loop-control',
  nbd: '/dev/nbd0',
};

async function hasKernel(name: string): Promise<boolean> {
  if (await isThere(devices[name] ?? '')) return true;
  if (await isThere(`/sys/module/${name}`)) return true;
  return run('modprobe', ['--dry-run', '--quiet', name]).then(
    () => true,
    () => false,
  );
}

const isThere = (path: string, mode = constants.F_OK): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

async function memoryAvailable(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return 1024 * Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0);
}

async function isClockSynchronised(): Promise<boolean | null> {
  const asked = ['show', '--property=NTPSynchronized', '--value'];
  const answer = await run('timedatectl', asked, { timeout: 2000 }).catch(() => null);
  return answer === null ? null : answer.stdout.trim() === 'yes';
}

async function listeners({ host, first, last }: NonNullable<Asked['ports']>) {
  const taken: number[] = [];
  for (let port = first; port <= last; port += 1) {
    const failure = await listenOnce(host, port);
    if (failure === 'EADDRINUSE') taken.push(port);
    else if (failure !== null) return { taken, failure: `${host}: ${failure}` };
  }
  return { taken, failure: null };
}

/** The code of the error, or null. */
function listenOnce(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
