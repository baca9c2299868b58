import { Buffer } from 'node:buffer';
import { fdatasync, read, readSync, write, writeSync } from 'node:fs';
import type { BlockDevice, Done } from './block-device.ts';
import type { FallocateKind } from './fallocate.ts';
import { fallocate } from './fallocate.ts';
import { IoError } from './io-error.ts';
import type { OpenedFile } from './open-file.ts';
import { openFile } from './open-file.ts';
import { Pace } from './pace.ts';

/** Larger operations always go to the thread pool: they would hold up the event loop. */
const inLoopBytesMax = 256 * 1024;
/** Writing fewer zeros is cheaper than starting a program. */
const fallocateBytesMin = 2 * 1024 * 1024;
/** What file systems and devices can give back as a whole. */
const fallocateAlignment = 4096;
const zeros = Buffer.alloc(1024 * 1024);

type Move<Rest extends unknown[], Result> = (
  fd: number,
  bytes: Uint8Array,
  from: number,
  byteCount: number,
  at: number,
  ...rest: Rest
) => Result;
type InLoop = Move<[], number>;
type InPool = Move<[done: (error: Error | null, moved: number) => void], void>;

/**
 * A file, partition or disk. Small reads and writes of a quick file are done at once, in the event loop; all else in
 * libuv's pool (pace.ts). Operations may end in any order.
 *
 * After a failed fdatasync the kernel has dropped the dirty pages and would call the next one a success, so the
 * device is failed for good: every later operation gives that error (FAULTS 31).
 */
export class FileDevice implements BlockDevice {
  readonly byteSize: number;
  readonly path: string;
  readonly #file: OpenedFile;
  readonly #fd: number;
  readonly #pace: Pace;
  /** Kinds that this file has turned down. */
  readonly #unsupported = new Set<FallocateKind>();
  /** One child at a time: the others wait here. */
  readonly #fallocations: (() => void)[] = [];
  #isFallocating = false;
  /** Operations that use the descriptor outside the event loop. */
  #underWay = 0;
  /** Of these, reads and writes. */
  #movesInPool = 0;
  /** Something was written since the last fdatasync began. What came before this process may be unflushed too. */
  #isDirty = true;
  #isFlushing = false;
  #flushers: Done[] = [];
  #nextFlushers: Done[] = [];
  #failure: Error | null = null;
  #closing: Done | null = null;

  /** Opens for this process alone. Errors: `path-missing`, `path-in-use`, or the system's. */
  static async open(path: string): Promise<FileDevice> {
    return new FileDevice(path, await openFile(path));
  }

  private constructor(path: string, file: OpenedFile) {
    this.path = path;
    this.byteSize = file.byteSize;
    this.#file = file;
    this.#fd = file.handle.fd;
    this.#pace = new Pace(file.isLocal);
  }

