import type { BlockDevice, Done } from '../../adapters/block/block-device.ts';
import type { SimulatedProcess } from './process.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/**
 * The disk of one host: files with a page cache over a stable layer.
 *
 * - A finished write is in the cache; `flush` makes stable what was finished when it was called, at the moment it
 *   is done. In between, any dirty sector may be written back by itself, in any order.
 * - A killed process leaves the cache as it is; of a write in flight any subset of its sectors has happened.
 * - A power failure decides for every dirty sector (512 bytes) by itself whether it reached the stable layer.
 * - Writes in flight at the same time finish in any order: overlapping ones are the caller's fault.
 * - After a failed write or zero each sector of the range holds the old or the new bytes; a failed flush leaves its
 *   sectors in the cache, clean but not stable (as Linux does), so a later flush does not save them.
 */
export const sectorSize = 512;

export interface DiskHabits {
  readonly latencyMs: readonly [low: number, high: number];
  readonly flushMs: readonly [low: number, high: number];
  /** Share of reads and writes that are done before the call returns, as on a cached file. */
  readonly immediate: number;
  /** Chance, at each write, that some dirty sector is written back early. */
  readonly writeBack: number;
}

export type Operation = 'read' | 'write' | 'flush';

/** One fault in force: which files, which operations, which error. */
export interface DiskFault {
  readonly path: RegExp;
  readonly operations: readonly Operation[];
  readonly code: 'EIO' | 'ENOSPC';
  readonly probability: number;
}

export class SimulatedDisk {
  readonly random: Random;
  readonly #world: World;
  readonly #files = new Map<string, SimulatedFile>();
  #habits: DiskHabits;
  #faults: readonly DiskFault[] = [];
  #frozenUntilMs = 0;
  #slowness = 1;

  constructor(world: World, label: string, habits: DiskHabits) {
    this.#world = world;
    this.#habits = habits;
    this.random = world.random.fork(`disk ${label}`);
  }

  get habits(): DiskHabits {
    return this.#habits;
  }

  create(path: string, byteSize: number): SimulatedFile {
    const file = new SimulatedFile(this, this.#world, path, byteSize);
    this.#files.set(path, file);
    return file;
  }

  file(path: string): SimulatedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw Object.assign(new Error(`no file ${path}`), { code: 'ENOENT' });
    return file;
  }

