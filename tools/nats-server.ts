import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { unpackDebianPackage } from './debian-package.ts';

/**
 * A private nats-server for the lab and the tests. Found on PATH, else unpacked from the Debian package into a cache
 * folder, which needs no root (DESIGN 4).
 */

export interface NatsServerOptions {
  /** Holds the configuration and, with JetStream, the store. */
  readonly folder: string;
  readonly jetStream: boolean;
  /** A free one of the loopback interface when not given. */
  readonly port?: number;
  /** More of nats-server's configuration; address, port and store of this one go before it. */
  readonly configuration?: string;
  /** What the configuration takes from the environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Where an unpacked nats-server is kept. */
  readonly cacheFolder?: string;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process has ended, whoever ended it. */
  readonly exited: Promise<void>;
  /** Ends it, frozen or not, and waits for that. */
  stop(): Promise<void>;
}

const startMsMax = 20_000;

export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const program = await findNatsServer(options.cacheFolder ?? resolve('.cache'));
  await mkdir(options.folder, { recursive: true });
  const file = join(options.folder, 'nats-server.conf');
  await writeFile(file, configuration(options), { mode: 0o600 });
  const child = spawn(program, ['-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  const exited = new Promise<void>((ended) => {
    child.once('exit', () => ended());
    child.once('error', () => ended());
  });
  const stop = () => {
    child.kill('SIGKILL');
    return exited;
  };
  const port = await listening(child).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url: `nats://127.0.0.1:${port}`, port, pid: child.pid ?? 0, exited, stop };
}

/** Of a key that is there twice the last one holds; `JSON.stringify` quotes as nats-server reads it. */
function configuration({ folder, jetStream, port, configuration: more }: NatsServerOptions): string {
  const store = jetStream ? `jetstream: { store_dir: ${JSON.stringify(resolve(folder, 'store'))} }` : '';
  return [more ?? '', 'host: "127.0.0.1"', `port: ${port ?? -1}`, store, ''].join('\n');
}

/** The port, once the server says that it is ready. Its log is read to the end, so that it never blocks on it. */
function listening(child: ChildProcess): Promise<number> {
  return new Promise((ready, failed) => {
    const said: string[] = [];
    const fail = (why: string) => {
      clearTimeout(timer);
      failed(
        new Error(
          `nats-server did not start: ${why}; it said: ${said.filter(Boolean).slice(-5).join(' | ')}`,
        ),
      );
    };
    const timer = setTimeout(() => fail(`not ready within ${startMsMax} ms`), startMsMax);
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code, signal) => fail(`it ended with ${code ?? signal}`));
    let port = 0;
    if (child.stderr === null) return fail('it has no log');
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (said.push(line) > 50) said.shift();
      port = Number(/Listening for client connections on \S+:(\d+)/.exec(line)?.[1] ?? port);
      if (!line.includes('Server is ready')) return;
      clearTimeout(timer);
      ready(port);
    });
  });
}

const systemFolders = ['/usr/sbin', '/usr/local/sbin', '/sbin', '/usr/bin', '/usr/local/bin'];

/** The path of a nats-server. Throws a sentence that says what to do where there is none and none can be had. */
export async function findNatsServer(
  cacheFolder: string,
  path = process.env['PATH'] ?? '',
  otherFolders: readonly string[] = systemFolders,
): Promise<string> {
  const unpacked = join(cacheFolder, 'nats-server');
  const folders = [...path.split(delimiter).filter(Boolean), ...otherFolders, join(unpacked, 'usr/sbin')];
  for (const folder of folders) {
    const program = join(folder, 'nats-server');
    if (await isExecutable(program)) return program;
  }
  await unpackDebianPackage('nats-server', unpacked).catch((error: unknown) => {
    throw new Error(
      `nats-server is not installed and could not be unpacked from the Debian package (${firstLine(error)}). ` +
        'Install it (Debian and Ubuntu: apt-get install nats-server; else https://nats.io/download) or put it on PATH.',
    );
  });
  return join(unpacked, 'usr/sbin/nats-server');
}

async function isExecutable(program: string): Promise<boolean> {
  return access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n').find((line) => line.startsWith('E: ')) ?? text.split('\n')[0] ?? '';
}
