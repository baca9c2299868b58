import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import { descendantsOf, killAll } from './processes.ts';

const run = promisify(execFile);
const outputBytesMax = 64 * 1024 * 1024;

/** The newest server that Debian has installed. */
function programs(): string {
  const versions = readdirSync('/usr/lib/postgresql').map(Number);
  return `/usr/lib/postgresql/${Math.max(...versions)}/bin`;
}

/**
 * A PostgreSQL server with its data in one file system and its write-ahead log in another, as `postgres`, reached over
 * a Unix socket alone.
 */
export class Postgres {
  readonly #data: string;
  readonly #wal: string;
  readonly #sockets: string;
  #server: ChildProcess | null = null;

  /** @param folder where the two volumes are mounted, at `data` and `wal` */
  constructor(folder: string, sockets: string) {
    this.#data = join(folder, 'data', 'pg');
    this.#wal = join(folder, 'wal', 'pg');
    this.#sockets = sockets;
  }

  /** `pg_wal` is a relative link, as the nodes of a test mount at different folders. */
  async initialise(): Promise<void> {
    for (const parent of [this.#data, this.#wal])
      await run('install', ['-d', '-o', 'postgres', '-m', '700', parent]);
    const options = ['--pgdata', this.#data, '--waldir', this.#wal, '--auth', 'trust', '--no-sync'];
    await this.#as('initdb', options);
    await rm(join(this.#data, 'pg_wal'));
    await symlink('../../wal/pg', join(this.#data, 'pg_wal'));
    await run('sync');
  }

  /** What a killed server left names its process there; here, all nodes being one machine, that may not be reaped yet. */
  async startElsewhere(): Promise<void> {
    await rm(join(this.#data, 'postmaster.pid'));
    await this.start();
  }

  async start(): Promise<void> {
    await mkdir(this.#sockets, { recursive: true });
    await run('chown', ['postgres', this.#sockets]);
    const log = openSync(join(this.#sockets, 'log'), 'a');
    const settings = ['-D', this.#data, '-k', this.#sockets, '-c', 'listen_addresses='];
    this.#server = spawn('runuser', ['-u', 'postgres', '--', join(programs(), 'postgres'), ...settings], {
      stdio: ['ignore', log, log],
      cwd: '/',
    });
    closeSync(log);
    try {
      await vi.waitFor(() => run(join(programs(), 'pg_isready'), ['-h', this.#sockets]), {
        timeout: 30_000,
        interval: 100,
      });
    } catch (error) {
      const said = await readFile(join(this.#sockets, 'log'), 'utf8');
      throw new Error(`PostgreSQL does not start: ${said}`, { cause: error });
    }
  }

  /** As a power failure ends it. */
  kill(): Promise<void> {
    return killAll(this.#server?.pid === undefined ? [] : descendantsOf(this.#server.pid));
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#server?.once('exit', resolve));
    await this.#as('pg_ctl', ['stop', '-D', this.#data, '-m', 'fast']);
    await ended;
  }

  /** Rows, one per line. */
  async query(sql: string): Promise<string[]> {
    const { stdout } = await run(
      join(programs(), 'psql'),
      ['-h', this.#sockets, '-U', 'postgres', '-qAtc', sql],
      { maxBuffer: outputBytesMax },
    );
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** Resolves with the number of transactions that it counted as committed, also when the server died under it. */
  async bench(folder: string, seconds: number): Promise<number> {
    await mkdir(folder, { recursive: true });
    const options = ['-h', this.#sockets, '-U', 'postgres', '-c', '4', '-n', '-T', String(seconds)];
    await run(join(programs(), 'pgbench'), [...options, '-l', 'postgres'], { cwd: folder }).catch(
      () => undefined,
    );
    const logs = readdirSync(folder).filter((name) => name.startsWith('pgbench_log'));
    const texts = await Promise.all(logs.map((name) => readFile(join(folder, name), 'utf8')));
    return texts
      .join('')
      .split('\n')
      .filter((line) => /^\d+ \d+ \d+ \d+ \d+ \d+$/.test(line)).length;
  }

  async prepareBench(): Promise<void> {
    await run(join(programs(), 'pgbench'), ['-h', this.#sockets, '-U', 'postgres', '-i', '-q', 'postgres']);
  }

  /** Every table and index of every database, as `pg_amcheck` reads them; rejects with what is wrong. */
  async check(): Promise<void> {
    const options = ['-h', this.#sockets, '-U', 'postgres', '--install-missing', '--heapallindexed', '--all'];
    await run(join(programs(), 'pg_amcheck'), options, { maxBuffer: outputBytesMax });
  }

  /** Numbers that are committed one after the other for as long as the server answers, in a table of their own. */
  ledger(): { readonly acknowledged: number[]; readonly ended: Promise<void> } {
    const acknowledged: number[] = [];
    const psql = spawn(
      join(programs(), 'psql'),
      ['-h', this.#sockets, '-U', 'postgres', '-qAt', 'postgres'],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    );
    psql.stdin.on('error', () => undefined);
    const next = () => psql.stdin.write(`insert into ledger values (${acknowledged.length}) returning n;\n`);
    psql.stdout.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) {
        if (line === '' || Number(line) !== acknowledged.length) continue;
        acknowledged.push(Number(line));
        next();
      }
    });
    next();
    const ended = new Promise<void>((resolve) => psql.once('exit', () => resolve()));
    return { acknowledged, ended };
  }

  #as(program: string, args: readonly string[]) {
    return run('runuser', ['-u', 'postgres', '--', join(programs(), program), ...args], { cwd: '/' });
  }
}
