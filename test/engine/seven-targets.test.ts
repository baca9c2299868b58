import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EngineProcess, openEngine } from './engine-process.ts';
import type { NbdClient } from './nbd-client.ts';
import { dice } from './workload.ts';

const MiB = 1024 * 1024;
const volumeBytes = 8 * MiB;
const writeBytes = 64 * 1024;

/** Modes of the mirrors of the source, which has the name `a`. */
const modes = {
  b: 'sync',
  c: 'sync',
  d: 'memory-sync',
  e: 'async',
  slow: 'async',
  dead: 'sync',
  paused: 'sync',
} as const;
type Name = 'a' | keyof typeof modes;

let folder: string;
let engines: Map<Name, EngineProcess>;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mk-seven-'));
  engines = new Map();
});
afterEach(async () => {
  await Promise.all([...engines.values()].map((each) => each.kill()));
  rmSync(folder, { recursive: true, force: true });
});

const engine = (name: Name): EngineProcess => {
  const found = engines.get(name);
  if (found === undefined) throw new Error(`there is no engine ${name}`);
  return found;
};

async function mirrored(): Promise<void> {
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  const names = ['a', ...Object.keys(modes)] as Name[];
  for (const name of names) engines.set(name, new EngineProcess(folder, name, volumeBytes));
  await Promise.all(
    names.map(async (name) => {
      await engine(name).start();
      await openEngine(engine(name), keyFile, { isFirst: name === 'a' });
    }),
  );
  const source = engine('a');
  await source.ordered({ order: 'serve', epoch: 1 });
  for (const name of names) {
    for (const peer of names) {
      if (peer === name) continue;
      const mode = modes[(name === 'a' ? peer : name) as keyof typeof modes];
      const endpoints = [{ host: '127.0.0.1', port: engine(peer).port }];
      await engine(name).ordered({ order: 'connect', peer, endpoints, settings: { mode, asyncLimit: 16 } });
    }
  }
  for (const name of names) {
    if (name === 'a') continue;
    await engine(name).ordered({ order: 'become-target', epoch: 1 });
  }
  for (const name of names) if (name !== 'a') await source.inSync(name);
}

/** Stands still for most of the time, never so long that it is lost. */
function crawling(victim: EngineProcess): { end(): void } {
  let isStopped = false;
  const timer = setInterval(() => {
    isStopped = !isStopped;
    victim.signal(isStopped ? 'SIGSTOP' : 'SIGCONT');
  }, 60);
  return {
    end: () => {
      clearInterval(timer);
      victim.signal('SIGCONT');
    },
  };
}

/** Writes all over the volume, `depth` in flight; resolves when all are acknowledged. */
async function writeAbout(client: NbdClient, count: number, depth: number): Promise<void> {
  const roll = dice(11);
  let left = count;
  const writer = async () => {
    while (left > 0) {
      left -= 1;
      const bytes = randomBytes(writeBytes);
      const offset = 4096 * roll((volumeBytes - writeBytes) / 4096);
      const error = await new Promise((resolve) => client.write(offset, bytes, false, resolve));
      if (error !== 0) throw new Error(`a write ended with ${error}`);
    }
  };
  await Promise.all(Array.from({ length: depth }, writer));
}

const residentMiB = (pid: number, what: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

it('7 targets of mixed modes, one slow, one dead, one paused: bounded memory, and equal images at the end (I16)', async () => {
  await mirrored();
  const source = engine('a');
  const before = residentMiB(source.pid, 'VmRSS');
  await source.ordered({ order: 'pause', peer: 'paused', reason: 'a backup' });
  await engine('dead').kill();
  const crawl = crawling(engine('slow'));
  const client = await source.nbd(1);
  // 96 MiB: twelve times the volume, and more than any mirror's queue may hold.
  await writeAbout(client, 1536, 16);
  const peak = residentMiB(source.pid, 'VmHWM');
  expect(peak - before).toBeLessThan(192);
  crawl.end();
  for (const name of ['b', 'c', 'd', 'e', 'slow'] as const) await source.inSync(name);
  await source.until('empty queues', async () =>
    (await source.status()).peers.every(({ queuedWrites }) => queuedWrites === 0),
  );
  for (const name of ['b', 'c', 'd', 'e', 'slow'] as const)
    expect(engine(name).image().equals(source.image()), name).toBe(true);
  expect(engine('paused').image().equals(source.image())).toBe(false);

  await source.ordered({ order: 'resume', peer: 'paused' });
  await engine('dead').start();
  await openEngine(engine('dead'), join(folder, 'key'), { create: false });
  await engine('dead').ordered({ order: 'become-target', epoch: 1 });
  for (const name of ['dead', 'paused'] as const) {
    await source.inSync(name);
    expect(engine(name).image().equals(source.image()), name).toBe(true);
  }
  client.close();
});
