import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Processes whose command line names a folder: an engine's holds its own (REQUIREMENTS 5). */
export function pidsUnder(folder: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && isUnder(commandLine(pid), folder));
}

const isUnder = (words: readonly string[], folder: string) =>
  words.some((word) => word === folder || word.startsWith(`${folder}/`));

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const lookMs = 20;

/** Asks them to end, kills those that have not after `patienceMs`, and resolves when all are gone. */
export async function endAll(pids: readonly number[], patienceMs: number): Promise<void> {
  const end = Date.now() + patienceMs;
  for (const pid of pids) signal(pid, patienceMs > 0 ? 'SIGTERM' : 'SIGKILL');
  for (let left = pids.filter(isRunning); left.length > 0; left = left.filter(isRunning)) {
    if (Date.now() >= end) for (const pid of left) signal(pid, 'SIGKILL');
    await delay(lookMs);
  }
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
