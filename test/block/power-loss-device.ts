import type { BlockDevice, Done } from '../../adapters/block/block-device.ts';
import { IoError } from '../../adapters/block/io-error.ts';

const sectorSize = 512;

interface Operation {
  readonly failed?: () => void;
  readonly run: () => void;
  readonly done: Done;
}

/**
 * What a disk and the page cache above it hold. A written sector is volatile until a flush that began after the
 * write was done; a power failure leaves, for each sector on its own, any of the versions since the last flush.
 */
export class PowerLossStorage {
  readonly #stable: Buffer;
  /** What reads see. */
  readonly #cached: Buffer;
  /** Versions of a sector that a power failure may leave instead of the stable one, oldest first. */
  readonly #unflushed = new Map<number, { readonly version: number; readonly bytes: Buffer }[]>();
  #version = 0;

  constructor(byteSize: number) {
    this.#stable = Buffer.alloc(byteSize);
    this.#cached = Buffer.alloc(byteSize);
  }

  get byteSize(): number {
    return this.#cached.length;
  }

  get version(): number {
    return this.#version;
  }

  read(into: Uint8Array, offset: number): void {
    into.set(this.#cached.subarray(offset, offset + into.length));
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#version += 1;
    this.#cached.set(bytes, offset);
    const last = Math.floor((offset + bytes.length - 1) / sectorSize);
    for (let sector = Math.floor(offset / sectorSize); sector <= last; sector += 1) {
      const start = sector * sectorSize;
      const versions = this.#unflushed.get(sector) ?? [];
      const content = Buffer.from(this.#cached.subarray(start, start + sectorSize));
      this.#unflushed.set(sector, [...versions, { version: this.#version, bytes: content }]);
    }
  }

  /** Everything up to `version` is stable. */
  flush(version: number): void {
    for (const [sector, versions] of this.#unflushed) {
      const flushed = versions.filter((each) => each.version <= version);
      const newest = flushed.at(-1);
      if (newest !== undefined) this.#stable.set(newest.bytes, sector * sectorSize);
      const rest = versions.slice(flushed.length);
      if (rest.length === 0) this.#unflushed.delete(sector);
      else this.#unflushed.set(sector, rest);
    }
  }

  /** After a failed flush the kernel takes for clean what it could not write: reads see it, the disk never will. */
  dropUnflushed(): void {
    this.#unflushed.clear();
  }

  /** `choose(count)` gives a number below `count`: 0 the stable sector, else one of the versions since. */
  losePower(choose: (count: number) => number): void {
    for (const [sector, versions] of this.#unflushed) {
      const chosen = versions[choose(versions.length + 1) - 1];
      if (chosen !== undefined) this.#stable.set(chosen.bytes, sector * sectorSize);
    }
    this.#unflushed.clear();
    this.#cached.set(this.#stable);
  }

  /** Decay: bytes change on the medium itself. */
  damage(offset: number, byteCount: number): void {
    for (const image of [this.#stable, this.#cached]) {
      for (let at = offset; at < offset + byteCount; at += 1) image[at] = (image[at] ?? 0) ^ 0x5a;
    }
  }
}

/** One process's view of such a storage. Nothing happens until it is stepped; operations may end in any order. */
export class PowerLossDevice implements BlockDevice {
  readonly #storage: PowerLossStorage;
  #queue: Operation[] = [];
  /** So many flushes have been asked for. */
  flushCount = 0;

  constructor(storage: PowerLossStorage) {
    this.#storage = storage;
  }

  get byteSize(): number {
    return this.#storage.byteSize;
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /** Ends one operation; with an error, a write may or may not have happened. */
  step(index: number, failure: 'none' | 'before' | 'after' = 'none'): void {
    const [operation] = this.#queue.splice(index % this.#queue.length, 1);
    if (operation === undefined) return;
    if (failure !== 'before') operation.run();
    if (failure !== 'none') operation.failed?.();
    operation.done(failure === 'none' ? null : new IoError('EIO', 'injected'));
  }

  /** Ends everything, in order, including what that leads to. */
  drain(): void {
    while (this.#queue.length > 0) this.step(0);
  }

  /** The process dies: what was under way happens or not; nobody hears of it. */
  kill(choose: (count: number) => number): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const { run } of queue) if (choose(2) === 1) run();
  }

  read(into: Uint8Array, offset: number, done: Done): void {
    this.#queue.push({ run: () => this.#storage.read(into, offset), done });
  }

  write(from: Uint8Array, offset: number, done: Done): void {
    this.#queue.push({ run: () => this.#storage.write(from, offset), done });
  }

  zero(offset: number, byteCount: number, done: Done): void {
    this.write(Buffer.alloc(byteCount), offset, done);
  }

  trim(offset: number, byteCount: number, done: Done): void {
    this.write(Buffer.alloc(byteCount), offset, done);
  }

  flush(done: Done): void {
    this.flushCount += 1;
    const { version } = this.#storage;
    const failed = () => this.#storage.dropUnflushed();
    this.#queue.push({ run: () => this.#storage.flush(version), failed, done });
  }

  close(done: Done): void {
    this.#queue.push({ run: () => undefined, done });
  }
}
