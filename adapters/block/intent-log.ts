import type { Buffer } from 'node:buffer';
import { regionSize } from '../../domain/vocabulary.ts';
import { Bitmap, countBits, hasAllBits } from './bitmap.ts';
import type { BitmapHeader } from './bitmap-codec.ts';
import {
  bitBytesPerPage,
  encodeHeader,
  encodePage,
  pageCountOf,
  pageOffset,
  regionsPerPage,
  stampOf,
} from './bitmap-codec.ts';
import type { BlockDevice, Done } from './block-device.ts';
import { ReplicaError } from './replica-error.ts';

/*
 * The intent log: the regions of one volume that may differ between this replica and one peer (REQUIREMENTS 2.6).
 *
 * What must hold: at any moment, whatever of the unflushed blocks has reached the disk, the bits that a restart
 * would read cover every region whose `mark` was answered and that was not cleared since (I5). It rests on two
 * bitmaps in memory:
 *
 *   bits     what the log says now;
 *   durable  what is on stable storage for certain. Before a page is written it shrinks to the bits that both the
 *            old and the new page have, because either may be found after a crash; after the flush it is the page.
 *
 * A mark is answered at once where `durable` has its bits, else after a round: pages written, one flush, for all
 * marks that wait (group commit). One round runs at a time, so no two writes of one page are in flight.
 * A clear changes `bits` only; it reaches the disk with the next round that writes its page anyway, with `persist`,
 * or when many pages wait. So a hot region costs no I/O, and a mark always wins over a clear: one that is not yet
 * written leaves `durable` as it was, one that is being written has taken the bit from `durable`, and the mark waits
 * for the next round. Regions whose mark still waits are not cleared at all.
 *
 * While the peer is in sync (`marksAhead`) a page with many marks goes to the disk rounded up to extents: writes all
 * over a volume then pay one flush per extent, not per region. What `bits` says stays exact, and so does a resync;
 * only after a crash is it as coarse as the disk was. A page with few marks, and the log of a peer that is away, where
 * marks stay, are exact on the disk too.
 *
 * After a write error the log is invalid (FAULTS 15): it reads as all ones, every mark fails until `markAll` or
 * `clearAll` has rewritten the whole file, and the caller makes "invalid" durable in the replica's metadata before it
 * goes on without. The bytes are those of bitmap-codec.ts.
 */

export type IntentLogState = 'kept' | 'none' | 'invalid';

/** At most so many pages (each 2 GiB of volume) are written per flush. */
const roundPagesMax = 64;
/** When so many pages hold clears that are not on disk, they are written without being asked for. */
const clearedPagesMax = 64;
/** A page with more marks than this is rounded up. */
const exactMarksMax = 32;
/** 4 MiB of volume; as bytes of a page. */
const extentBytes = 8;
/** The header is written like a page that has no bits and lies before the first. */
const headerPage = -1;
const noBits = new Uint8Array();

interface Waiter {
  /** Regions that must not be cleared meanwhile; `last < first` for none. */
  readonly first: number;
  readonly last: number;
  /** The same for single regions, by the layout of `toBits`. */
  readonly bits?: Uint8Array;
  readonly done: Done;
  pagesLeft: number;
}

interface PageWrite {
  /** The bits as they go to the disk. */
  readonly bits: Uint8Array;
  readonly waiters: Waiter[];
}

/** What opening found. None of the bits counts as durable yet: opening writes them again (`merge`). */
export interface IntentLogContent {
  readonly device: BlockDevice | null;
  readonly header: BitmapHeader;
  readonly state: IntentLogState;
  readonly bits: Bitmap;
  /** Why everything, or some pages, read as all ones; null when all was as it was left. */
  readonly reason: string | null;
}

export class IntentLog {
  readonly regionCount: number;
  /** Whether marks will be cleared soon, so that covering more than was asked costs less than asking again. */
  marksAhead: () => boolean = () => false;
  /** Writes outstanding per asynchronous mirror, as `bitmap -a` left it. */
  readonly asyncLimit: number;

