import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Tag } from '../../domain/vocabulary.ts';
import { replicaFolder } from '../block/replica-paths.ts';
import { spare } from '../host/spare.ts';
import { EngineClient } from './engine-client.ts';
import type { Engine, EngineListener, Engines } from './ports.ts';

/** A Unix path holds 107 bytes: a longer one is refused at start (REQUIREMENTS 5). */
const unixPathBytesMax = 107;
const startTimeoutMs = 15_000;

const engineMain = fileURLToPath(new URL('../engine/main.js', import.meta.url));

/**
 * Engines as processes of their own: each outlives this agent and is adopted again through its control socket.
 * An engine's command line contains its absolute folder, so that it can be found by /proc.
 */
export class EngineProcesses implements Engines {
  readonly #dir: string;
  readonly #clients = new Map<Tag, EngineClient>();

  /** @param dir the agent's absolute DIR */
  constructor(dir: string) {
    this.#dir = dir;
    const excess = Buffer.byteLength(join(dir, 'e', '00000000', 'ctl.sock')) - unixPathBytesMax;
    if (excess > 0) {
      throw new Error(
        `--data ${dir} is ${excess} bytes too long: the path of a socket below it has at most ${unixPathBytesMax} bytes`,
      );
    }
  }

  home(
    tag: Tag,
    firstVolumePath: string,
    bitmapFolder: string | null,
  ): { folder: string; wasOpened: boolean } {
    const byDefault = join(this.#dir, 'r', basename(this.#folder(tag)));
    const folder = replicaFolder(
      firstVolumePath,
      statSync(firstVolumePath).isBlockDevice(),
      bitmapFolder ?? byDefault,
    );
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return { folder, wasOpened: existsSync(this.#marker(tag)) };
  }

  noteOpened(tag: Tag): void {
    writeFileSync(this.#marker(tag), tag, { mode: 0o600 });
  }

  forget(tag: Tag): void {
    rmSync(this.#marker(tag), { force: true });
  }

  #marker(tag: Tag): string {
    return join(this.#folder(tag), 'opened');
  }

  #folder(tag: Tag): string {
    return join(this.#dir, 'e', createHash('sha256').update(tag).digest('hex').slice(0, 8));
  }

  async run(tag: Tag, listener: EngineListener): Promise<{ engine: Engine; adopted: boolean }> {
    const socket = join(this.#folder(tag), 'ctl.sock');
    const running = await EngineClient.connect(socket, listener).catch(() => undefined);
    if (running) return { engine: this.#keep(tag, running), adopted: true };
    await this.kill(tag);
    await this.#start(tag, socket);
    return { engine: this.#keep(tag, await connected(socket, listener)), adopted: false };
  }

  #keep(tag: Tag, client: EngineClient): EngineClient {
    this.#clients.get(tag)?.close();
    this.#clients.set(tag, client);
    return client;
  }

  async #start(tag: Tag, socket: string): Promise<void> {
    const folder = this.#folder(tag);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    rmSync(socket, { force: true });
    const appeared = appears(folder, 'ctl.sock');
    const log = openSync(join(folder, 'engine.log'), 'a', 0o600);
    const child = spawn(process.execPath, [engineMain, '--dir', folder], {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: '/',
    });
    closeSync(log);
    if (child.pid !== undefined) spare(child.pid);
    child.unref();
    const ended = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(
          new Error(
            `the engine of ${tag} ended at once (${signal ?? code}); see ${join(folder, 'engine.log')}`,
          ),
        ),
      );
    });
    await Promise.race([appeared, ended]);
  }

  async kill(tag: Tag): Promise<void> {
    this.#clients.get(tag)?.close();
    this.#clients.delete(tag);
    for (const pid of pidsOf(this.#folder(tag))) {
      endNow(pid);
      await gone(pid);
    }
  }
}

/** The file of a socket is there a moment before anybody listens on it. */
async function connected(socket: string, listener: EngineListener): Promise<EngineClient> {
  for (const endMs = performance.now() + startTimeoutMs; ; ) {
    try {
      return await EngineClient.connect(socket, listener);
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Resolves when the file is there. */
function appears(folder: string, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error) => {
      clearTimeout(timer);
      watcher.close();
      if (error) reject(error);
      else resolve();
    };
    const watcher = watch(folder, () => {
      if (existsSync(join(folder, name))) finish();
    });
    const timer = setTimeout(
      () => finish(new Error(`no ${name} in ${folder} after ${startTimeoutMs} ms`)),
      startTimeoutMs,
    );
  });
}

/** Engines whose command line names the folder. */
function pidsOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter(
      (pid) =>
        pid !== process.pid && commandLine(pid).includes(folder) && commandLine(pid).includes(engineMain),
    );
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function endNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A killed process holds its disk until the kernel has let go of it. */
async function gone(pid: number): Promise<void> {
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