  /** A whole file gets its final name, durably. */
  rename(from: string, to: string): void {
    const file = this.file(from);
    this.#files.delete(from);
    file.path = to;
    this.#files.set(to, file);
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  get files(): readonly SimulatedFile[] {
    return [...this.#files.values()];
  }

  setFaults(faults: readonly DiskFault[]): void {
    this.#faults = faults;
  }

  /** How many times slower than its habits the disk is. */
  setSlowness(factor: number): void {
    this.#slowness = factor;
  }

  /** Nothing is done before that moment, and nothing is lost. */
  freeze(untilMs: number): void {
    this.#frozenUntilMs = untilMs;
  }

  get isSlow(): boolean {
    return this.#slowness > 1 || this.#frozenUntilMs > this.#world.nowMs;
  }

  powerFailure(): void {
    const fate = this.random.pick(['all kept', 'all lost', 'each by itself', 'each by itself'] as const);
    const keep = { 'all kept': 1, 'all lost': 0, 'each by itself': 0.5 }[fate];
    this.#world.note('disk', `power failure: dirty sectors ${fate}`);
    for (const file of this.#files.values()) file.loseCache(keep);
  }

  delayMs(operation: Operation): number {
    const [low, high] = operation === 'flush' ? this.#habits.flushMs : this.#habits.latencyMs;
    const delay = this.random.span(low, high) * this.#slowness;
    return Math.max(delay, this.#frozenUntilMs - this.#world.nowMs);
  }

  fault(path: string, operation: Operation): Error | null {
    for (const fault of this.#faults) {
      const hits = fault.operations.includes(operation) && fault.path.test(path);
      if (!hits || !this.random.chance(fault.probability)) continue;
      this.#world.count(`disk ${fault.code} on ${operation}`);
      return Object.assign(new Error(`${fault.code}: simulated, ${operation} ${path}`), { code: fault.code });
    }
    return null;
  }
}

interface Dirty {
  version: number;
  stableVersion: number;
}

export class SimulatedFile {
  path: string;
  readonly byteSize: number;
  /** What a read returns. */
  readonly cache: Buffer;
  /** What is left after a power failure that loses everything it may. */
  readonly stable: Buffer;
  /** Called with every range whose cached or stable bytes may have changed. */
  readonly listeners: ((offset: number, byteCount: number) => void)[] = [];
  /** Grows with every change of the stable bytes. */
  stableVersion = 0;
  readonly #disk: SimulatedDisk;
  readonly #world: World;
  #version = 0;
  readonly #dirty = new Map<number, Dirty>();
  readonly #abandoned = new Set<number>();
  readonly #inFlight = new Set<InFlight>();

  constructor(disk: SimulatedDisk, world: World, path: string, byteSize: number) {
    this.#disk = disk;
    this.#world = world;
    this.path = path;
    this.byteSize = byteSize;
    this.cache = Buffer.alloc(byteSize);
    this.stable = Buffer.alloc(byteSize);
  }

  get dirtySectorCount(): number {
    return this.#dirty.size + this.#abandoned.size;
  }

  /** A handle of one process: after the process is gone it does nothing and answers nothing. */
  open(owner: SimulatedProcess): BlockDevice {
    owner.onExit(() => this.#cutOff(owner));
    const change = (bytes: Uint8Array, offset: number, done: Done) =>
      this.#change(owner, bytes, offset, done);
    return {
      byteSize: this.byteSize,
      read: (into, offset, done) => this.#read(owner, into, offset, done),
      write: change,
      zero: (offset, byteCount, done) => change(Buffer.alloc(byteCount), offset, done),
      trim: (offset, byteCount, done) => change(Buffer.alloc(byteCount), offset, done),
      flush: (done) => this.#flush(owner, done),
      close: (done) => this.#world.after(0, () => owner.enter(() => done(null))),
    };
  }

  /** A fault of the medium: one bit, in both layers. */
  flipBit(offset: number, bit: number): void {
    const flip = (layer: Buffer) => layer.writeUInt8(layer.readUInt8(offset) ^ (1 << bit), offset);
    flip(this.cache);
    flip(this.stable);
    this.stableVersion++;
    this.#changed(offset, 1);
  }

  loseCache(keep: number): void {
    for (const sector of this.#dirty.keys()) if (this.#disk.random.chance(keep)) this.#makeStable(sector);
    for (const sector of [...this.#dirty.keys(), ...this.#abandoned]) this.#forget(sector);
    this.#dirty.clear();
    this.#abandoned.clear();
  }

  #forget(sector: number): void {
    const start = sector * sectorSize;
    this.stable.copy(this.cache, start, start, start + sectorSize);
    this.#changed(start, sectorSize);
  }

  #makeStable(sector: number): void {
    const start = sector * sectorSize;
    this.cache.copy(this.stable, start, start, start + sectorSize);
    this.stableVersion++;
  }

  #read(owner: SimulatedProcess, into: Uint8Array, offset: number, done: Done): void {
    this.#check(into.byteLength, offset);
    this.#run(owner, 'read', () => {
      const error = this.#disk.fault(this.path, 'read');
      if (error === null) this.cache.copy(into, 0, offset, offset + into.byteLength);
      done(error);
    });
  }

  /** The bytes are taken when the write happens, not when it is asked for: they must stay untouched until done. */
  #change(owner: SimulatedProcess, bytes: Uint8Array, offset: number, done: Done): void {
    this.#check(bytes.byteLength, offset);
    const write: InFlight = { owner, bytes, offset };
    this.#inFlight.add(write);
    this.#run(owner, 'write', () => {
      if (!this.#inFlight.delete(write)) return;
      const error = this.#disk.fault(this.path, 'write');
      this.#apply(write, error === null ? 1 : 0.5);
      if (this.#disk.random.chance(this.#disk.habits.writeBack)) this.#writeBackOne();
      done(error);
    });
  }

  #flush(owner: SimulatedProcess, done: Done): void {
    const due = [...this.#dirty].map(([sector, dirty]) => ({
      sector,
      version: dirty.version,
      bytes: Buffer.from(this.#sector(this.cache, sector)),
    }));
    const finish = () => {
      const error = this.#disk.fault(this.path, 'flush');
      for (const { sector, version, bytes } of due) {
        const dirty = this.#dirty.get(sector);
        if (dirty === undefined) continue;
        if (error !== null) {
          if (dirty.version === version) this.#abandon(sector);
          continue;
        }
        if (dirty.stableVersion < version) {
          bytes.copy(this.stable, sector * sectorSize);
          dirty.stableVersion = version;
          this.stableVersion++;
        }
        if (dirty.version === version) this.#dirty.delete(sector);
      }
      this.#world.count('disk flush');
      done(error);
    };
    this.#world.after(this.#disk.delayMs('flush'), () => owner.enter(finish));
  }

