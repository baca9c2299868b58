import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { intentLogByteSize } from '../../adapters/block/open-intent-log.ts';
import { EngineProcess, introduce, openEngine } from '../engine/engine-process.ts';
import { FaultyDisk } from './faulty-disk.ts';

const volumeBytes = 8 * 1024 * 1024;
const region = 65_536;

let folder: string;
let keyFile: string;
let adam: EngineProcess;
let eve: EngineProcess;
let disk: FaultyDisk | null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mk-bitmap-'));
  keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  adam = new EngineProcess(folder, 'adam', volumeBytes);
  eve = new EngineProcess(folder, 'eve', volumeBytes);
  disk = null;
});
afterEach(async () => {
  await Promise.all([adam.kill(), eve.kill()]);
  await disk?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it.each(['EIO', 'ENOSPC'] as const)(
  'FAULTS 15: %s on the bitmap’s disk: "invalid: full resync" is durable before the write is acknowledged',
  async (error) => {
    disk = await FaultyDisk.start(join(folder, 'disk'), intentLogByteSize(volumeBytes), { error });
    const intentLogs = join(folder, 'bitmaps');
    mkdirSync(intentLogs);
    symlinkSync(disk.path, join(intentLogs, 'v0.eve.bitmap'));
    await adam.start();
    await eve.start();
    await openEngine(adam, keyFile, { isFirst: true, intentLogs });
    await openEngine(eve, keyFile);
    await adam.ordered({ order: 'serve', epoch: 1 });
    await introduce([adam, eve]);
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.inSync('eve');
    const client = await adam.nbd(1);
    const write = (at: number, label: number) =>
      new Promise((resolve) => client.write(at, Buffer.alloc(4096, label), false, resolve));
    expect(await write(0, 1)).toBe(0);
    await adam.until('a clean bitmap', async () => (await adam.peer('eve')).dirtyRegions === 0);

    // The mark of a region cannot become durable: what is acknowledged all the same is found again by a full resync.
    disk.fail();
    expect(await write(5 * region, 2)).toBe(0);
    await adam.kill();
    client.close();
    disk.mend();
    adam.observations.length = 0;
    await adam.start();
    await openEngine(adam, keyFile, { create: false, intentLogs });
    const told = adam.observations.find(({ type }) => type === 'intent-log-invalid');
    expect(told).toMatchObject({ volume: 'v0', peer: 'eve' });
    expect((await adam.peer('eve')).dirtyRegions).toBe(volumeBytes / region);
    await adam.ordered({ order: 'serve', epoch: 2 });
    await introduce([adam, eve]);
    await eve.ordered({ order: 'become-target', epoch: 2 });
    await adam.inSync('eve');
    const resync = adam.observations.findLast(({ type }) => type === 'resync-completed');
    expect(resync).toMatchObject({ bytes: volumeBytes });
    expect(eve.image().equals(adam.image())).toBe(true);
  },
);
