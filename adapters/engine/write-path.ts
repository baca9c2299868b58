import { Bitmap } from '../block/bitmap.ts';
import type { Done } from '../block/block-device.ts';
import { IoError } from '../block/io-error.ts';
import { Fifo } from './fifo.ts';
import { type KeptPayload, KeptPayloads } from './kept-payloads.ts';
import { RangeLock } from './range-lock.ts';
import type { Replica } from './replica.ts';
import type { Volume } from './volume.ts';
import {
  type OperationSteps,
  type Waiter,
  type WriteGroup,
  type WriteKind,
  WriteOperation,
} from './write-operation.ts';

/** The mirrors of a source, as a write meets them. */
export interface Mirrors {
  /** A queue is full: the next write waits (REQUIREMENTS 2.2). */
  readonly full: boolean;
  /** Sends the operation where it is to go, and adds what it has to wait for to its `waiting`. */
  offer(operation: WriteOperation, acknowledgedThrough: number): void;
  offerFlush(volume: Volume, flush: Waiter): void;
  /** What is offered between the two leaves in one piece. */
  cork(): void;
  uncork(): void;
  /** The next write needs a new generation: makes one durable and calls `path.wake`. */
  startGeneration(): void;
}

/**
 * The way of a write from the application to its acknowledgement, in one reign of this node as the source.
 *
 *  1. Refuse it when this node is not serving (any more), or frozen: then it waits.
 *  2. Wait for overlapping writes in flight; others run beside it (REQUIREMENTS 2.4).
 *  3. Start a generation if a peer was lost since the last one: durable before anything is written in it (I8).
 *  4. Mark its regions in the intent log of every peer: durable before the data may differ (I5). No I/O where they
 *     are marked. If 3 or 4 or a full queue made it wait, both are asked again: a region may have been cleared and a
 *     peer lost meanwhile. So between the last mark and 5 nothing else happens.
 *  5. Give it its sequence, one over all volumes, and send it to the targets: before the local write, they overlap.
 *     Writes that came together are all sent before the first of them is written here.
 *  6. Write it locally.
 *  7. Wait for the local disk, and per mirror for what its mode asks (mirror.ts).
 *  8. Acknowledge.
 *  9. Clear its regions later, when both sides have them on stable storage (clearing.ts).
 *
 * The range is released after the local write: everything after it keeps its order by the sequence.
 */
export class WritePath implements OperationSteps {
  /** Regions written since the last pass of the clearing, per volume. */
  touched: readonly Bitmap[];
  /** A peer was lost: the next write starts a generation. */
  generationDue = false;

  readonly #locks: readonly RangeLock[];
  readonly #replica: Replica;
  readonly #mirrors: Mirrors;
  readonly #parked = new Fifo<WriteOperation>();
  readonly #held = new Fifo<WriteOperation>();
  #issued: WriteGroup = { local: 0, finished: null };
  readonly #kept = new KeptPayloads();
  #isCorked = false;
  /** Offered to the targets since `cork`, not yet written here. */
  readonly #sending: WriteOperation[] = [];
  #isOpen = true;
  #isFrozen = false;
  /** Accepted by step 1 and not acknowledged. */
  #inFlight = 0;
  #drained: (() => void) | null = null;
  #sequence = 0;
  #acknowledged = 0;

