import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const readyMs = 15_000;

/** A process of the bench: named, with its memory, ended by its own id. */
export class BenchProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  #failure: Error | null = null;

  constructor(name: string, program: string, args: readonly string[]) {
    this.name = name;
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#child = child;
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    this.#child.once('error', (error) => {
      this.#failure = error;
    });
    this.#child.once('exit', (code, signal) => {
      this.#failure ??= new Error(`${program} has ended with ${code ?? signal}`);
    });
  }

  /** Resolves when somebody listens there. */
  listens(at: NetConnectOpts): Promise<void> {
    return this.#until(() => accepts(at));
  }

  /** Resolves when the file is there. */
  makes(path: string): Promise<void> {
    return this.#until(() => Promise.resolve(existsSync(path)));
  }

  /** Resident memory in MiB. */
  get memoryMiB(): number {
    const status = readFileSync(`/proc/${this.#child.pid ?? 0}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }

  async #until(isReady: () => Promise<boolean>): Promise<void> {
    for (const endMs = performance.now() + readyMs; !(await isReady()); await delay(20)) {
      if (this.#failure !== null) throw this.#failure;
      if (performance.now() > endMs) throw new Error(`${this.name} is not ready after ${readyMs} ms`);
    }
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

function accepts(at: NetConnectOpts): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A port that nobody has: for programs that cannot choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Fails with what is to be installed. */
export function needPrograms(packages: Readonly<Record<string, string>>): void {
  const missing = Object.entries(packages).filter(([program]) => !isOnPath(program));
  if (missing.length === 0) return;
  const names = [...new Set(missing.map(([, name]) => name))].join(' ');
  throw new Error(
    `not installed: ${missing.map(([program]) => program).join(', ')}; on Debian: apt-get install ${names}`,
  );
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * An image without holes, so that every contestant writes to blocks that there are. Written by the block: a page cache
 * of large folios makes each later 4 KiB write cost as much as its whole folio.
 */
export function makeImage(path: string, byteCount: number): string {
  const file = openSync(path, 'w');
  const block = Buffer.alloc(4096, 0xa5);
  for (let at = 0; at < byteCount; at += block.length) writeSync(file, block, 0, block.length, at);
  return path;
}
