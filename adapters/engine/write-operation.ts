import type { Done } from '../block/block-device.ts';
import { bulkPayloadBytesMax } from '../link/link.ts';
import type { KeptPayload } from './kept-payloads.ts';
import type { LockedRange } from './range-lock.ts';
import { firstRegionOf, lastRegionOf, markRegions, type Volume } from './volume.ts';

export type WriteKind = 'write' | 'zero' | 'trim';

/** Something that counts down what it still waits for. */
export interface Waiter {
  waiting: number;
  arrived(): void;
}

/** Writes that were issued between two passes of the clearing. */
export interface WriteGroup {
  /** Of them, those that the local disk has not finished. */
  local: number;
  /** When the group is closed and all of it is on the local disk (not: flushed). */
  finished: (() => void) | null;
}

/** One write, zero or trim of the application on its way through write-path.ts. */
export class WriteOperation implements LockedRange, Waiter {
  readonly kind: WriteKind;
  readonly volume: Volume;
  readonly offset: number;
  readonly end: number;
  readonly firstRegion: number;
  readonly lastRegion: number;
  readonly fua: boolean;
  readonly payload: Uint8Array | null;
  readonly done: Done;

  blockers = 0;
  waiters: LockedRange[] | null = null;
  slot = 0;

  /** Sequences that it takes: one per piece that fits a message. */
  first = 0;
  last = 0;
  waiting = 0;
  group: WriteGroup | null = null;
  error: Error | null = null;

  readonly #steps: OperationSteps;
  #kept: KeptPayload | null = null;

  constructor(
    steps: OperationSteps,
    kind: WriteKind,
    volume: Volume,
    offset: number,
    byteCount: number,
    payload: Uint8Array | null,
    fua: boolean,
    done: Done,
  ) {
    this.#steps = steps;
    this.kind = kind;
    this.volume = volume;
    this.offset = offset;
    this.end = offset + byteCount;
    this.firstRegion = firstRegionOf(offset);
    this.lastRegion = lastRegionOf(this.end);
    this.payload = payload;
    this.fua = fua;
    this.done = done;
  }

  get byteCount(): number {
    return this.end - this.offset;
  }

  get pieceCount(): number {
    return this.payload === null ? 1 : Math.ceil(this.payload.length / bulkPayloadBytesMax);
  }

  /** The bytes for whoever may need them after the application has its buffer back; one copy for all. */
  get kept(): KeptPayload | null {
    if (this.payload === null) return null;
    this.#kept ??= this.#steps.keep(this.payload);
    return this.#kept;
  }

  granted(): void {
    this.#steps.granted(this);
  }

  arrived(): void {
    this.waiting -= 1;
    if (this.waiting === 0) this.#steps.complete(this);
  }

  /** Marks its regions in every log. True: they are durable already, nothing else has happened meanwhile. */
  mark(): boolean {
    return markRegions(this.volume, this.offset, this.byteCount, (error) => this.#steps.marked(this, error));
  }
}

/** Where an operation goes on. */
export interface OperationSteps {
  keep(payload: Uint8Array): KeptPayload;
  granted(operation: WriteOperation): void;
  marked(operation: WriteOperation, error: Error | null): void;
  complete(operation: WriteOperation): void;
}
