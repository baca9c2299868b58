import { Buffer } from 'node:buffer';

/** The smallest slab: what one read from a socket fills, and what small replies are collected in. Bytes. */
export const slabSize = 256 * 1024;
/** Room for the headers of payloads that are a power of two: four writes of 64 KiB fit into the smallest slab. */
const headerRoom = 256;
/** Free slabs kept for the next request, by all connections together, in bytes. */
const idleMax = 16 * 1024 * 1024;

/** A piece of memory that several messages lie in. It goes back to the pool when its last holder lets go. */
export class Slab {
  readonly bytes: Buffer;
  /** Bytes handed out, from the start. */
  used = 0;
  holders = 0;

  constructor(byteCount: number) {
    this.bytes = Buffer.allocUnsafeSlow(byteCount);
  }
}

/** Free slabs by size, so that a stream of large writes does not fault in fresh pages for each. */
export class SlabPool {
  readonly #free = new Map<number, Slab[]>();
  #idle = 0;
  /** Bytes in slabs that are in use, by all connections together. */
  lent = 0;

  take(byteCount: number): Slab {
    let size = slabSize;
    while (size + headerRoom < byteCount) size *= 2;
    this.lent += size + headerRoom;
    const slab = this.#free.get(size + headerRoom)?.pop();
    if (!slab) return new Slab(size + headerRoom);
    this.#idle -= slab.bytes.length;
    return slab;
  }

  give(slab: Slab): void {
    const size = slab.bytes.length;
    this.lent -= size;
    if (this.#idle + size > idleMax) return;
    slab.used = 0;
    this.#idle += size;
    const free = this.#free.get(size);
    if (free) free.push(slab);
    else this.#free.set(size, [slab]);
  }
}

/** One connection's share of the pool: what it holds is what its limit is checked against. */
export class Memory {
  readonly #pool: SlabPool;
  /** Bytes in slabs that this connection, or an export on its behalf, still uses. */
  held = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** What every connection of the server holds. */
  get heldByAll(): number {
    return this.#pool.lent;
  }

  /** A slab with one holder: the caller. */
  take(byteCount: number): Slab {
    const slab = this.#pool.take(byteCount);
    slab.holders = 1;
    this.held += slab.bytes.length;
    return slab;
  }

  release(slab: Slab): void {
    slab.holders -= 1;
    if (slab.holders > 0) return;
    this.held -= slab.bytes.length;
    this.#pool.give(slab);
  }
}
