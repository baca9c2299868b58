/** A range of one volume that somebody works on. The lock's own fields are the lock's. */
export interface LockedRange {
  readonly offset: number;
  /** First byte behind the range. */
  readonly end: number;
  /** Ranges in front of this one that are not released yet. */
  blockers: number;
  /** Ranges that wait for this one. */
  waiters: LockedRange[] | null;
  /** Where the lock keeps it. */
  slot: number;
  /** No overlapping range is held any more. Comes once, possibly before `acquire` returns. */
  granted(): void;
}

/**
 * Overlapping ranges of one volume one after the other, in the order in which they asked; others beside each other
 * (REQUIREMENTS 2.4). As many entries as there are requests in flight, so a scan is cheaper than a tree.
 */
export class RangeLock {
  readonly #ranges: LockedRange[] = [];

  /** Held and waiting. */
  get count(): number {
    return this.#ranges.length;
  }

  acquire(range: LockedRange): void {
    range.blockers = 0;
    range.waiters = null;
    for (const other of this.#ranges) {
      if (other.offset >= range.end || range.offset >= other.end) continue;
      if (other.waiters === null) other.waiters = [range];
      else other.waiters.push(range);
      range.blockers += 1;
    }
    range.slot = this.#ranges.length;
    this.#ranges.push(range);
    if (range.blockers === 0) range.granted();
  }

  release(range: LockedRange): void {
    const last = this.#ranges.pop();
    if (last !== undefined && last !== range) {
      this.#ranges[range.slot] = last;
      last.slot = range.slot;
    }
    const { waiters } = range;
    if (waiters === null) return;
    range.waiters = null;
    for (const waiter of waiters) {
      waiter.blockers -= 1;
      if (waiter.blockers === 0) waiter.granted();
    }
  }
}
