import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../nbd/run.ts';

/**
 * A volume's file whose disk fails when the test says so: an image behind nbdkit's error and delay filters, as a
 * file by nbdfuse.
 */
export class FaultyDisk {
  /** What is served through the filters, as it is on the real disk. */
  readonly image: string;
  /** The file for an engine. */
  readonly path: string;
  readonly #folder: string;
  readonly #trigger: string;
  #nbdkit: ChildProcess | null = null;
  #nbdfuse: ChildProcess | null = null;

  private constructor(folder: string) {
    this.#folder = join(folder, 'fuse');
    this.image = join(folder, 'image');
    this.path = join(this.#folder, 'volume');
    this.#trigger = join(folder, 'fails');
    mkdirSync(this.#folder, { recursive: true });
  }

  /** `error`: what a failing write or flush ends with; `delayMs`: of every write. */
  static async start(
    folder: string,
    byteCount: number,
    { error = 'EIO', delayMs = 0 }: { readonly error?: 'EIO' | 'ENOSPC'; readonly delayMs?: number } = {},
  ): Promise<FaultyDisk> {
    const disk = new FaultyDisk(folder);
    writeFileSync(disk.image, Buffer.alloc(byteCount));
    const socket = join(folder, 'disk.sock');
    const filters = ['--filter=error', ...(delayMs === 0 ? [] : ['--filter=delay'])];
    const settings = [
      `error=${error}`,
      'error-pwrite-rate=100%',
      `error-pwrite-file=${disk.#trigger}`,
      ...(delayMs === 0 ? [] : [`wdelay=${delayMs}ms`]),
    ];
    const nbdkit = ['-f', '-U', socket, ...filters, 'file', disk.image, ...settings];
    try {
      disk.#nbdkit = spawn('nbdkit', nbdkit, { stdio: 'ignore' });
      await appeared(socket, disk.#nbdkit);
      disk.#nbdfuse = spawn('nbdfuse', [disk.path, `nbd+unix:///?socket=${socket}`], { stdio: 'ignore' });
      await appeared(disk.path, disk.#nbdfuse);
      return disk;
    } catch (failure) {
      await disk.stop();
      throw failure;
    }
  }

  /** Every write fails from now on. */
  fail(): void {
    writeFileSync(this.#trigger, '');
  }

  mend(): void {
    rmSync(this.#trigger, { force: true });
  }

  /** Requests are taken and never answered. */
  freeze(): void {
    this.#nbdkit?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#nbdkit?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.thaw();
    await run('fusermount3', '-u', '-z', this.#folder);
    await Promise.all([ended(this.#nbdfuse), ended(this.#nbdkit)]);
  }
}

function ended(child: ChildProcess | null): Promise<void> {
  return new Promise((resolve) => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

/** Looked for some 100 times a second: nothing tells of a file in a FUSE file system. */
function appeared(path: string, server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error: Error | null) => {
      clearInterval(timer);
      clearTimeout(limit);
      if (error === null) resolve();
      else reject(error);
    };
    const timer = setInterval(() => {
      if (existsSync(path)) finish(null);
    }, 10);
    const limit = setTimeout(() => finish(new Error(`no ${path} after 10 s`)), 10_000);
    server.once('error', finish);
    server.once('exit', (code) => finish(new Error(`the server of ${path} ended with ${code}`)));
  });
}
