import { Fifo } from './fifo.ts';
import type { Waiter } from './write-operation.ts';

interface Outstanding {
  readonly last: number;
  /** Still waits for this mirror; null: never did, or not any more. */
  waiter: Waiter | null;
  readonly byteCount: number;
  /** Copied by the resync, not written by the application. */
  readonly isCopy: boolean;
  readonly sentMs: number;
}

/** What a target has not acknowledged, in the order of the sequence; and the flushes it has been asked for. */
export class MirrorQueue {
  readonly #entries = new Fifo<Outstanding>();
  /** Of these, what the target has not even in memory (memory-sync asks). */
  readonly #unreceived = new Fifo<Outstanding>();
  readonly #flushes = new Map<number, Flush>();
  #writes = 0;
  #writeBytes = 0;
  #copyBytes = 0;
  #flushNumber = 0;
  /** Up to where the target has written, and when it last got on. */
  #written = 0;
  #progressMs = Number.NEGATIVE_INFINITY;
  /** Of the newest entry. */
  #last = 0;

  /** Writes of the application. */
  get writes(): number {
    return this.#writes;
  }

  get writeBytes(): number {
    return this.#writeBytes;
  }

  get copyBytes(): number {
    return this.#copyBytes;
  }

  /** When the oldest entry was sent, or null. */
  get oldestMs(): number | null {
    const flush = this.#flushes.values().next().value;
    const entry = this.#entries.peek();
    const times = [entry?.sentMs, flush?.sentMs].filter((ms) => ms !== undefined);
    return times.length === 0 ? null : Math.min(...times);
  }

  /**
   * Since when the target has answered nothing of what is its turn, or null. What waits behind something else waits
   * for a link or a disk that may be slow, not for a target that has stopped to answer.
   */
  get unansweredSinceMs(): number | null {
    const entry = this.#entries.peek();
    const since = entry === undefined ? [] : [Math.max(entry.sentMs, this.#progressMs)];
    for (const { after, dueMs } of this.#flushes.values()) {
      if (entry === undefined || after < entry.last) since.push(dueMs);
    }
    return since.length === 0 ? null : Math.min(...since);
  }

  /** `onReceipt`: the waiter is content when the target has it in memory. */
  push(
    last: number,
    waiter: Waiter | null,
    onReceipt: boolean,
    byteCount: number,
    isCopy: boolean,
    sentMs: number,
  ): void {
    const entry = { last, waiter, byteCount, isCopy, sentMs };
    this.#entries.push(entry);
    this.#last = last;
    if (onReceipt) this.#unreceived.push(entry);
    if (isCopy) {
      this.#copyBytes += byteCount;
    } else {
      this.#writes += 1;
      this.#writeBytes += byteCount;
    }
  }

  /** Number of the flush that is to be sent. */
  addFlush(flushed: (ok: boolean) => void, waiter: Waiter | null, sentMs: number): number {
    this.#flushNumber += 1;
    this.#flushes.set(this.#flushNumber, { flushed, waiter, sentMs, after: this.#last, dueMs: sentMs });
    return this.#flushNumber;
  }

  /** The target has written everything sent up to `last`. */
  written(last: number, nowMs: number): void {
    if (last !== this.#written) this.#progressMs = nowMs;
    for (const flush of this.#flushes.values()) {
      if (flush.after > this.#written && flush.after <= last) flush.dueMs = nowMs;
    }
    this.#written = last;
    for (let entry = this.#entries.peek(); entry !== undefined && entry.last <= last; ) {
      this.#entries.shift();
      this.#forget(entry);
      arrive(entry);
      entry = this.#entries.peek();
    }
  }

  /** Memory-sync: the target has everything sent up to `last` in its memory. */
  received(last: number): void {
    for (let entry = this.#unreceived.peek(); entry !== undefined && entry.last <= last; ) {
      this.#unreceived.shift();
      arrive(entry);
      entry = this.#unreceived.peek();
    }
  }

  flushed(number: number): boolean {
    const flush = this.#flushes.get(number);
    if (flush === undefined) return false;
    this.#flushes.delete(number);
    flush.flushed(true);
    flush.waiter?.arrived();
    return true;
  }

  /** The session is over: nothing of it will be answered, but what waits goes on waiting. */
  sessionEnded(): void {
    for (const [number, flush] of this.#flushes) {
      flush.flushed(false);
      if (flush.waiter === null) this.#flushes.delete(number);
      else this.#flushes.set(number, { ...flush, flushed: () => undefined });
    }
  }

  /** Nothing waits for this target any more. */
  release(): void {
    const waiters = [...this.#entries.takeAll(), ...this.#flushes.values()];
    this.#unreceived.takeAll();
    this.#flushes.clear();
    this.#writes = 0;
    this.#writeBytes = 0;
    this.#copyBytes = 0;
    for (const entry of waiters) arrive(entry);
  }

  /** Something of the application waits. */
  get isAwaited(): boolean {
    for (const { waiter } of this.#flushes.values()) if (waiter !== null) return true;
    return this.#writes > 0;
  }

  #forget({ isCopy, byteCount }: Outstanding): void {
    if (isCopy) {
      this.#copyBytes -= byteCount;
    } else {
      this.#writes -= 1;
      this.#writeBytes -= byteCount;
    }
  }
}

interface Flush {
  /** False: the session ended first. */
  readonly flushed: (ok: boolean) => void;
  waiter: Waiter | null;
  readonly sentMs: number;
  /** The newest entry that was sent before it. */
  readonly after: number;
  /** When everything before it was written. */
  dueMs: number;
}

function arrive(entry: { waiter: Waiter | null }): void {
  const { waiter } = entry;
  if (waiter === null) return;
  entry.waiter = null;
  waiter.arrived();
}
