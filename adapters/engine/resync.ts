import { Buffer } from 'node:buffer';
import { regionSize } from '../../domain/vocabulary.ts';
import type { Bitmap } from '../block/bitmap.ts';
import type { Timer } from './clock.ts';
import type { LockedRange } from './range-lock.ts';
import { hasBit } from './region-digests.ts';
import type { Replica } from './replica.ts';
import type { Throttle } from './throttle.ts';
import type { Volume } from './volume.ts';
import type { Waiter } from './write-operation.ts';
import type { WritePath } from './write-path.ts';

/*
 * The resync of one mirror: copies the regions in which the target is behind, beside the application's writes.
 *
 * The scheme. `behind` holds the regions that the target does not have: at the start all that are marked in the
 * intent logs of either side. A write all of whose regions are behind is not sent: the copy brings it. Every other
 * write is sent like in sync. A copy takes its range from the lock of the write path, so no write to it is in
 * flight; reads it; sends it in the same stream, with a sequence of its own; takes it from `behind`; releases the
 * range. So whatever is written to it later is sent later, and applied later. The bits of the intent log stay set
 * until the clearing has seen both disks flush what was sent (clearing.ts), as for a write: so a resync that is
 * interrupted anywhere goes on from the bits.
 * The order of the regions is not the order of the writes: the target is inconsistent until the end, and has said so
 * durably before the first copy (I6).
 */

/** Small enough to be read and written in the event loop where the disk is quick (file-device.ts). */
const chunkRegions = 4;
const chunkBytes = chunkRegions * regionSize;
/** Copies on their way to the target, in bytes. */
const windowBytes = 32 * chunkBytes;
/** After so many bytes the target is asked to flush, beside the copying: not all of it is left for the end. */
const flushBytes = 64 * 1024 * 1024;
const zeros = Buffer.alloc(chunkBytes);

export interface CopyTarget {
  /** Bytes of copies that the target has not acknowledged. */
  readonly copyBytes: number;
  /** `bytes` null: all zeros. They stay untouched until `copy` has arrived: the target has acknowledged them. */
  sendCopy(volume: Volume, offset: number, byteCount: number, bytes: Uint8Array | null, copy: Waiter): void;
  /** Asks the target to flush what was sent before; nothing waits for it. */
  flushCopies(volume: Volume): void;
  /** Bits of the regions in which the target's bytes differ from these; null: all are to be copied. */
  differing(
    volume: Volume,
    offset: number,
    bytes: Uint8Array,
    done: (differing: Uint8Array | null) => void,
  ): void;
  /** Nothing is behind, and all copies are sent. */
  copied(): void;
}

/** A run of regions on its way to the target. Its buffer is free again when it is released and all of it acknowledged. */
class Copy implements LockedRange, Waiter {
  readonly volume: Volume;
  readonly offset: number;
  readonly end: number;
  blockers = 0;
  waiters: LockedRange[] | null = null;
  slot = 0;
  waiting = 1;
  readonly granted: () => void;
  readonly #acknowledged: () => void;

  constructor(volume: Volume, offset: number, end: number, buffer: Buffer, steps: CopySteps) {
    this.volume = volume;
    this.offset = offset;
    this.end = end;
    this.granted = () => steps.read(this, buffer.subarray(0, end - offset));
    this.#acknowledged = () => steps.acknowledged(buffer);
  }

  arrived(): void {
    this.waiting -= 1;
    if (this.waiting === 0) this.#acknowledged();
  }
}

interface CopySteps {
  read(copy: Copy, into: Buffer): void;
  acknowledged(buffer: Buffer): void;
}

