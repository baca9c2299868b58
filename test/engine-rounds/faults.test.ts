import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineProcess, openEngine } from '../engine/engine-process.ts';
import type { NbdClient } from '../engine/nbd-client.ts';
import { CorruptingProxy } from '../link/corrupting-proxy.ts';
import { FaultyDisk } from './faulty-disk.ts';

const volumeBytes = 8 * 1024 * 1024;
const region = 65_536;
const page = (label: number) => Buffer.alloc(4096, label);

const write = (client: NbdClient, offset: number, bytes: Buffer): Promise<number | null> =>
  new Promise((resolve) => client.write(offset, bytes, false, resolve));
const flush = (client: NbdClient): Promise<number | null> =>
  new Promise((resolve) => client.flush((error) => resolve(error)));
const EIO = 5;
const ENOSPC = 28;

/** Real processes: adam is the source, eve the target; between them, where a test says so, a proxy. */
describe('faults of disks and links under engine processes', () => {
  let folder: string;
  let keyFile: string;
  let adam: EngineProcess;
  let eve: EngineProcess;
  let client: NbdClient | null;
  let disk: FaultyDisk | null;
  let proxy: CorruptingProxy | null;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mk-faults-'));
    keyFile = join(folder, 'key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    adam = new EngineProcess(folder, 'adam', volumeBytes);
    eve = new EngineProcess(folder, 'eve', volumeBytes);
    client = null;
    disk = null;
    proxy = null;
  });
  afterEach(async () => {
    client?.close();
    disk?.thaw();
    await Promise.all([adam.kill(), eve.kill(), proxy?.close()]);
    await disk?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  interface Wiring {
    readonly isProxied?: boolean;
    /** Short: a disk that answers nothing is to be noticed soon. */
    readonly writeTimeoutMs?: number;
  }

  async function mirror(
    faulty: 'adam' | 'eve' | 'none',
    { isProxied = false, writeTimeoutMs = 500 }: Wiring = {},
  ): Promise<NbdClient> {
    for (const engine of [adam, eve]) {
      await engine.start();
      const path = engine.name === faulty && disk !== null ? disk.path : engine.volumePath;
      await openEngine(engine, keyFile, {
        isFirst: engine === adam,
        volumes: [{ name: 'v0', path }],
        settings: { heartbeatMs: 100, lostAfter: 5, writeTimeoutMs },
      });
    }
    await adam.ordered({ order: 'serve', epoch: 1 });
    const eveAt = { host: '127.0.0.1', port: eve.port };
    if (isProxied) proxy = await CorruptingProxy.start(eveAt);
    const settings = { mode: 'sync' };
    // adam dials: the smaller name.
    await adam.ordered({ order: 'connect', peer: 'eve', endpoints: [proxy?.endpoint ?? eveAt], settings });
    const adamAt = { host: '127.0.0.1', port: adam.port };
    await eve.ordered({ order: 'connect', peer: 'adam', endpoints: [adamAt], settings });
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.inSync('eve');
    client = await adam.nbd(1);
    return client;
  }

  const equal = (targetImage: Buffer) => expect(adam.image().equals(targetImage)).toBe(true);

  it.each([
    ['EIO', 'EIO'],
    ['ENOSPC', 'ENOSPC'],
  ] as const)(
    'FAULTS 31: %s on the target’s disk: it says so durably, the source goes on degraded',
    async (_, error) => {
      disk = await FaultyDisk.start(join(folder, 'disk'), volumeBytes, { error });
      const at = await mirror('eve');
      expect(await write(at, 0, page(1))).toBe(0);
      disk.fail();
      expect(await write(at, region, page(2))).toBe(0);
      await eve.until('the failure', async () => (await eve.status()).replica?.failed !== null);
      expect((await eve.status()).replica).toMatchObject({ inSync: false, consistent: false });
      expect(await eve.order({ order: 'serve', epoch: 2 })).toMatchObject({ ok: false });
      expect(adam.observations).toContainEqual(
        expect.objectContaining({ type: 'peer-out-of-sync', peer: 'eve' }),
      );
      expect((await adam.peer('eve')).dirtyRegions).toBeGreaterThan(0);
      expect(await write(at, 2 * region, page(3))).toBe(0);
    },
  );

  it.each([
    ['EIO', EIO],
    ['ENOSPC', ENOSPC],
  ] as const)(
    'FAULTS 31: %s on the source’s disk reaches the application, and nothing is acknowledged after it',
    async (error, code) => {
      disk = await FaultyDisk.start(join(folder, 'disk'), volumeBytes, { error });
      const at = await mirror('adam');
      expect(await write(at, 0, page(1))).toBe(0);
      disk.fail();
      expect(await write(at, region, page(2))).toBe(code);
      disk.mend();
      expect(await write(at, region, page(3))).not.toBe(0);
      expect((await adam.status()).replica?.failed).not.toBeNull();
      await adam.until('the news', async () => adam.observations.some(({ type }) => type === 'disk-failed'));
    },
  );

  it('a slow target: pings go on, every acknowledged write is on it', async () => {
    disk = await FaultyDisk.start(join(folder, 'disk'), volumeBytes, { delayMs: 10 });
    const at = await mirror('eve', { writeTimeoutMs: 5_000 });
    const { sessions } = await adam.peer('eve');
    const answers = Array.from({ length: 64 }, (_, index) => write(at, index * 4096, page(index + 1)));
    expect(await Promise.all(answers)).toEqual(answers.map(() => 0));
    expect(await flush(at)).toBe(0);
    expect((await adam.peer('eve')).sessions).toBe(sessions);
    equal(readFileSync(disk.image));
  });

  it('FAULTS 27, 3: a frozen target disk: eve records itself out of sync, adam goes on, both end equal', async () => {
    disk = await FaultyDisk.start(join(folder, 'disk'), volumeBytes);
    const at = await mirror('eve');
    expect(await write(at, 0, page(1))).toBe(0);
    adam.declaresLost = false;
    disk.freeze();
    expect(await write(at, region, page(2))).toBe(0);
    expect((await eve.status()).replica).toMatchObject({ inSync: false });
    expect(await write(at, 2 * region, page(3))).toBe(0);
    disk.thaw();
    await adam.inSync('eve');
    expect(await flush(at)).toBe(0);
    equal(readFileSync(disk.image));
    const resync = adam.observations.findLast(({ type }) => type === 'resync-completed');
    expect(resync).toMatchObject({ kind: 'partial' });
  });

  it('FAULTS 27, 3: a half-open link: the target is lost, and comes back by a partial resync in a new session', async () => {
    const at = await mirror('none', { isProxied: true });
    expect(await write(at, 0, page(1))).toBe(0);
    const { sessions } = await adam.peer('eve');
    proxy?.swallow();
    expect(await write(at, region, page(2))).toBe(0);
    expect(adam.observations).toContainEqual(
      expect.objectContaining({ type: 'peer-out-of-sync', peer: 'eve' }),
    );
    expect(eve.image().readUInt8(region)).toBe(0);
    proxy?.passOn();
    await adam.inSync('eve');
    expect((await adam.peer('eve')).sessions).toBeGreaterThan(sessions);
    equal(eve.image());
    const resync = adam.observations.findLast(({ type }) => type === 'resync-completed');
    expect(resync).toMatchObject({ kind: 'partial' });
  });

  it('FAULTS 28: bits that flip on the way are found, counted, never applied, and healed', async () => {
    const at = await mirror('none', { isProxied: true });
    const flips = 6;
    for (let flip = 0; flip < flips; flip += 1) {
      await adam.inSync('eve');
      proxy?.flip(flip % 3 === 2 ? 'to-dialer' : 'to-target', 100 + flip * 977, flip);
      const answers = Array.from({ length: 32 }, (_, index) =>
        write(at, index * 8192, page(flip * 32 + index)),
      );
      expect(await Promise.all(answers)).toEqual(answers.map(() => 0));
      await adam.until('the flip', async () => (proxy?.flips ?? 0) > flip);
    }
    await adam.inSync('eve');
    const seen = (await adam.peer('eve')).corruptFrames + (await eve.peer('adam')).corruptFrames;
    expect(seen).toBe(flips);
    equal(eve.image());
  });
});
