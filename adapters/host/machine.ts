import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { spare } from './spare.ts';

/** How a program ended; `code` is null where it was killed, or given up at its deadline. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What attaching and mounting needs of a machine: programs, processes and /proc. */
export interface Machine {
  /** Never a shell. A program that is stuck in the kernel is left behind at its deadline (ms), not waited for. */
  run(program: string, args: readonly string[], deadlineMs: number): Promise<Ended>;
  /** Starts a process that outlives this one; its output goes to the end of the file. Resolves with its pid. */
  start(program: string, args: readonly string[], logFile: string): Promise<number>;
  /** /proc/self/mountinfo */
  mountInfo(): Promise<string>;
  /** Arguments of a process; undefined where there is none, or only what is left of it. */
  commandLine(pid: number): readonly string[] | undefined;
  kill(pid: number): void;
  /** Each file, folder and program that a process holds: reading the links of /proc touches no file system. */
  openPaths(): Promise<readonly OpenPath[]>;
}

export interface OpenPath {
  readonly pid: number;
  /** Name of the program. */
  readonly program: string;
  readonly path: string;
}

const outputBytesMax = 1024 * 1024;

export const linuxMachine: Machine = {
  run: (program, args, deadlineMs) =>
    new Promise((resolve, reject) => {
      const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
      const output = { stdout: '', stderr: '' };
      for (const stream of ['stdout', 'stderr'] as const)
        child[stream].setEncoding('utf8').on('data', (text: string) => {
          if (output[stream].length < outputBytesMax) output[stream] += text;
        });
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        child.stdout.destroy();
        child.stderr.destroy();
        child.unref();
        resolve({ ...output, code: null, stderr: `${output.stderr}no end after ${deadlineMs} ms` });
      }, deadlineMs);
      child.once('error', (error) => {
        clearTimeout(timer);
        reject(new Error(`${program} cannot be run: ${error.message}`));
      });
      child.once('close', (code) => {
        clearTimeout(timer);
        resolve({ ...output, code });
      });
    }),

  start: (program, args, logFile) =>
    new Promise((resolve, reject) => {
      const log = openSync(logFile, 'a', 0o600);
      const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' });
      closeSync(log);
      child.once('error', (error) => reject(new Error(`${program} cannot be run: ${error.message}`)));
      child.once('spawn', () => {
        child.unref();
        const pid = child.pid ?? 0;
        spare(pid);
        resolve(pid);
      });
    }),

  mountInfo: () => readFile('/proc/self/mountinfo', 'utf8'),

  commandLine: (pid) => {
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
      return args.length > 0 ? args : undefined;
    } catch {
      return undefined;
    }
  },

  kill: (pid) => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  },

  openPaths: async () => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const found = await Promise.all(pids.map((pid) => pathsOf(Number(pid))));
    return found.flat();
  },
};

async function pathsOf(pid: number): Promise<OpenPath[]> {
  const folder = `/proc/${pid}`;
  const files = await readdir(`${folder}/fd`).catch(() => []);
  const links = ['cwd', 'root', 'exe', ...files.map((file) => `fd/${file}`)];
  const paths = await Promise.all(links.map((link) => readlink(`${folder}/${link}`).catch(() => '')));
  const program = (await readFile(`${folder}/comm`, 'utf8').catch(() => '')).trim();
  return paths.filter((path) => path.startsWith('/')).map((path) => ({ pid, program, path }));
}
