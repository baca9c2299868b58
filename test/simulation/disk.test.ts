import { describe, expect, it } from 'vitest';
import type { BlockDevice } from '../../adapters/block/block-device.ts';
import { type DiskHabits, SimulatedDisk, type SimulatedFile, sectorSize } from './disk.ts';
import { SimulatedProcess } from './process.ts';
import { World } from './world.ts';

const habits: DiskHabits = { latencyMs: [0.1, 1], flushMs: [1, 2], immediate: 0, writeBack: 0 };
const fileBytes = 16 * sectorSize;

interface Bench {
  readonly world: World;
  readonly disk: SimulatedDisk;
  readonly file: SimulatedFile;
  readonly process: SimulatedProcess;
  readonly device: BlockDevice;
}

function bench(seed = 1, changed: Partial<DiskHabits> = {}): Bench {
  const world = new World(seed);
  const disk = new SimulatedDisk(world, 'eve', { ...habits, ...changed });
  const file = disk.create('/d/volume', fileBytes);
  const process = new SimulatedProcess(world, 'eve');
  return { world, disk, file, process, device: file.open(process) };
}

const drain = (world: World) => {
  while (world.step());
};
const filled = (byte: number, sectors: number) => Buffer.alloc(sectors * sectorSize, byte);
const sectorsOf = (bytes: Buffer) =>
  Array.from({ length: bytes.byteLength / sectorSize }, (_, sector) => bytes[sector * sectorSize]);

function settle(world: World, start: (done: (error: Error | null) => void) => void): string {
  let outcome = 'never done';
  start((error) => {
    outcome = error === null ? 'done' : (error.message.split(':')[0] ?? '');
  });
  drain(world);
  return outcome;
}

