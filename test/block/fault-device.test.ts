import { describe, expect, it } from 'vitest';
import type { Done } from '../../adapters/block/block-device.ts';
import { FileDevice } from '../../adapters/block/file-device.ts';
import { blockDeviceContract } from './block-device-contract.ts';
import { completed } from './completed.ts';
import { FaultDevice } from './fault-device.ts';
import { ManualClock } from './manual-clock.ts';
import { PowerLossDevice, PowerLossStorage } from './power-loss-device.ts';
import { scratchFile } from './scratch.ts';

blockDeviceContract(
  'the fault layer without rules',
  async () => new FaultDevice(await FileDevice.open(scratchFile(8 * 1024 * 1024)), new ManualClock()),
);

function layer() {
  const storage = new PowerLossStorage(64 * 1024);
  const below = new PowerLossDevice(storage);
  const clock = new ManualClock();
  return { storage, below, clock, device: new FaultDevice(below, clock) };
}

describe('FaultDevice', () => {
  it('fails what a rule hits, without touching the device below, and passes the rest', async () => {
    const { device, below, storage } = layer();
    device.setRules([
      {
        operations: ['write'],
        range: { offset: 4096, byteCount: 4096 },
        fault: { kind: 'error', code: 'ENOSPC' },
      },
      { operations: ['flush', 'trim', 'zero', 'read'], fault: { kind: 'error', code: 'EIO' } },
    ]);
    const write = (offset: number) => (done: Done) => device.write(Buffer.alloc(512, 1), offset, done);
    for (const offset of [4096 - 511, 8191]) {
      await expect(completed(write(offset))).rejects.toMatchObject({ code: 'ENOSPC' });
    }
    for (const start of [
      (done: Done) => device.flush(done),
      (done: Done) => device.trim(0, 1, done),
      (done: Done) => device.zero(0, 1, done),
      (done: Done) => device.read(Buffer.alloc(1), 0, done),
    ]) {
      await expect(completed(start)).rejects.toMatchObject({ code: 'EIO' });
    }
    expect(below.queueLength).toBe(0);
    const passed = [completed(write(4096 - 512)), completed(write(8192))];
    below.drain();
    await Promise.all(passed);
    expect(storage.version).toBe(2);
  });

  it('delays by the clock', () => {
    const { device, below, clock } = layer();
    device.setRules([{ operations: ['flush'], fault: { kind: 'delay', ms: 100 } }]);
    device.flush(() => undefined);
    clock.advance(99);
    expect(below.queueLength).toBe(0);
    clock.advance(1);
    expect(below.queueLength).toBe(1);
  });

  it('freezes until the rules change, and keeps the order', () => {
    const { device, below, storage } = layer();
    device.setRules([{ operations: ['write'], fault: { kind: 'freeze' } }]);
    device.write(Buffer.from('first'), 0, () => undefined);
    device.write(Buffer.from('again'), 0, () => undefined);
    expect([device.frozenCount, below.queueLength]).toEqual([2, 0]);
    device.setRules([]);
    expect(device.frozenCount).toBe(0);
    below.drain();
    const found = Buffer.alloc(5);
    storage.read(found, 0);
    expect(found.toString()).toBe('again');
  });
});
