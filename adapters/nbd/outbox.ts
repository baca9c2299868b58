import type { Buffer } from 'node:buffer';
import { type Memory, type Slab, slabSize } from './slab.ts';

/** A reply larger than this has memory of its own. */
const sharedMax = slabSize / 2;

/**
 * Replies on their way out. Small ones share a slab, in the order in which their requests came; replies that lie
 * side by side and are ready together leave as one piece.
 */
export class Outbox {
  readonly #memory: Memory;
  #shared: Slab | null = null;
  #slabs: Slab[] = [];
  #starts: number[] = [];
  #ends: number[] = [];
  #leaving: Slab[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Pieces that wait for `take`. */
  get pieces(): number {
    return this.#slabs.length;
  }

  get isIdle(): boolean {
    return this.#slabs.length === 0 && this.#leaving.length === 0;
  }

  get isLeaving(): boolean {
    return this.#leaving.length > 0;
  }

  /** Room for a reply: the last `byteCount` used bytes of the slab, held until `push` (or released). */
  reserve(byteCount: number): Slab {
    if (byteCount > sharedMax) {
      const own = this.#memory.take(byteCount);
      own.used = byteCount;
      return own;
    }
    const shared = this.#sharedWithRoom(byteCount);
    shared.used += byteCount;
    shared.holders += 1;
    return shared;
  }

  /** The reserved bytes from `start` to `end` are ready to go. */
  push(slab: Slab, start: number, end: number): void {
    const last = this.#slabs.length - 1;
    if (last >= 0 && this.#slabs[last] === slab && this.#ends[last] === start) {
      this.#ends[last] = end;
      this.#memory.release(slab);
      return;
    }
    this.#slabs.push(slab);
    this.#starts.push(start);
    this.#ends.push(end);
  }

  append(message: Buffer): void {
    const slab = this.reserve(message.length);
    const start = slab.used - message.length;
    slab.bytes.set(message, start);
    this.push(slab, start, slab.used);
  }

  /** What is ready, in order. One batch at a time: the next may be taken after `sent`. */
  take(): readonly Buffer[] {
    const slices = this.#slabs.map((slab, index) =>
      slab.bytes.subarray(this.#starts[index], this.#ends[index]),
    );
    this.#leaving = this.#slabs;
    this.#slabs = [];
    this.#starts = [];
    this.#ends = [];
    return slices;
  }

  sent(): void {
    for (const slab of this.#leaving) this.#memory.release(slab);
    this.#leaving = [];
    if (this.#shared?.holders === 1) this.#shared.used = 0;
  }

  /** The connection is gone: nothing will be sent. */
  dispose(): void {
    for (const slab of [...this.#slabs, ...this.#leaving]) this.#memory.release(slab);
    if (this.#shared) this.#memory.release(this.#shared);
    this.#slabs = [];
    this.#leaving = [];
    this.#shared = null;
  }

  #sharedWithRoom(byteCount: number): Slab {
    if (this.#shared && this.#shared.used + byteCount <= this.#shared.bytes.length) return this.#shared;
    if (this.#shared) this.#memory.release(this.#shared);
    this.#shared = this.#memory.take(slabSize);
    return this.#shared;
  }
}
