/**
 * Where received bytes lie, so that a payload reaches the disk as a slice, without a copy. A slab is reused once
 * nothing in it is held any more; what is held is what the sender's window shrinks by (I16). A link has one pool for
 * all its sessions: a disk that hangs over several reconnects pins no more memory than over one.
 */
export interface Slab {
  readonly bytes: Buffer;
  held: number;
  current: boolean;
}

export class ReceivePool {
  readonly slabBytes: number;
  readonly windowBytes: number;
  /** Called when something was released: the session in force may have a larger window to announce. */
  released: () => void = () => {};
  /** Of remembering a message that is not done, beside its payload. */
  readonly #messageCost: number;
  readonly #free: Slab[] = [];
  #pinnedSlabs = 0;
  #heldMessages = 0;

  constructor(windowBytes: number, slabBytes: number, messageCost: number) {
    this.windowBytes = windowBytes;
    this.slabBytes = slabBytes;
    this.#messageCost = messageCost;
  }

  /** Bytes that may still come before the pool holds more than its window. */
  get room(): number {
    const held = this.#pinnedSlabs * this.slabBytes + this.#heldMessages * this.#messageCost;
    return Math.max(0, this.windowBytes - held);
  }

  take(): Slab {
    const slab = this.#free.pop() ?? {
      bytes: Buffer.allocUnsafeSlow(this.slabBytes),
      held: 0,
      current: true,
    };
    slab.current = true;
    return slab;
  }

  /** The stream that filled it goes on in another one. */
  leave(slab: Slab): void {
    slab.current = false;
    this.#recycle(slab);
  }

  hold(slab: Slab): void {
    if (slab.held++ === 0) this.#pinnedSlabs++;
    this.#heldMessages++;
  }

  release(slab: Slab): void {
    if (--slab.held === 0) this.#pinnedSlabs--;
    this.#heldMessages--;
    this.#recycle(slab);
    this.released();
  }

  /** Nothing has come for a while: one spare slab is enough. Fresh ones keep the garbage collector busy. */
  trim(): void {
    this.#free.length = Math.min(this.#free.length, 1);
  }

  #recycle(slab: Slab): void {
    if (slab.held === 0 && !slab.current) this.#free.push(slab);
  }
}

/** At most so much is read at once, and a frame whose rest is longer than a part of it is read alone. */
const readBytesMax = 256 * 1024;
const readAloneFrom = 32 * 1024;

/** The bytes of one connection that are received and not parsed yet, contiguous in a slab of the pool. */
export class ReceiveStream {
  readonly #pool: ReceivePool;
  #slab: Slab;
  #start = 0;
  #end = 0;

  constructor(pool: ReceivePool) {
    this.#pool = pool;
    this.#slab = pool.take();
  }

  get slab(): Slab {
    return this.#slab;
  }
  /** Where the unparsed bytes begin in `slab.bytes`. */
  get start(): number {
    return this.#start;
  }
  get length(): number {
    return this.#end - this.#start;
  }
  get unparsed(): Uint8Array {
    return this.#slab.bytes.subarray(this.#start, this.#end);
  }

  /**
   * Room for the next bytes, so that a frame of `frameBytes` (it fits in a slab), part of which is here, becomes
   * contiguous. What is here already is moved only when the slab ends. No more room than what stays in the
   * processor's cache until it is parsed: behind a large frame the slab can be used from its front again.
   */
  space(frameBytes: number): Buffer {
    if (this.#start === this.#end && this.#slab.held === 0) {
      this.#start = 0;
      this.#end = 0;
    }
    const missing = frameBytes - this.length;
    if (this.#end + Math.max(missing, this.#pool.slabBytes / 16) > this.#pool.slabBytes) this.#moveToFront();
    const roomBytes = missing >= readAloneFrom ? missing : readBytesMax;
    return this.#slab.bytes.subarray(this.#end, this.#end + roomBytes);
  }

  /** Takes bytes in: those that were read into `space` are here already, others are copied. Returns how many. */
  accept(bytes: Uint8Array, space: Buffer): number {
    const byteCount = Math.min(bytes.length, space.length);
    const inPlace = bytes.buffer === space.buffer && bytes.byteOffset === space.byteOffset;
    if (!inPlace) space.set(bytes.subarray(0, byteCount));
    this.#end += byteCount;
    return byteCount;
  }

  consume(byteCount: number): void {
    this.#start += byteCount;
  }

  end(): void {
    this.#pool.leave(this.#slab);
  }

  #moveToFront(): void {
    const from = this.#slab;
    const unparsed = this.unparsed;
    if (from.held > 0) this.#slab = this.#pool.take();
    this.#slab.bytes.set(unparsed);
    if (from !== this.#slab) this.#pool.leave(from);
    this.#end = unparsed.length;
    this.#start = 0;
  }
}
