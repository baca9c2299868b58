import { describe, expect, it } from 'vitest';
import type { BlockDevice, Done } from '../../adapters/block/block-device.ts';
import type { Export } from '../../adapters/nbd/export.ts';
import { VolumeName } from '../../domain/vocabulary.ts';
import { SimulatedDisk, sectorSize } from './disk.ts';
import { blankCandidates, outOfOrderSectors, Reign, readImage, wrongSectors } from './model.ts';
import { SimulatedProcess } from './process.ts';
import { stamp, writeNumberOf } from './stamp.ts';
import { Application, type Habits, Numbering } from './workload.ts';
import { World } from './world.ts';

const habits: Habits = {
  depth: 8,
  thinkMs: [0, 1],
  rest: 0,
  sectorsMax: 32,
  hotShare: 0.5,
  share: { read: 0.25, zero: 0.05, trim: 0.05, flush: 0.05 },
  fua: 0.1,
  together: 0.2,
};
const sectorCount = 512;

/** A toy server: one disk, no mirror. */
function unmirrored(device: BlockDevice): Export {
  const durably = (isDurable: boolean, done: Done): Done =>
    isDurable ? (error) => (error === null ? device.flush(done) : done(error)) : done;
  return {
    volume: VolumeName.parse('v0'),
    epoch: 1,
    byteSize: device.byteSize,
    readOnly: false,
    read: (into, offset, done) => device.read(into, offset, done),
    write: (from, offset, fua, done) => device.write(from, offset, durably(fua, done)),
    zero: (offset, byteCount, how, done) => device.zero(offset, byteCount, durably(how.fua, done)),
    trim: (offset, byteCount, fua, done) => device.trim(offset, byteCount, durably(fua, done)),
    flush: (done) => device.flush(done),
  };
}

/** Runs the workload for a while on a server that `serve` makes of the disk. */
function play(seed: number, serve: (device: BlockDevice) => Export, untilMs = 50) {
  const world = new World(seed);
  const disk = new SimulatedDisk(world, 'eve', {
    latencyMs: [0.1, 2],
    flushMs: [1, 3],
    immediate: 0.3,
    writeBack: 0.2,
  });
  const file = disk.create('/d/v0', sectorCount * sectorSize);
  const server = new SimulatedProcess(world, 'eve');
  const known = {
    cached: blankCandidates(sectorCount),
    durable: blankCandidates(sectorCount),
    hasLostPower: false,
  };
  const reign = new Reign(1, 'eve', new Map([['eve', known]]));
  const wrong: string[] = [];
  const served = serve(file.open(server));
  const application = new Application(world, server, [served], reign, habits, new Numbering(), {
    acknowledged: (write, isDurable) => reign.acknowledged(write, world.steps, ['eve'], isDurable),
    flushed: (issuedStep) => {
      reign.flushed(issuedStep, ['eve']);
    },
    wrong: (message) => wrong.push(message),
  });
  application.start();
  while (world.nowMs < untilMs) world.step();
  return { world, disk, file, server, reign, application, wrong, known };
}

const seeds = Array.from({ length: 40 }, (_, seed) => seed);

describe('the stamp of a sector', () => {
  it('names its write and its place, and nothing else passes', () => {
    const bytes = Buffer.alloc(2 * sectorSize);
    expect(writeNumberOf(bytes, sectorSize, 9)).toBe(0);
    stamp(bytes, sectorSize, 77, 9);
    expect(writeNumberOf(bytes, sectorSize, 9)).toBe(77);
    expect(writeNumberOf(bytes, sectorSize, 8)).toBe(-1);
    for (const offset of [0, 8, 12, 300, 511]) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(sectorSize + offset) ^ 1, sectorSize + offset);
      expect(writeNumberOf(damaged, sectorSize, 9)).toBe(-1);
    }
  });
});

