const bitsOf = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
});

/** How many bits of `bytes` are set. */
export function countBits(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) count += bitsOf[byte] ?? 0;
  return count;
}

/** Whether bits `first` to `last` (inclusive) of `bytes` are all set. */
export function hasAllBits(bytes: Uint8Array, first: number, last: number): boolean {
  const firstByte = first >>> 3;
  const lastByte = last >>> 3;
  const head = (0xff << (first & 7)) & 0xff;
  const tail = 0xff >>> (7 - (last & 7));
  if (firstByte === lastByte) return ((bytes[firstByte] ?? 0) & head & tail) === (head & tail);
  if (((bytes[firstByte] ?? 0) & head) !== head) return false;
  for (let index = firstByte + 1; index < lastByte; index += 1) if (bytes[index] !== 0xff) return false;
  return ((bytes[lastByte] ?? 0) & tail) === tail;
}

/**
 * A set of small numbers with its size. Bit i is bit `i & 7` of byte `i >> 3`; bits beyond `bitCount` stay zero.
 * Ranges are inclusive on both ends.
 */
export class Bitmap {
  readonly bitCount: number;
  /** For reading only: whoever writes here breaks `count`. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  #count = 0;

  constructor(bitCount: number) {
    this.bitCount = bitCount;
    this.#words = new Uint32Array(Math.ceil(bitCount / 32));
    this.bytes = new Uint8Array(this.#words.buffer, 0, Math.ceil(bitCount / 8));
  }

  get count(): number {
    return this.#count;
  }

  has(bit: number): boolean {
    return ((this.bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  hasRange(first: number, last: number): boolean {
    return hasAllBits(this.bytes, first, last);
  }

  add(first: number, last: number): void {
    for (let index = first >>> 3; index <= last >>> 3; index += 1) {
      this.#put(index, (this.bytes[index] ?? 0) | maskWithin(index, first, last));
    }
  }

  delete(first: number, last: number): void {
    for (let index = first >>> 3; index <= last >>> 3; index += 1) {
      this.#put(index, (this.bytes[index] ?? 0) & ~maskWithin(index, first, last));
    }
  }

  fill(): void {
    if (this.bitCount > 0) this.add(0, this.bitCount - 1);
  }

  clear(): void {
    this.bytes.fill(0);
    this.#count = 0;
  }

  /** Replaces the bytes from `at` on; surplus bytes and bits are ignored. */
  replace(at: number, bytes: Uint8Array): void {
    this.#combine(at, bytes, (_, theirs) => theirs);
  }

  unite(at: number, bytes: Uint8Array): void {
    this.#combine(at, bytes, (ours, theirs) => ours | theirs);
  }

  intersect(at: number, bytes: Uint8Array): void {
    this.#combine(at, bytes, (ours, theirs) => ours & theirs);
  }

  /** The first set bit at or after `from`, or -1. */
  next(from: number): number {
    let bit = from;
    while (bit < this.bitCount) {
      if ((bit & 31) === 0 && this.#words[bit >>> 5] === 0) bit += 32;
      else if ((bit & 7) === 0 && this.bytes[bit >>> 3] === 0) bit += 8;
      else if (this.has(bit)) return bit;
      else bit += 1;
    }
    return -1;
  }

  #combine(at: number, bytes: Uint8Array, combined: (ours: number, theirs: number) => number): void {
    const end = Math.min(this.bytes.length, at + bytes.length);
    const lastBit = this.bitCount - 1;
    for (let index = at; index < end; index += 1) {
      const byte = combined(this.bytes[index] ?? 0, bytes[index - at] ?? 0);
      this.#put(index, byte & maskWithin(index, 0, lastBit));
    }
  }

  #put(index: number, byte: number): void {
    this.#count += (bitsOf[byte] ?? 0) - (bitsOf[this.bytes[index] ?? 0] ?? 0);
    this.bytes[index] = byte;
  }
}

/** The bits of byte `index` that lie within `first` to `last`. */
function maskWithin(index: number, first: number, last: number): number {
  const head = index === first >>> 3 ? (0xff << (first & 7)) & 0xff : 0xff;
  const tail = index === last >>> 3 ? 0xff >>> (7 - (last & 7)) : 0xff;
  return head & tail;
}