  #abandon(sector: number): void {
    this.#dirty.delete(sector);
    this.#abandoned.add(sector);
  }

  #run(owner: SimulatedProcess, operation: Operation, happen: () => void): void {
    this.#world.trace.mix(operation.charCodeAt(0));
    const isImmediate = !this.#disk.isSlow && this.#disk.random.chance(this.#disk.habits.immediate);
    if (isImmediate && owner.alive) happen();
    else this.#world.after(this.#disk.delayMs(operation), () => owner.enter(happen));
  }

  #apply(write: InFlight, share: number): void {
    const { bytes, offset } = write;
    const end = offset + bytes.byteLength;
    for (let start = offset; start < end; ) {
      const sector = Math.floor(start / sectorSize);
      const stop = Math.min(end, (sector + 1) * sectorSize);
      if (share === 1 || this.#disk.random.chance(share)) {
        this.cache.set(bytes.subarray(start - offset, stop - offset), start);
        this.#touch(sector);
      }
      start = stop;
    }
    this.#changed(offset, bytes.byteLength);
  }

  #touch(sector: number): void {
    this.#abandoned.delete(sector);
    const dirty = this.#dirty.get(sector);
    const version = ++this.#version;
    if (dirty === undefined) this.#dirty.set(sector, { version, stableVersion: version - 1 });
    else dirty.version = version;
  }

  #writeBackOne(): void {
    let skip = this.#disk.random.below(Math.min(16, this.#dirty.size));
    for (const [sector, dirty] of this.#dirty) {
      if (skip-- > 0) continue;
      this.#makeStable(sector);
      dirty.stableVersion = dirty.version;
      return;
    }
  }

  /** A new process finds in the cache, dirty, what the old one could not flush: it cannot know, so it is spared. */
  #cutOff(owner: SimulatedProcess): void {
    for (const sector of this.#abandoned) this.#touch(sector);
    for (const write of this.#inFlight) {
      if (write.owner !== owner) continue;
      this.#inFlight.delete(write);
      this.#apply(write, this.#disk.random.pick([0, 0.5, 1]));
    }
  }

  #changed(offset: number, byteCount: number): void {
    for (const listen of this.listeners) listen(offset, byteCount);
  }

  #sector(layer: Buffer, sector: number): Buffer {
    return layer.subarray(sector * sectorSize, (sector + 1) * sectorSize);
  }

  #check(byteCount: number, offset: number): void {
    if (offset < 0 || offset + byteCount > this.byteSize) {
      throw new Error(
        `out of range: ${byteCount} bytes at ${offset} of ${this.path} (${this.byteSize} bytes)`,
      );
    }
  }
}

interface InFlight {
  readonly owner: SimulatedProcess;
  readonly bytes: Uint8Array;
  readonly offset: number;
}