describe('the workload over an honest disk', () => {
  it('finds nothing wrong, on reads and on the image when it has stopped', () => {
    for (const seed of seeds) {
      const { world, file, application, wrong, known } = play(seed, unmirrored);
      application.leave();
      while (world.step());
      expect(application.inFlight).toBe(0);
      expect(wrong).toEqual([]);
      expect(wrongSectors(readImage(file.cache), known.cached)).toEqual([]);
      expect(world.counts.get('application write')).toBeGreaterThan(20);
    }
  });

  it('finds the image of a killed server as its acknowledgements promise', () => {
    for (const seed of seeds) {
      const { file, server, wrong, known } = play(seed, unmirrored);
      server.kill();
      expect(wrong).toEqual([]);
      expect(wrongSectors(readImage(file.cache), known.cached)).toEqual([]);
    }
  });

  it('finds after a power failure what was flushed, and misses only what was not', () => {
    let lost = 0;
    for (const seed of seeds) {
      const { disk, file, server, known } = play(seed, unmirrored);
      server.kill();
      disk.powerFailure();
      const image = readImage(file.cache);
      expect(wrongSectors(image, known.durable)).toEqual([]);
      lost += wrongSectors(image, known.cached).length;
    }
    expect(lost).toBeGreaterThan(0);
  });
});

describe('the workload over a dishonest server', () => {
  const caught = (serve: (device: BlockDevice) => Export, end: 'kill' | 'power') => {
    let found = 0;
    for (const seed of seeds) {
      const { disk, file, server, wrong, known } = play(seed, serve);
      server.kill();
      if (end === 'power') disk.powerFailure();
      const allowed = end === 'power' ? known.durable : known.cached;
      found += wrong.length + wrongSectors(readImage(file.cache), allowed).length;
    }
    return found;
  };

  it('catches a write that is acknowledged before it is written', () => {
    const early = (device: BlockDevice): Export => ({
      ...unmirrored(device),
      write: (from, offset, _fua, done) => {
        device.write(Buffer.from(from), offset, () => {});
        done(null);
      },
    });
    expect(caught(early, 'kill')).toBeGreaterThan(0);
  });

  it('catches a server that keeps a buffer after its answer', () => {
    const late = (device: BlockDevice): Export => ({
      ...unmirrored(device),
      write: (from, offset, _fua, done) => {
        done(null);
        device.write(from, offset, () => {});
      },
    });
    expect(caught(late, 'kill')).toBeGreaterThan(0);
  });

  it('catches a flush that flushes nothing', () => {
    const lying = (device: BlockDevice): Export => ({ ...unmirrored(device), flush: (done) => done(null) });
    expect(caught(lying, 'power')).toBeGreaterThan(0);
  });

  it('catches FUA that is ignored', () => {
    const lying = (device: BlockDevice): Export => ({
      ...unmirrored(device),
      write: (from, offset, _fua, done) => device.write(from, offset, done),
    });
    expect(caught(lying, 'power')).toBeGreaterThan(0);
  });
});

describe('the order of writes on an image', () => {
  const known = blankCandidates(4);
  const write = (number: number, sector: number, issuedStep: number, endedStep: number) => {
    const made = {
      number,
      isZeros: false,
      sector,
      sectorCount: 1,
      issuedStep,
      endedStep,
      isAcknowledged: true,
    };
    known.mayShow(made);
    return made;
  };
  write(1, 0, 1, 2);
  write(2, 1, 3, 4);
  write(3, 2, 3, 9);

  it('accepts every prefix, and either of two that were in flight together', () => {
    for (const image of [
      [0, 0, 0, 0],
      [1, 0, 0, 0],
      [1, 2, 0, 0],
      [1, 0, 3, 0],
      [1, 2, 3, 0],
    ]) {
      expect(outOfOrderSectors(Int32Array.from(image), known)).toEqual([]);
    }
  });

  it('finds a later write without the earlier one', () => {
    expect(outOfOrderSectors(Int32Array.from([0, 2, 0, 0]), known)).not.toEqual([]);
    expect(outOfOrderSectors(Int32Array.from([0, 0, 3, 0]), known)).not.toEqual([]);
  });
});
