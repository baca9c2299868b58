import { Buffer } from 'node:buffer';
import { regionSize } from '../../domain/vocabulary.ts';
import type { Bitmap } from '../block/bitmap.ts';
import type { Timer } from './clock.ts';
import type { LockedRange } from './range-lock.ts';
import { hasBit } from './region-digests.ts';
import type { Replica } from './replica.ts';
import type { Throttle } from './throttle.ts';
import type { Volume } from './volume.ts';
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

const chunkRegions = 16;
const chunkBytes = chunkRegions * regionSize;
/** Copies on their way to the target, in bytes. */
const windowBytes = 8 * chunkBytes;
const zeros = Buffer.alloc(chunkBytes);

export interface CopyTarget {
  /** Bytes of copies that the target has not acknowledged. */
  readonly copyBytes: number;
  /** `bytes` null: all zeros. It stays untouched until acknowledged. */
  sendCopy(volume: Volume, offset: number, byteCount: number, bytes: Uint8Array | null): void;
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

class Copy implements LockedRange {
  readonly volume: Volume;
  readonly offset: number;
  readonly end: number;
  blockers = 0;
  waiters: LockedRange[] | null = null;
  slot = 0;
  readonly granted: () => void;

  constructor(volume: Volume, offset: number, end: number, granted: (copy: Copy) => void) {
    this.volume = volume;
    this.offset = offset;
    this.end = end;
    this.granted = () => granted(this);
  }
}

export class Resync {
  readonly #replica: Replica;
  readonly #path: WritePath;
  readonly #target: CopyTarget;
  readonly #throttle: Throttle;
  readonly #behind: readonly Bitmap[];
  #regionsAtStart = 0;
  #bytesCopied = 0;
  #volumeIndex = 0;
  #cursor = 0;
  /** Copies that wait for their range or their read. */
  #reading = 0;
  #timer: Timer | null = null;
  #isOver = false;

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
    while (!this.#isOver) {
      if (this.regionsLeft === 0) {
        this.#finishIfIdle();
        return;
      }
      if (this.#target.copyBytes + this.#reading * chunkBytes >= windowBytes) return;
      const waitMs = this.#throttle.waitMs(chunkBytes, this.#path.inFlight > 0);
      if (waitMs > 0) {
        this.#later(waitMs);
        return;
      }
      const copy = this.#next();
      if (copy === null) return;
      this.#reading += 1;
      this.#path.lockOf(copy.volume).acquire(copy);
    }
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
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
    return new Copy(volume, first * regionSize, end, (copy) => this.#read(copy));
  }

  #read(copy: Copy): void {
    if (this.#isOver) {
      this.#release(copy);
      return;
    }
    const bytes = Buffer.allocUnsafe(copy.end - copy.offset);
    copy.volume.device.read(bytes, copy.offset, (error) => {
      if (error !== null) this.#replica.diskFailed(copy.volume, 'resync', error);
      if (error !== null || this.#isOver) {
        this.#release(copy);
        return;
      }
      this.#target.differing(copy.volume, copy.offset, bytes, (differing) => {
        if (!this.#isOver) this.#sendDiffering(copy, bytes, differing);
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

  #send({ volume, offset }: Copy, at: number, bytes: Buffer): void {
    const isZero = bytes.equals(zeros.subarray(0, bytes.length));
    const first = (offset + at) / regionSize;
    this.#behind[volume.index]?.delete(first, first + Math.ceil(bytes.length / regionSize) - 1);
    this.#bytesCopied += bytes.length;
    this.#target.sendCopy(volume, offset + at, bytes.length, isZero ? null : bytes);
  }

  #release(copy: Copy): void {
    this.#path.lockOf(copy.volume).release(copy);
    this.#reading -= 1;
    if (this.#replica.failure === null) this.pump();
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
