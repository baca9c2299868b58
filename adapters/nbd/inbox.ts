import type { Buffer } from 'node:buffer';
import { type Memory, type Slab, slabSize } from './slab.ts';

/** A payload that does not fit into a slab together with its neighbours gets its own memory, filled by the kernel. */
const ownMemoryFrom = 128 * 1024;
/** What is read after such a payload: enough for the next header, little of the payload behind it to be copied. */
const windowAfterLarge = 4096;

/**
 * Where received bytes lie until they are messages. The socket reads straight into `space`; headers are decoded
 * where they are, and a small write's payload is handed on as a slice that holds its slab.
 */
export class Inbox {
  readonly #memory: Memory;
  #slab: Slab;
  #start = 0;
  #end = 0;
  #window = slabSize;
  /** Bytes still to come that nobody wants. */
  #unwanted = 0;
  #payload: Slab | null = null;
  #payloadSize = 0;
  #payloadFilled = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
    this.#slab = memory.take(slabSize);
  }

  get bytes(): Buffer {
    return this.#slab.bytes;
  }

  get start(): number {
    return this.#start;
  }

  get available(): number {
    return this.#end - this.#start;
  }

  /** Where the next bytes belong; never empty. */
  space(): Buffer {
    if (this.#payload) return this.#payload.bytes.subarray(this.#payloadFilled, this.#payloadSize);
    return this.#slab.bytes.subarray(this.#end, Math.min(this.#end + this.#window, this.#slab.bytes.length));
  }

  /** Whether bytes lie where `space` would have them, and not in a place that it named before. */
  isInPlace({ buffer, byteOffset }: Buffer): boolean {
    const [into, at] = this.#payload ? [this.#payload, this.#payloadFilled] : [this.#slab, this.#end];
    return buffer === into.bytes.buffer && byteOffset === into.bytes.byteOffset + at;
  }

  /** The first `byteCount` bytes of `space` are there. */
  filled(byteCount: number): void {
    if (this.#payload) {
      this.#payloadFilled += byteCount;
      return;
    }
    if (byteCount === this.#window) this.#window = slabSize;
    this.#end += byteCount;
    this.#discard();
  }

  /** Whether a message of `byteCount` bytes is complete; if not, there is room for the rest of it. */
  has(byteCount: number): boolean {
    if (this.available >= byteCount) return true;
    if (this.#start + byteCount > this.#slab.bytes.length) this.#moveTail();
    return false;
  }

  consume(byteCount: number): void {
    this.#start += byteCount;
    if (this.#start === this.#end) this.#rewind();
  }

  /** The next `byteCount` bytes will be dropped, in as much memory as there is anyway. */
  drop(byteCount: number): void {
    this.#unwanted = byteCount;
    this.#discard();
  }

  get isDropping(): boolean {
    return this.#unwanted > 0;
  }

  /** Whether a payload is better received into memory of its own than kept among other messages. */
  isLarge(byteCount: number): boolean {
    return byteCount >= ownMemoryFrom;
  }

  /** What follows is one payload: the part that came with its header is copied, the rest is not. */
  beginPayload(byteCount: number): void {
    this.#payload = this.#memory.take(byteCount);
    this.#payloadSize = byteCount;
    const present = Math.min(this.available, byteCount);
    this.#payload.bytes.set(this.#slab.bytes.subarray(this.#start, this.#start + present));
    this.#payloadFilled = present;
    this.consume(present);
  }

  get isReceivingPayload(): boolean {
    return this.#payload !== null;
  }

  /** The complete payload, whose hold passes to the caller; null while bytes are missing. */
  takePayload(): Slab | null {
    if (this.#payloadFilled < this.#payloadSize) return null;
    const payload = this.#payload;
    this.#payload = null;
    this.#window = windowAfterLarge;
    return payload;
  }

  /** The slab that the unconsumed bytes lie in, with one more holder. */
  hold(): Slab {
    this.#slab.holders += 1;
    return this.#slab;
  }

  /** The connection is gone. */
  dispose(): void {
    this.#memory.release(this.#slab);
    if (this.#payload) this.#memory.release(this.#payload);
    this.#payload = null;
  }

  #discard(): void {
    if (this.#unwanted === 0) return;
    const present = Math.min(this.available, this.#unwanted);
    this.#unwanted -= present;
    this.consume(present);
  }

  /** Everything is consumed: start over, in the same memory (warm in the cache) if no write still lies in it. */
  #rewind(): void {
    if (this.#slab.holders > 1) {
      if (this.#slab.bytes.length - this.#end >= slabSize / 4) return;
      this.#memory.release(this.#slab);
      this.#slab = this.#memory.take(slabSize);
    }
    this.#start = 0;
    this.#end = 0;
  }

  #moveTail(): void {
    const tail = this.#slab.bytes.subarray(this.#start, this.#end);
    const byteCount = tail.length;
    if (this.#slab.holders === 1) {
      this.#slab.bytes.copyWithin(0, this.#start, this.#end);
    } else {
      const next = this.#memory.take(slabSize);
      next.bytes.set(tail);
      this.#memory.release(this.#slab);
      this.#slab = next;
    }
    this.#start = 0;
    this.#end = byteCount;
  }
}