  readonly #device: BlockDevice | null;
  readonly #header: BitmapHeader;
  readonly #stamp: Buffer;
  readonly #bits: Bitmap;
  readonly #durable: Bitmap;
  /** Everyone whose `done` is still to come. */
  readonly #waiting = new Set<Waiter>();
  /** Pages with marks that are not durable, and who waits for them. */
  readonly #dirty = new Map<number, Waiter[]>();
  /** Pages with clears that are not on disk. */
  readonly #cleared = new Set<number>();
  #round: ReadonlyMap<number, PageWrite> = new Map();
  #isCommitting = false;
  #state: IntentLogState;
  #reason: string | null;
  /** False from a write error until the file is being rewritten: nothing can become durable. */
  #isWritable: boolean;

  constructor({ device, header, state, bits, reason }: IntentLogContent) {
    this.#device = device;
    this.#header = header;
    this.#stamp = stampOf(header);
    this.#bits = bits;
    this.#durable = new Bitmap(header.regionCount);
    if (state === 'none') this.#durable.fill();
    this.#state = state;
    this.#reason = reason;
    this.#isWritable = state !== 'invalid';
    this.regionCount = header.regionCount;
    this.asyncLimit = header.asyncLimit;
  }

  /** `none`: nothing is kept over a restart. `invalid`: reads as all ones, marks fail. */
  get state(): IntentLogState {
    return this.#state;
  }

  /** Why regions are marked that nobody marked (torn page, other identity, write error …), or null. */
  get reason(): string | null {
    return this.#reason;
  }

  get markedCount(): number {
    return this.#bits.count;
  }

  isMarked(region: number): boolean {
    return this.#bits.has(region);
  }

  /** Whether regions `first` to `last` are marked on stable storage: `mark` would answer at once, without I/O. */
  isMarkedDurably(first: number, last: number): boolean {
    return this.#durable.hasRange(first, last) && this.#bits.hasRange(first, last);
  }

  /** The first marked region at or after `from`, or -1. */
  nextMarked(from: number): number {
    return this.#bits.next(from);
  }

  /** A copy; region r is bit `r & 7` of byte `r >> 3`. */
  toBits(): Uint8Array {
    return this.#bits.bytes.slice();
  }

  /**
   * Marks the regions of a range of bytes. `done` comes when they are on stable storage: at once, without I/O,
   * where they already are. Only then may the data differ (I5).
   * Errors: `intent-log-invalid`, or what the device said; the log is invalid then.
   */
  mark(offset: number, byteCount: number, done: Done): void {
    const first = Math.floor(offset / regionSize);
    const last = Math.floor((offset + byteCount - 1) / regionSize);
    if (first <= last && this.isMarkedDurably(first, last)) done(null);
    else this.#mark(first, last, done);
  }