  constructor(replica: Replica, mirrors: Mirrors) {
    this.#replica = replica;
    this.#mirrors = mirrors;
    this.#locks = replica.volumes.map(() => new RangeLock());
    this.touched = freshBitmaps(replica.volumes);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Highest sequence given. */
  get sequence(): number {
    return this.#sequence;
  }

  get acknowledgedThrough(): number {
    return this.#acknowledged;
  }

  submit(
    kind: WriteKind,
    volume: Volume,
    offset: number,
    byteCount: number,
    payload: Uint8Array | null,
    fua: boolean,
    done: Done,
  ): void {
    if (!volume.contains(offset, byteCount)) {
      done(new IoError('EINVAL', `${byteCount} bytes at ${offset} do not lie in volume ${volume.name}`));
      return;
    }
    const operation = new WriteOperation(this, kind, volume, offset, byteCount, payload, fua, done);
    if (this.#isFrozen) this.#held.push(operation);
    else this.#accept(operation);
  }

  /** Writes that are submitted between the two are sent together; then they are written here. */
  cork(): void {
    this.#isCorked = true;
    this.#mirrors.cork();
  }

  uncork(): void {
    this.#isCorked = false;
    this.#mirrors.uncork();
    for (const operation of this.#sending.splice(0)) this.#write(operation);
  }

  read(volume: Volume, into: Uint8Array, offset: number, done: Done): void {
    const refusal = this.#refusal();
    if (refusal !== null) done(refusal);
    else volume.device.read(into, offset, done);
  }

  /** REQUIREMENTS 2.4: on the local disk and the disk of every in-sync `sync` target before `done`. */
  flush(volume: Volume, done: Done): void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      done(refusal);
      return;
    }
    let failure: Error | null = null;
    this.#inFlight += 1;
    const flush: Waiter = {
      waiting: 2,
      arrived: () => {
        flush.waiting -= 1;
        if (flush.waiting > 0) return;
        this.#left();
        // After one failed flush the system may call the next one good: nothing is stable on a failed replica.
        done(failure ?? this.#refusal());
      },
    };
    this.#mirrors.offerFlush(volume, flush);
    volume.device.flush((error) => {
      if (error !== null) {
        failure = error;
        this.#replica.diskFailed(volume, 'flush', error);
      }
      flush.arrived();
    });
    flush.arrived();
  }

  /** The sequence of something that the resync sends; its regions count as written. */
  takeSequence(volume: Volume, firstRegion: number, lastRegion: number): number {
    this.touched[volume.index]?.add(firstRegion, lastRegion);
    this.#sequence += 1;
    return this.#sequence;
  }

  /** Of overlapping ranges in flight (step 2); a resync takes part in it. */
  lockOf(volume: Volume): RangeLock {
    const lock = this.#locks[volume.index];
    if (lock === undefined) throw new RangeError(`volume ${volume.name} has no lock`);
    return lock;
  }

  /** What step 3 to 5 wait for may have come. */
  wake(): void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      for (const operation of this.#parked.takeAll()) this.#fail(operation, refusal);
      return;
    }
    while (!this.#mustWait()) {
      const operation = this.#parked.shift();
      if (operation === undefined) return;
      this.#mark(operation);
    }
    if (this.generationDue && this.#parked.size > 0) this.#mirrors.startGeneration();
  }

  /** New writes wait; `done` when none is in flight (rule 6, step 2). */
  freeze(done: () => void): void {
    this.#isFrozen = true;
    this.#drained = done;
    this.#checkDrained();
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#drained = null;
    for (const operation of this.#held.takeAll()) this.#accept(operation);
  }

  /** The reign is over: everything that has not been acknowledged is refused, also what comes later. */
  close(): void {
    this.#isOpen = false;
    for (const operation of this.#held.takeAll()) operation.done(shutDown());
    this.wake();
  }

  /** Starts a new group of writes; `finished` when the local disk has finished all before it (clearing.ts). */
  closeGroup(finished: () => void): void {
    const group = this.#issued;
    this.#issued = { local: 0, finished: null };
    this.touched = freshBitmaps(this.#replica.volumes);
    if (group.local === 0) finished();
    else group.finished = finished;
  }

  /** 1 */
  #accept(operation: WriteOperation): void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      operation.done(refusal);
      return;
    }
    this.#inFlight += 1;
    // 2
    this.lockOf(operation.volume).acquire(operation);
  }

  keep(payload: Uint8Array): KeptPayload {
    return this.#kept.keep(payload);
  }

  granted(operation: WriteOperation): void {
    this.#prepare(operation);
  }

  /** 3 and 4, until there is nothing left to wait for. */
  #prepare(operation: WriteOperation): void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      this.#fail(operation, refusal);
      return;
    }
    if (this.#parked.size === 0 && !this.#mustWait()) {
      this.#mark(operation);
      return;
    }
    this.#parked.push(operation);
    if (this.generationDue) this.#mirrors.startGeneration();
  }

  #mustWait(): boolean {
    return this.generationDue || this.#mirrors.full;
  }

  #mark(operation: WriteOperation): void {
    if (operation.mark()) this.#issue(operation);
  }

  marked(operation: WriteOperation, error: Error | null): void {
    if (error === null) this.#prepare(operation);
    else {
      this.#replica.logsFailed(operation.volume, error, (failure) => {
        if (failure === null) this.#prepare(operation);
        else this.#fail(operation, failure);
      });
    }
  }

  #issue(operation: WriteOperation): void {
    const { volume, firstRegion, lastRegion } = operation;
    // 5
    operation.first = this.#sequence + 1;
    this.#sequence += operation.pieceCount;
    operation.last = this.#sequence;
    operation.waiting = 2;
    operation.group = this.#issued;
    operation.group.local += 1;
    this.touched[volume.index]?.add(firstRegion, lastRegion);
    this.#mirrors.offer(operation, this.#acknowledged);
    // 6
    if (this.#isCorked) this.#sending.push(operation);
    else this.#write(operation);
  }

  #write(operation: WriteOperation): void {
    const { kind, payload, offset, byteCount, fua } = operation;
    const { device } = operation.volume;
    const written: Done = (error) => {
      if (error !== null || !fua) this.#written(operation, error, kind);
      else device.flush((flushError) => this.#written(operation, flushError, 'flush'));
    };
    if (payload !== null) device.write(payload, offset, written);
    else if (kind === 'zero') device.zero(offset, byteCount, written);
    else device.trim(offset, byteCount, written);
    // 7
    operation.arrived();
  }

  #written(operation: WriteOperation, error: Error | null, during: string): void {
    const { volume, group } = operation;
    if (error !== null) {
      operation.error = error;
      this.#replica.diskFailed(volume, during, error);
    }
    this.lockOf(volume).release(operation);
    if (group !== null) {
      group.local -= 1;
      if (group.local === 0 && group.finished !== null) group.finished();
    }
    operation.arrived();
  }

  /** 8 */
  complete(operation: WriteOperation): void {
    if (operation.last > this.#acknowledged) this.#acknowledged = operation.last;
    this.#left();
    // A reign that ended in the middle of it has not kept its promise about the targets; a disk that has failed
    // meanwhile, perhaps not that of FUA.
    operation.done(operation.error ?? this.#refusal());
  }

  #fail(operation: WriteOperation, error: Error): void {
    this.lockOf(operation.volume).release(operation);
    this.#left();
    operation.done(error);
  }

  #left(): void {
    this.#inFlight -= 1;
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#inFlight > 0 || this.#drained === null) return;
    const done = this.#drained;
    this.#drained = null;
    done();
  }

  #refusal(): Error | null {
    if (!this.#isOpen) return shutDown();
    const { failure } = this.#replica;
    return failure === null ? null : new IoError('EIO', `the replica failed before: ${failure}`);
  }
}

const freshBitmaps = (volumes: readonly Volume[]) =>
  volumes.map(({ regionCount }) => new Bitmap(regionCount));

const shutDown = () => new IoError('ESHUTDOWN', 'this node is not the source any more');
