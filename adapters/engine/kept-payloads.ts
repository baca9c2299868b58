import { Buffer } from 'node:buffer';
import type { Waiter } from './write-operation.ts';

const smallestBytes = 4096;
/** Free memory kept for the next copies, in bytes. */
const idleBytesMax = 16 * 1024 * 1024;

/**
 * Copies of payloads for targets that nobody waits for: the application has its buffer back before they have the
 * bytes. Their memory is used again, or asynchronous writes would keep the garbage collector busy.
 */
export class KeptPayloads {
  readonly #free = new Map<number, Buffer[]>();
  #idleBytes = 0;

  keep(payload: Uint8Array): KeptPayload {
    let size = smallestBytes;
    while (size < payload.length) size *= 2;
    const memory = this.#take(size);
    memory.set(payload);
    return new KeptPayload(memory.subarray(0, payload.length), () => this.#give(memory));
  }

  #take(size: number): Buffer {
    const memory = this.#free.get(size)?.pop();
    if (memory === undefined) return Buffer.allocUnsafeSlow(size);
    this.#idleBytes -= size;
    return memory;
  }

  #give(memory: Buffer): void {
    if (this.#idleBytes + memory.length > idleBytesMax) return;
    this.#idleBytes += memory.length;
    const free = this.#free.get(memory.length);
    if (free === undefined) this.#free.set(memory.length, [memory]);
    else free.push(memory);
  }
}

/** One copy for all targets of a write; free when the last of them has acknowledged it, or its session is over. */
export class KeptPayload implements Waiter {
  readonly bytes: Uint8Array;
  waiting = 0;
  readonly #free: () => void;

  constructor(bytes: Uint8Array, free: () => void) {
    this.bytes = bytes;
    this.#free = free;
  }

  arrived(): void {
    this.waiting -= 1;
    if (this.waiting === 0) this.#free();
  }
}