  /**
   * Both sides have these regions on stable storage, and no write to them is pending: the caller's promise.
   * On disk lazily: see `persist`.
   */
  clear(firstRegion: number, lastRegion: number): void {
    if (!this.#isWritable) return;
    for (let page = pageOf(firstRegion); page <= pageOf(lastRegion); page += 1) {
      const first = Math.max(firstRegion, page * regionsPerPage);
      const last = Math.min(lastRegion, (page + 1) * regionsPerPage - 1);
      const countBefore = this.#bits.count;
      this.#bits.delete(first, last);
      this.#restoreAwaited(page);
      if (this.#bits.count !== countBefore && this.#state !== 'none') this.#cleared.add(page);
    }
    if (this.#bits.count === 0 && this.#state === 'kept') this.#reason = null;
    if (this.#cleared.size > clearedPagesMax) this.persist(() => undefined);
  }

  /** Everything may differ (a full resync). Also makes an invalid log valid again. */
  markAll(done: Done): void {
    this.#bits.fill();
    this.#rewrite(0, this.regionCount - 1, done);
  }

  /** Both sides are equal now, by the caller's promise; only marks that still wait survive. */
  clearAll(done: Done): void {
    this.#bits.clear();
    for (let page = 0; page < pageCountOf(this.regionCount); page += 1) this.#restoreAwaited(page);
    this.#rewrite(0, -1, (error) => {
      if (error === null && this.#state === 'kept') this.#reason = null;
      done(error);
    });
  }

  /** Adds the regions that another log names (of the same volume; layout of `toBits`). */
  merge(bits: Uint8Array, done: Done): void {
    if (!this.#isWritable) {
      done(this.#invalid());
      return;
    }
    this.#bits.unite(0, bits);
    const waiter = { ...nobodys(done), bits: bits.slice() };
    for (let page = 0; page < pageCountOf(this.regionCount); page += 1) {
      const at = page * bitBytesPerPage;
      const wanted = this.#bits.bytes.subarray(at, at + bitBytesPerPage);
      if (wanted.some((byte, index) => (byte & ~(this.#durable.bytes[at + index] ?? 0)) !== 0)) {
        this.#await(page, waiter);
      }
    }
    this.#start(waiter);
  }

  /**
   * Writes what was cleared and waits for all that is under way: from time to time (a region that stays quiet should
   * not be resynced after a crash), before a hand-over, at an orderly stop.
   */
  persist(done: Done): void {
    if (!this.#isWritable) {
      done(this.#invalid());
      return;
    }
    const waiter = nobodys(done);
    const underWay = [...this.#round.values()].map(({ waiters }) => waiters);
    for (const page of this.#cleared) if (!this.#dirty.has(page)) this.#dirty.set(page, []);
    for (const waiters of [...underWay, ...this.#dirty.values()]) {
      waiters.push(waiter);
      waiter.pagesLeft += 1;
    }
    this.#start(waiter);
  }

  /** Persists, then closes the device whatever came of that. */
  close(done: Done): void {
    const close = (error: Error | null) => {
      if (this.#device === null) done(error);
      else this.#device.close((closeError) => done(error ?? closeError));
    };
    if (this.#isWritable) this.persist(close);
    else close(null);
  }

  #mark(first: number, last: number, done: Done): void {
    if (last < first) {
      done(null);
      return;
    }
    if (!this.#isWritable) {
      done(this.#invalid());
      return;
    }
    this.#bits.add(first, last);
    const waiter = { first, last, done, pagesLeft: 0 };
    for (let page = pageOf(first); page <= pageOf(last); page += 1) {
      const from = Math.max(first, page * regionsPerPage);
      const to = Math.min(last, (page + 1) * regionsPerPage - 1);
      if (this.#durable.hasRange(from, to)) continue;
      const underWay = this.#round.get(page);
      const start = page * regionsPerPage;
      if (underWay !== undefined && hasAllBits(underWay.bits, from - start, to - start)) {
        underWay.waiters.push(waiter);
        waiter.pagesLeft += 1;
      } else {
        this.#await(page, waiter);
      }
    }
    this.#start(waiter);
  }

  /** All pages, then, where the file as a whole was not to be believed, the header: only it makes them count. */
  #rewrite(first: number, last: number, done: Done): void {
    if (this.#device === null) {
      done(null);
      return;
    }
    const isRevival = this.#state === 'invalid';
    // Marks that come from here on must outlive the rewrite, so they are recorded again already.
    this.#isWritable = true;
    const revived: Done = (error) => {
      if (error === null) this.#state = 'kept';
      done(error);
    };
    const pagesWritten: Done = (error) => {
      if (error !== null || !isRevival) {
        done(error);
        return;
      }
      const waiter = nobodys(revived);
      this.#await(headerPage, waiter);
      this.#start(waiter);
    };
    const waiter = { first, last, done: pagesWritten, pagesLeft: 0 };
    for (let page = 0; page < pageCountOf(this.regionCount); page += 1) this.#await(page, waiter);
    this.#start(waiter);
  }

  #await(page: number, waiter: Waiter): void {
    const waiters = this.#dirty.get(page);
    if (waiters === undefined) this.#dirty.set(page, [waiter]);
    else waiters.push(waiter);
    waiter.pagesLeft += 1;
  }

  #start(waiter: Waiter): void {
    if (waiter.pagesLeft === 0) {
      waiter.done(null);
      return;
    }
    this.#waiting.add(waiter);
    this.#commit();
  }

  /** One round: the oldest dirty pages, one flush, then whoever waited for them. */
  #commit(): void {
    if (this.#isCommitting || this.#dirty.size === 0 || this.#device === null) return;
    const device = this.#device;
    this.#isCommitting = true;
    // 1. From now on either the old or the new page may be found: only what both have is durable.
    const round = this.#takeRound();
    this.#round = round;
    // 2. All pages, in any order.
    let writesLeft = round.size;
    let failure: Error | null = null;
    const written: Done = (error) => {
      failure ??= error;
      writesLeft -= 1;
      if (writesLeft > 0) return;
      // 3. One flush for all of them. A failure counts when no write is in flight any more.
      if (failure !== null) this.#fail(failure);
      else device.flush((flushError) => (flushError === null ? this.#committed() : this.#fail(flushError)));
    };
    for (const [page, { bits }] of round) {
      const block = page === headerPage ? encodeHeader(this.#header) : encodePage(page, this.#stamp, bits);
      device.write(block, pageOffset(page), written);
    }
  }

  #takeRound(): Map<number, PageWrite> {
    const round = new Map<number, PageWrite>();
    for (const [page, waiters] of this.#dirty) {
      if (round.size === roundPagesMax) break;
      const bits = page === headerPage ? noBits : this.#contentOf(page);
      this.#durable.intersect(page * bitBytesPerPage, bits);
      round.set(page, { bits, waiters });
    }
    for (const page of round.keys()) {
      this.#dirty.delete(page);
      this.#cleared.delete(page);
    }
    return round;
  }

  #contentOf(page: number): Uint8Array {
    const at = page * bitBytesPerPage;
    const bits = this.#bits.bytes.slice(at, at + bitBytesPerPage);
    if (this.marksAhead() && countBits(bits) > exactMarksMax) {
      roundUp(bits, Math.min(regionsPerPage, this.regionCount - page * regionsPerPage));
    }
    return bits;
  }

  #committed(): void {
    const round = this.#round;
    this.#round = new Map();
    for (const [page, { bits }] of round) this.#durable.replace(page * bitBytesPerPage, bits);
    for (const { waiters } of round.values()) {
      for (const waiter of waiters) {
        waiter.pagesLeft -= 1;
        if (waiter.pagesLeft > 0) continue;
        this.#waiting.delete(waiter);
        waiter.done(null);
      }
    }
    // Only now: what the answered marks led to joins one round.
    this.#isCommitting = false;
    this.#commit();
  }

  #fail(error: Error): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#round = new Map();
    this.#isCommitting = false;
    this.#dirty.clear();
    this.#cleared.clear();
    this.#bits.fill();
    this.#durable.clear();
    this.#isWritable = false;
    this.#state = 'invalid';
    this.#reason = `the bitmap file could not be written: ${error.message}`;
    for (const waiter of waiting) waiter.done(error);
  }

  /** Puts back what a clear took from marks that still wait: their writes come after the clear. */
  #restoreAwaited(page: number): void {
    const start = page * regionsPerPage;
    const end = Math.min(start + regionsPerPage, this.regionCount) - 1;
    const at = page * bitBytesPerPage;
    for (const { first, last, bits } of this.#waiting) {
      if (first <= end && last >= start) this.#bits.add(Math.max(first, start), Math.min(last, end));
      if (bits !== undefined) this.#bits.unite(at, bits.subarray(at, at + bitBytesPerPage));
    }
  }

  #invalid(): ReplicaError {
    const { volume, peer } = this.#header.identity;
    const why = this.#reason ?? 'the replica recorded it as invalid';
    return new ReplicaError(
      'intent-log-invalid',
      `the intent log of ${volume} for ${peer} is invalid until a full resync or a rewrite: ${why}`,
    );
  }
}

/** Sets every extent that has a bit; none from `bitCount` on. */
function roundUp(bits: Uint8Array, bitCount: number): void {
  for (let at = 0; at < bits.length; at += extentBytes) {
    const extent = bits.subarray(at, at + extentBytes);
    if (extent.some((byte) => byte !== 0)) extent.fill(0xff);
  }
  const last = bits.length - 1;
  const bitsInLast = bitCount - last * 8;
  bits[last] = (bits[last] ?? 0) & (0xff >> (8 - bitsInLast));
}

const pageOf = (region: number): number => Math.floor(region / regionsPerPage);

/** Someone who waits for pages but for no region in particular. */
const nobodys = (done: Done): Waiter => ({ first: 0, last: -1, done, pagesLeft: 0 });
