import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { JournalError } from './journal.ts';

/**
 * One process per journal directory.
 *
 * LevelDB's own lock is lost when its holder opens the directory a second time (DESIGN 4), so this one comes
 * first: a file `lock` that names its holder by process id *and* start time, so that a process id used again
 * is not taken for the holder, and nothing has to be cleaned up after a kill or a power failure. It appears
 * complete or not at all (written aside, then linked). A stale lock is moved aside before it is replaced;
 * should two processes do so in the same moment, LevelDB's lock, taken next, lets only one of them through.
 */
const Holder = z.object({
  pid: z.int(),
  startTime: z.string(),
  boot: z.string(),
  pidNamespace: z.string(),
  id: z.string(),
});
type Holder = z.infer<typeof Holder>;

export interface DirectoryLock {
  release(): void;
}

/** Errors: `locked`. */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, 'lock');
  const mine = myself();
  const aside = `${path}.${mine.id}`;
  writeFileSync(aside, JSON.stringify(mine), { mode: 0o600 });
  try {
    if (!linked(aside, path)) {
      const holder = readHolder(path);
      if (holder !== undefined && isAlive(holder, mine)) throw locked(directory, holder);
      const stale = `${path}.stale.${mine.id}`;
      if (holder !== undefined || linkExists(path)) renameSync(path, stale);
      rmSync(stale, { force: true });
      if (!linked(aside, path)) throw locked(directory, readHolder(path));
    }
  } finally {
    rmSync(aside, { force: true });
  }
  return {
    release: () => {
      if (readHolder(path)?.id === mine.id) rmSync(path, { force: true });
    },
  };
}

const locked = (directory: string, holder: Holder | undefined): JournalError =>
  new JournalError('locked', `${directory} is in use by process ${holder?.pid ?? 'unknown'}`);

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function linkExists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    return Holder.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

const myself = (): Holder => ({
  pid: process.pid,
  startTime: startTime(process.pid) ?? '',
  boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  pidNamespace: readlinkSync('/proc/self/ns/pid'),
  id: randomUUID(),
});

/** A holder of another pid namespace cannot be seen from here: LevelDB's lock decides about it. */
const isAlive = (holder: Holder, mine: Holder): boolean =>
  holder.boot === mine.boot &&
  holder.pidNamespace === mine.pidNamespace &&
  startTime(holder.pid) === holder.startTime;

/** Fields 3 and 22 of /proc/PID/stat (proc_pid_stat(5)); the command's name before them may hold anything. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isDead = fields[0] === 'Z' || fields[0] === 'X';
    return isDead ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