describe('a simulated disk', () => {
  it('reads what was written, before any flush', () => {
    const { world, device } = bench();
    expect(settle(world, (done) => device.write(filled(7, 2), sectorSize, done))).toBe('done');
    const into = Buffer.alloc(4 * sectorSize);
    expect(settle(world, (done) => device.read(into, 0, done))).toBe('done');
    expect(sectorsOf(into)).toEqual([0, 7, 7, 0]);
  });

  it('zeroes and trims alike', () => {
    const { world, device, file } = bench();
    settle(world, (done) => device.write(filled(7, 4), 0, done));
    settle(world, (done) => device.zero(0, sectorSize, done));
    settle(world, (done) => device.trim(3 * sectorSize, sectorSize, done));
    expect(sectorsOf(file.cache).slice(0, 4)).toEqual([0, 7, 7, 0]);
  });

  it('answers at once where its habits say so', () => {
    const { device } = bench(1, { immediate: 1 });
    let isDone = false;
    device.write(filled(1, 1), 0, () => {
      isDone = true;
    });
    expect(isDone).toBe(true);
  });

  it('takes the bytes of a write when it happens: a caller who changes them too early is found out', () => {
    const { world, device, file } = bench();
    const bytes = filled(1, 1);
    device.write(bytes, 0, () => {});
    bytes.fill(9);
    drain(world);
    expect(file.cache[0]).toBe(9);
  });

  it('keeps through a power failure what was flushed', () => {
    for (let seed = 0; seed < 50; seed++) {
      const { world, disk, device, file } = bench(seed);
      settle(world, (done) => device.write(filled(1, 16), 0, done));
      settle(world, (done) => device.flush(done));
      disk.powerFailure();
      expect(sectorsOf(file.cache)).toEqual(new Array(16).fill(1));
    }
  });

  it('loses, keeps or tears at a power failure what was not flushed, sector by sector', () => {
    const fates = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { world, disk, device, file } = bench(seed);
      settle(world, (done) => device.write(filled(1, 16), 0, done));
      disk.powerFailure();
      const left = sectorsOf(file.cache);
      expect(file.stable.equals(file.cache)).toBe(true);
      const kept = left.filter((byte) => byte === 1).length;
      fates.add(kept === 0 ? 'lost' : kept === 16 ? 'kept' : 'torn');
    }
    expect([...fates].sort()).toEqual(['kept', 'lost', 'torn']);
  });

  it('makes nothing stable by a flush that a power failure overtook', () => {
    const { world, disk, device, file } = bench(3);
    settle(world, (done) => device.write(filled(1, 16), 0, done));
    let isFlushed = false;
    device.flush(() => {
      isFlushed = true;
    });
    expect(file.stable[0]).toBe(0);
    disk.powerFailure();
    expect(isFlushed).toBe(false);
  });

  it('covers by a flush what was done before it, not what was only asked for', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { world, device, file } = bench(seed, { latencyMs: [5, 6] });
      settle(world, (done) => device.write(filled(1, 1), 0, done));
      device.write(filled(2, 1), sectorSize, () => {});
      settle(world, (done) => device.flush(done));
      expect(file.stable[0]).toBe(1);
      expect(file.stable[sectorSize]).toBe(0);
    }
  });

  it('makes a sector stable as it was at the flush or newer when it is written again meanwhile', () => {
    const { world, device, file } = bench(1, { flushMs: [5, 6] });
    settle(world, (done) => device.write(filled(1, 1), 0, done));
    device.flush(() => {
      expect(file.stable[0]).toBe(1);
      expect(file.cache[0]).toBe(2);
    });
    settle(world, (done) => device.write(filled(2, 1), 0, done));
    expect(file.dirtySectorCount).toBe(1);
  });

  it('never makes a sector older by a flush that was overtaken by another', () => {
    for (let seed = 0; seed < 50; seed++) {
      const { world, device, file } = bench(seed, { flushMs: [1, 20] });
      let stableMax = 0;
      for (let byte = 1; byte < 40; byte++) {
        const operation = byte % 2 === 0 ? 'flush' : 'write';
        world.after(world.random.span(0, 60), () => {
          if (operation === 'flush') device.flush(() => {});
          else device.write(filled(1 + Math.floor(world.nowMs), 1), 0, () => {});
        });
      }
      while (world.step()) {
        expect(file.stable[0]).toBeGreaterThanOrEqual(stableMax);
        stableMax = file.stable[0] ?? 0;
      }
    }
  });

  it('keeps what a killed process has written, and some of what it was writing', () => {
    const fates = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { world, process, device, file } = bench(seed);
      settle(world, (done) => device.write(filled(1, 4), 0, done));
      let isDone = false;
      device.write(filled(2, 4), 4 * sectorSize, () => {
        isDone = true;
      });
      process.kill();
      drain(world);
      expect(isDone).toBe(false);
      const left = sectorsOf(file.cache);
      expect(left.slice(0, 4)).toEqual([1, 1, 1, 1]);
      const written = left.slice(4, 8).filter((byte) => byte === 2).length;
      fates.add(written === 0 ? 'none' : written === 4 ? 'all' : 'some');
    }
    expect([...fates].sort()).toEqual(['all', 'none', 'some']);
  });

  it('finishes overlapping writes in flight in any order', () => {
    const winners = new Set<number | undefined>();
    for (let seed = 0; seed < 30; seed++) {
      const { world, device, file } = bench(seed);
      device.write(filled(1, 1), 0, () => {});
      device.write(filled(2, 1), 0, () => {});
      drain(world);
      winners.add(file.cache[0]);
    }
    expect([...winners].sort()).toEqual([1, 2]);
  });

  it('fails as told, with the code, and recovers', () => {
    const { world, disk, device } = bench();
    disk.setFaults([{ path: /volume$/, operations: ['write'], code: 'ENOSPC', probability: 1 }]);
    expect(settle(world, (done) => device.write(filled(1, 1), 0, done))).toBe('ENOSPC');
    expect(settle(world, (done) => device.read(filled(1, 1), 0, done))).toBe('done');
    disk.setFaults([]);
    expect(settle(world, (done) => device.write(filled(1, 1), 0, done))).toBe('done');
  });

  it('does not save by a later flush what an earlier one failed to write', () => {
    let wasLost = false;
    for (let seed = 0; seed < 20; seed++) {
      const { world, disk, device, file } = bench(seed);
      settle(world, (done) => device.write(filled(1, 1), 0, done));
      disk.setFaults([{ path: /volume$/, operations: ['flush'], code: 'EIO', probability: 1 }]);
      expect(settle(world, (done) => device.flush(done))).toBe('EIO');
      disk.setFaults([]);
      expect(settle(world, (done) => device.flush(done))).toBe('done');
      expect(file.cache[0]).toBe(1);
      disk.powerFailure();
      wasLost ||= file.cache[0] === 0;
    }
    expect(wasLost).toBe(true);
  });

  it('is slow or frozen without losing anything', () => {
    const { world, disk, device, file } = bench();
    disk.freeze(100);
    settle(world, (done) => device.write(filled(1, 1), 0, done));
    expect(world.nowMs).toBeGreaterThanOrEqual(100);
    disk.setSlowness(1000);
    const startMs = world.nowMs;
    settle(world, (done) => device.write(filled(2, 1), 0, done));
    expect(world.nowMs - startMs).toBeGreaterThan(50);
    expect(file.cache[0]).toBe(2);
  });

  it('flips one bit of the medium, in every layer', () => {
    const { disk, file } = bench();
    file.flipBit(5, 3);
    expect(file.cache[5]).toBe(8);
    disk.powerFailure();
    expect(file.cache[5]).toBe(8);
  });

  it('refuses a range outside the file', () => {
    const { device } = bench();
    expect(() => device.write(filled(1, 2), fileBytes - sectorSize, () => {})).toThrow(/out of range/);
  });
});
