import type { FrameHeader } from './frame-codec.ts';
import type { IncomingMessage } from './link.ts';
import type { ReceivePool, Slab } from './receive-buffers.ts';

export class ReceivedMessage implements IncomingMessage {
  readonly type: number;
  readonly flags: number;
  readonly volume: number;
  readonly epoch: number;
  readonly number: number;
  readonly offset: number;
  readonly byteCount: number;
  readonly payload: Uint8Array;
  readonly payloadChecksum: number;
  readonly #pool: ReceivePool;
  #slab: Slab | null;

  constructor(header: FrameHeader, payload: Uint8Array, slab: Slab, pool: ReceivePool) {
    this.type = header.type;
    this.flags = header.flags;
    this.volume = header.volume;
    this.epoch = header.epoch;
    this.number = header.number;
    this.offset = header.offset;
    this.byteCount = header.byteCount;
    this.payload = payload;
    this.payloadChecksum = header.payloadChecksum;
    this.#pool = pool;
    this.#slab = slab;
    pool.hold(slab);
  }

  release(): void {
    if (this.#slab === null) return;
    const slab = this.#slab;
    this.#slab = null;
    this.#pool.release(slab);
  }
}