  read(into: Uint8Array, offset: number, done: Done): void {
    if (this.#failure !== null) done(this.#failure);
    else if (into.length <= inLoopBytesMax && this.#pace.isQuick(performance.now())) {
      done(this.#inLoop(readSync, into, offset));
    } else this.#inPool(read, into, offset, done);
  }

  write(from: Uint8Array, offset: number, done: Done): void {
    if (this.#failure !== null) done(this.#failure);
    else if (from.length <= inLoopBytesMax && this.#pace.isQuick(performance.now())) {
      this.#isDirty = true;
      done(this.#inLoop(writeSync, from, offset));
    } else {
      this.#inPool(write, from, offset, (error) => {
        this.#isDirty = true;
        done(error);
      });
    }
  }

  zero(offset: number, byteCount: number, done: Done): void {
    this.#wipe('zero-range', offset, byteCount, done);
  }

  trim(offset: number, byteCount: number, done: Done): void {
    this.#wipe('punch-hole', offset, byteCount, done);
  }

  flush(done: Done): void {
    if (this.#failure !== null) done(this.#failure);
    else if (this.#isFlushing) (this.#isDirty ? this.#nextFlushers : this.#flushers).push(done);
    else if (this.#isDirty) this.#startFlush([done]);
    else done(null);
  }

  /** Waits for what is under way: a descriptor that is closed under a write may be another file's by then. */
  close(done: Done): void {
    this.#failure ??= new IoError('EBADF', `${this.path} is closed`);
    this.#closing = done;
    if (this.#underWay === 0) this.#close();
  }

  #startFlush(flushers: Done[]): void {
    this.#isFlushing = true;
    this.#isDirty = false;
    this.#flushers = flushers;
    this.#underWay += 1;
    fdatasync(this.#fd, (error) => {
      if (error !== null) {
        this.#failure = new IoError(error.code ?? 'EIO', `${this.path} failed for good: ${error.message}`);
      }
      const finished = this.#flushers;
      const waiting = this.#nextFlushers;
      this.#nextFlushers = [];
      this.#isFlushing = false;
      if (error === null && waiting.length > 0) this.#startFlush(waiting);
      else finished.push(...waiting);
      for (const flusher of finished) flusher(error === null ? null : this.#failure);
      this.#ended();
    });
  }

  #inLoop(operate: InLoop, bytes: Uint8Array, offset: number): Error | null {
    const startMs = performance.now();
    try {
      let position = 0;
      while (position < bytes.length) {
        const moved = operate(this.#fd, bytes, position, bytes.length - position, offset + position);
        if (moved === 0) return this.#endOfFile();
        position += moved;
      }
      return null;
    } catch (error) {
      return asError(error);
    } finally {
      this.#pace.took(startMs, performance.now());
    }
  }

  #inPool(operate: InPool, bytes: Uint8Array, offset: number, done: Done): void {
    const startMs = performance.now();
    const ahead = this.#movesInPool;
    this.#underWay += 1;
    this.#movesInPool += 1;
    const end: Done = (error) => {
      this.#movesInPool -= 1;
      if (bytes.length <= inLoopBytesMax) this.#pace.took(startMs, performance.now(), ahead);
      done(error);
      this.#ended();
    };
    const moveFrom = (position: number) => {
      operate(this.#fd, bytes, position, bytes.length - position, offset + position, (error, moved) => {
        if (error !== null) end(error);
        else if (moved === 0 && bytes.length > 0) end(this.#endOfFile());
        else if (position + moved < bytes.length) moveFrom(position + moved);
        else end(null);
      });
    };
    moveFrom(0);
  }

  /** Zeros by fallocate where that pays and works, by writing elsewhere: either way they read back as zeros. */
  #wipe(kind: FallocateKind, offset: number, byteCount: number, done: Done): void {
    if (byteCount < fallocateBytesMin || this.#unsupported.has(kind)) {
      this.#writeZeros(offset, byteCount, done);
      return;
    }
    const start = Math.ceil(offset / fallocateAlignment) * fallocateAlignment;
    const end = Math.floor((offset + byteCount) / fallocateAlignment) * fallocateAlignment;
    this.#writeZeros(offset, start - offset, (headError) => {
      if (headError !== null) {
        done(headError);
        return;
      }
      this.#fallocate(kind, start, end - start, (error) => {
        if (error === null) this.#writeZeros(end, offset + byteCount - end, done);
        else done(error);
      });
    });
  }

  #fallocate(kind: FallocateKind, offset: number, byteCount: number, done: Done): void {
    if (this.#isFallocating) {
      this.#fallocations.push(() => this.#fallocate(kind, offset, byteCount, done));
      return;
    }
    if (this.#failure !== null) {
      done(this.#failure);
      return;
    }
    this.#isFallocating = true;
    this.#underWay += 1;
    fallocate(this.#fd, kind, offset, byteCount, (outcome) => {
      this.#isFallocating = false;
      this.#isDirty = true;
      if (outcome === 'unsupported') this.#unsupported.add(kind);
      this.#fallocations.shift()?.();
      // The program says nothing that we could rely on about why; writing the zeros gives the system's own error.
      if (outcome === 'done') done(null);
      else this.#writeZeros(offset, byteCount, done);
      this.#ended();
    });
  }

  #writeZeros(offset: number, byteCount: number, done: Done): void {
    if (byteCount === 0) {
      done(null);
      return;
    }
    const chunk = Math.min(byteCount, zeros.length);
    this.write(zeros.subarray(0, chunk), offset, (error) => {
      if (error === null) this.#writeZeros(offset + chunk, byteCount - chunk, done);
      else done(error);
    });
  }

  #ended(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0 && this.#closing !== null) this.#close();
  }

  #close(): void {
    const done = this.#closing ?? (() => undefined);
    this.#closing = null;
    this.#file.handle.close().then(
      () => done(null),
      (error: unknown) => done(asError(error)),
    );
  }

  #endOfFile(): IoError {
    return new IoError('EIO', `${this.path} has become shorter than ${this.byteSize} bytes`);
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
