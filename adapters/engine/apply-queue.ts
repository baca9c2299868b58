import type { Done } from '../block/block-device.ts';
import type { IncomingMessage } from '../link/link.ts';
import { messageType, writeFlag } from '../link/protocol.ts';
import { Fifo } from './fifo.ts';
import type { Replica } from './replica.ts';
import { markRegions, type Volume } from './volume.ts';

/** What the queue tells its target. */
export interface Applied {
  /** More has been written, or received. */
  progressed(): void;
  flushed(number: number): void;
  /** In its place in the stream, when everything before it is written; `next` lets the stream go on. */
  inOrder(message: IncomingMessage, next: () => void): void;
  /** A disk of ours failed: nothing more is applied (FAULTS 31). */
  failed(volume: Volume, during: string, error: Error): void;
}

interface Write {
  readonly message: IncomingMessage;
  readonly volume: Volume;
  readonly end: number;
}

/**
 * The target's side of the order (REQUIREMENTS 2.4): messages of the stream start in their order; a write runs
 * beside those before it that it may overtake (the source says how many) and does not overlap; everything else waits
 * for all before it. So whatever the disk does with the writes in flight, the image is the image after some prefix
 * of what the application had been told (I6).
 *
 * Bounded by the link's window: what waits here is not released.
 */
export class ApplyQueue {
  readonly #replica: Replica;
  readonly #applied: Applied;
  readonly #waiting = new Fifo<IncomingMessage>();
  readonly #inFlight: Write[] = [];
  /** In its place in the stream right now: nothing else starts. */
  #exclusive: IncomingMessage | null = null;
  /** The lowest number whose write failed: neither it nor anything after it counts as written. */
  #failedFrom = Number.POSITIVE_INFINITY;
  #isPumping = false;
  #isOver = false;
  #idle: (() => void) | null = null;
  #received = 0;
  #started = 0;

  constructor(replica: Replica, applied: Applied) {
    this.#replica = replica;
    this.#applied = applied;
  }

  /** Everything that came up to this number is in memory. */
  get receivedThrough(): number {
    return this.#received;
  }

  /** Everything that came up to this number is written. */
  get writtenThrough(): number {
    let through = Math.min(this.#started, this.#failedFrom - 1);
    for (const { message } of this.#inFlight) if (message.number <= through) through = message.number - 1;
    return through;
  }

  /** False: the message contradicts the stream or the volume. */
  enqueue(message: IncomingMessage): boolean {
    if (isWrite(message)) {
      const volume = this.#replica.volumes[message.volume];
      const byteCount = byteCountOf(message);
      const isSound = volume?.contains(message.offset, byteCount) === true && message.number > this.#received;
      if (!isSound) return false;
      this.#received = message.number;
    }
    this.#waiting.push(message);
    this.#pump();
    return true;
  }

  /** What has not started is dropped; `done` when nothing is under way any more. */
  end(done: () => void): void {
    this.#isOver = true;
    for (const message of this.#waiting.takeAll()) message.release();
    this.#exclusive?.release();
    this.#exclusive = null;
    this.#idle = done;
    this.#checkIdle();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let message = this.#waiting.peek(); message !== undefined; message = this.#waiting.peek()) {
      if (this.#exclusive !== null || this.#failedFrom < Number.POSITIVE_INFINITY || !this.#mayStart(message))
        break;
      this.#waiting.shift();
      this.#start(message);
    }
    this.#isPumping = false;
    this.#checkIdle();
  }

  #mayStart(message: IncomingMessage): boolean {
    if (this.#inFlight.length === 0) return true;
    if (message.type !== messageType.write) return false;
    const needed = message.number - 1 - message.byteCount;
    const end = message.offset + message.payload.length;
    return this.#inFlight.every(
      (other) =>
        other.message.number > needed &&
        (other.message.volume !== message.volume ||
          other.message.offset >= end ||
          message.offset >= other.end),
    );
  }

  #start(message: IncomingMessage): void {
    const volume = this.#replica.volumes[message.volume];
    if (volume === undefined) return;
    if (isWrite(message)) {
      this.#started = message.number;
      const write = { message, volume, end: message.offset + byteCountOf(message) };
      this.#inFlight.push(write);
      this.#mark(write);
    } else if (message.type === messageType.flush) {
      volume.device.flush((error) => {
        if (error !== null) this.#flushFailed(volume, error);
        else if (!this.#isOver && this.#failedFrom === Number.POSITIVE_INFINITY) {
          this.#applied.flushed(message.number);
        }
      });
      message.release();
    } else {
      this.#exclusive = message;
      this.#applied.inOrder(message, () => {
        if (this.#exclusive !== message) return;
        this.#exclusive = null;
        message.release();
        this.#pump();
      });
    }
  }

  /** Our own logs first, for the source and for every other replica (I5). */
  #mark(write: Write): void {
    const { volume, message } = write;
    const isMarked = markRegions(volume, message.offset, byteCountOf(message), (error) => {
      if (error === null) this.#mark(write);
      else {
        this.#replica.logsFailed(volume, error, (failure) => {
          if (failure === null) this.#mark(write);
          else this.#finish(write, 'intent log', failure);
        });
      }
    });
    if (isMarked) this.#write(write);
  }

  #write(write: Write): void {
    const { volume, message } = write;
    const { device } = volume;
    const written: Done = (error) => {
      if (error === null && (message.flags & writeFlag.fua) !== 0) {
        device.flush((flushError) => this.#finish(write, 'flush', flushError));
      } else {
        this.#finish(write, 'write', error);
      }
    };
    if (message.type === messageType.write) device.write(message.payload, message.offset, written);
    else if (message.type === messageType.zero) device.zero(message.offset, message.byteCount, written);
    else device.trim(message.offset, message.byteCount, written);
  }

  #finish(write: Write, during: string, error: Error | null): void {
    this.#inFlight.splice(this.#inFlight.indexOf(write), 1);
    write.message.release();
    if (error === null) {
      this.#applied.progressed();
      this.#pump();
    } else {
      this.#fail(write.volume, during, error, write.message.number);
      this.#checkIdle();
    }
  }

  /** After it the system may call another flush good that is not: what is under way does not count any more. */
  #flushFailed(volume: Volume, error: Error): void {
    const underWay = this.#inFlight.map(({ message }) => message.number);
    this.#fail(volume, 'flush', error, Math.min(this.#started + 1, ...underWay));
  }

  #fail(volume: Volume, during: string, error: Error, number: number): void {
    this.#failedFrom = Math.min(this.#failedFrom, number);
    this.#applied.failed(volume, during, error);
  }

  #checkIdle(): void {
    if (this.#idle === null || this.#inFlight.length > 0 || this.#isPumping) return;
    const done = this.#idle;
    this.#idle = null;
    done();
  }
}

const isWrite = ({ type }: IncomingMessage): boolean =>
  type === messageType.write || type === messageType.zero || type === messageType.trim;

const byteCountOf = ({ type, payload, byteCount }: IncomingMessage): number =>
  type === messageType.write ? payload.length : byteCount;