export class Resync {
  readonly #replica: Replica;
  readonly #path: WritePath;
  readonly #target: CopyTarget;
  readonly #throttle: Throttle;
  readonly #behind: readonly Bitmap[];
  #regionsAtStart = 0;
  #bytesCopied = 0;
  #bytesToFlush = 0;
  #volumeIndex = 0;
  #cursor = 0;
  /** Copies that wait for their range or their read. */
  #reading = 0;
  /** Free for the next copy: a fresh one for each would keep the garbage collector busy. */
  readonly #buffers: Buffer[] = [];
  #timer: Timer | null = null;
  #isPumping = false;
  #isOver = false;
  readonly #steps: CopySteps = {
    read: (copy, into) => this.#read(copy, into),
    acknowledged: (buffer) => this.#buffers.push(buffer),
  };

  constructor(
    replica: Replica,
    path: WritePath,
    target: CopyTarget,
    throttle: Throttle,
    behind: readonly Bitmap[],
  ) {
    this.#replica = replica;
    this.#path = path;
    this.#target = target;
    this.#throttle = throttle;
    this.#behind = behind;
    this.#regionsAtStart = this.regionsLeft;
  }

  get regionsLeft(): number {
    return this.#behind.reduce((sum, { count }) => sum + count, 0);
  }

  get bytesCopied(): number {
    return this.#bytesCopied;
  }

  get percent(): number {
    const total = Math.max(this.#regionsAtStart, this.regionsLeft);
    return total === 0 ? 100 : Math.floor((100 * (total - this.regionsLeft)) / total);
  }

  /** Sends as much as window and throttle allow. Called at the start and after every acknowledgement. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (!this.#isOver && this.#startCopy());
    this.#isPumping = false;
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  /** False: nothing can be started now. */
  #startCopy(): boolean {
    if (this.#replica.failure !== null) return false;
    if (this.regionsLeft === 0) {
      this.#finishIfIdle();
      return false;
    }
    if (this.#target.copyBytes + this.#reading * chunkBytes >= windowBytes) return false;
    const waitMs = this.#throttle.waitMs(chunkBytes, this.#path.inFlight > 0);
    if (waitMs > 0) {
      this.#later(waitMs);
      return false;
    }
    const copy = this.#next();
    if (copy === null) return false;
    this.#reading += 1;
    this.#path.lockOf(copy.volume).acquire(copy);
    return true;
  }

  /** The next run of regions that are behind and not being read; null while all of those are. */
  #next(): Copy | null {
    for (let tries = 0; tries <= this.#replica.volumes.length; tries += 1) {
      const volume = this.#replica.volumes[this.#volumeIndex];
      const behind = this.#behind[this.#volumeIndex];
      if (volume === undefined || behind === undefined) return null;
      const first = behind.next(this.#cursor);
      if (first >= 0) return this.#copyFrom(volume, behind, first);
      // One round over all volumes at a time: what was written behind the cursor meanwhile comes in the next one.
      if (this.#volumeIndex + 1 === this.#replica.volumes.length && this.#reading > 0) return null;
      this.#volumeIndex = (this.#volumeIndex + 1) % this.#replica.volumes.length;
      this.#cursor = 0;
    }
    return null;
  }

  #copyFrom(volume: Volume, behind: Bitmap, first: number): Copy {
    let last = first;
    while (last + 1 < volume.regionCount && last - first + 1 < chunkRegions && behind.has(last + 1))
      last += 1;
    this.#cursor = last + 1;
    const end = Math.min((last + 1) * regionSize, volume.byteSize);
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
    return new Copy(volume, first * regionSize, end, buffer, this.#steps);
  }

  #read(copy: Copy, into: Buffer): void {
    if (this.#isOver) {
      this.#release(copy);
      return;
    }
    copy.volume.device.read(into, copy.offset, (error) => {
      if (error !== null) this.#replica.diskFailed(copy.volume, 'resync', error);
      if (error !== null || this.#isOver) {
        this.#release(copy);
        return;
      }
      this.#target.differing(copy.volume, copy.offset, into, (differing) => {
        if (!this.#isOver) this.#sendDiffering(copy, into, differing);
        this.#release(copy);
      });
    });
  }

  /** What is equal already is not behind any more; it counts as written, so that the clearing sees to its bits. */
  #sendDiffering(copy: Copy, bytes: Buffer, differing: Uint8Array | null): void {
    if (differing === null) {
      this.#send(copy, 0, bytes);
      return;
    }
    const { volume, offset } = copy;
    for (let at = 0; at < bytes.length; at += regionSize) {
      const region = (offset + at) / regionSize;
      if (hasBit(differing, at / regionSize)) {
        this.#send(copy, at, bytes.subarray(at, at + regionSize));
      } else {
        this.#behind[volume.index]?.delete(region, region);
        this.#path.touched[volume.index]?.add(region, region);
      }
    }
  }

  #send(copy: Copy, at: number, bytes: Buffer): void {
    const { volume, offset } = copy;
    const isZero = bytes.equals(zeros.subarray(0, bytes.length));
    const first = (offset + at) / regionSize;
    this.#behind[volume.index]?.delete(first, first + Math.ceil(bytes.length / regionSize) - 1);
    this.#bytesCopied += bytes.length;
    copy.waiting += 1;
    this.#target.sendCopy(volume, offset + at, bytes.length, isZero ? null : bytes, copy);
    this.#bytesToFlush += bytes.length;
    if (this.#bytesToFlush < flushBytes) return;
    this.#bytesToFlush = 0;
    this.#target.flushCopies(volume);
  }

  #release(copy: Copy): void {
    this.#path.lockOf(copy.volume).release(copy);
    copy.arrived();
    this.#reading -= 1;
    this.pump();
  }

  #finishIfIdle(): void {
    if (this.#reading > 0) return;
    this.stop();
    this.#target.copied();
  }

  #later(waitMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#throttle.clock.after(waitMs, () => this.pump());
  }
}
