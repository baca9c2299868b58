import type { Buffer } from 'node:buffer';
import type { Done } from '../block/block-device.ts';
import type { Export, Extent } from './export.ts';
import {
  blockStatusChunkSize,
  type Cookie,
  dataChunkHeaderSize,
  encodeBlockStatusChunk,
  encodeDataChunkHeader,
  encodeErrorChunk,
  encodeNoneChunk,
  encodeSimpleReply,
  errorChunkSize,
  noneChunkSize,
  type RequestHeader,
} from './nbd-codec.ts';
import type { Outbox } from './outbox.ts';
import { command, commandFlag, flagsAllowed, headerSize, limit, replyError } from './protocol.ts';
import { type Refusal, refusal, refusalOf } from './refusal.ts';
import type { Memory, Slab } from './slab.ts';

/**
 * The transmission phase of one connection: each request is checked, given to the export, and answered when the
 * export says so, in whatever order that is. A reply never says more than the export's `done` did.
 */
export class Transmission {
  readonly target: Export;
  readonly #isStructured: boolean;
  readonly #hasContext: boolean;
  readonly #memory: Memory;
  readonly #out: Outbox;
  readonly #answered: () => void;
  #isGone = false;
  /** Set when the export leaves service: what the client asks from then on gets ESHUTDOWN. */
  isWithdrawn = false;
  /** Requests that the export has not answered. */
  inFlight = 0;

  constructor(
    target: Export,
    agreed: { readonly isStructured: boolean; readonly hasContext: boolean },
    memory: Memory,
    out: Outbox,
    answered: () => void,
  ) {
    this.target = target;
    this.#isStructured = agreed.isStructured;
    this.#hasContext = agreed.hasContext;
    this.#memory = memory;
    this.#out = out;
    this.#answered = answered;
  }

  /** The first rule that a request breaks; a write's is known before its payload is received. */
  check(request: RequestHeader): Refusal | undefined {
    const allowed = flagsAllowed[request.command];
    if (allowed === undefined) return refusal.unknownCommand;
    if ((request.flags & ~allowed) !== 0) return refusal.flags;
    if ((request.flags & commandFlag.df) !== 0 && !this.#isStructured) return refusal.flags;
    if (this.isWithdrawn) return refusal.withdrawn;
    if (request.command === command.flush) {
      return request.offset === 0 && request.byteCount === 0 ? undefined : refusal.flushWithRange;
    }
    return this.#checkRange(request);
  }

  #checkRange({ command: asked, offset, byteCount }: RequestHeader): Refusal | undefined {
    const isWriting = asked === command.write || asked === command.trim || asked === command.writeZeroes;
    if (isWriting && this.target.readOnly) return refusal.readOnly;
    if (offset + byteCount > this.target.byteSize) {
      return isWriting && asked !== command.trim ? refusal.writeBeyondEnd : refusal.beyondEnd;
    }
    if (asked === command.blockStatus) {
      if (!this.#hasContext) return refusal.noContext;
      return byteCount === 0 ? refusal.emptyStatus : undefined;
    }
    if (byteCount <= limit.payload || asked === command.trim || asked === command.writeZeroes) return;
    // EOVERFLOW tells the client to ask for less; simple replies to reads know only EINVAL.
    return asked === command.cache || (asked === command.read && this.#isStructured)
      ? refusal.readTooLong
      : refusal.payloadTooLong;
  }

  /** A checked write. `payload` lies in `slab`, whose hold passes to this request. */
  write(request: RequestHeader, payload: Buffer, slab: Slab): void {
    const { done } = new Pending(this, request, slab, 0);
    if (payload.length === 0) done(null);
    else this.target.write(payload, request.offset, (request.flags & commandFlag.fua) !== 0, done);
  }

  /** Any other checked request. */
  execute(request: RequestHeader): void {
    if (request.command === command.flush) this.target.flush(this.#pending(request).done);
    else if (request.byteCount === 0) this.#pending(request).done(null);
    else if (request.command === command.read) this.#read(request);
    else if (request.command === command.trim) this.#trim(request);
    else if (request.command === command.writeZeroes) this.#zero(request);
    else if (request.command === command.cache) this.#cache(request);
    else this.#blockStatus(request);
  }

  #pending(request: RequestHeader): Pending {
    return new Pending(this, request, null, 0);
  }

  #trim(request: RequestHeader): void {
    const fua = (request.flags & commandFlag.fua) !== 0;
    this.target.trim(request.offset, request.byteCount, fua, this.#pending(request).done);
  }

  #zero(request: RequestHeader): void {
    const fua = (request.flags & commandFlag.fua) !== 0;
    const mayTrim = (request.flags & commandFlag.noHole) === 0;
    this.target.zero(request.offset, request.byteCount, { fua, mayTrim }, this.#pending(request).done);
  }

  /** The export reads straight into the reply, behind the place of its header. */
  #read(request: RequestHeader): void {
    const header = this.#isStructured ? dataChunkHeaderSize : headerSize.simpleReply;
    const slab = this.#out.reserve(header + request.byteCount);
    const end = slab.used;
    const pending = new Pending(this, request, slab, end - request.byteCount - header);
    this.target.read(slab.bytes.subarray(end - request.byteCount, end), request.offset, pending.done);
  }

  /** Reading is what warms the caches below. */
  #cache(request: RequestHeader): void {
    const slab = this.#memory.take(request.byteCount);
    const pending = new Pending(this, request, slab, 0);
    this.target.read(slab.bytes.subarray(0, request.byteCount), request.offset, pending.done);
  }

  #blockStatus(request: RequestHeader): void {
    const { offset, byteCount, flags } = request;
    const pending = this.#pending(request);
    const count = (flags & commandFlag.reqOne) !== 0 ? 1 : limit.extentsPerReply;
    const answer = (error: Error | null, extents: readonly Extent[]) => {
      pending.extents = clip(extents, byteCount, count);
      pending.done(error);
    };
    if (this.target.blockStatus) this.target.blockStatus(offset, byteCount, answer);
    else answer(null, [{ byteCount, isHole: false, isZero: false }]);
  }

  refuse(cookie: Cookie, { error, message }: Refusal): void {
    const size = this.#isStructured ? errorChunkSize(message) : headerSize.simpleReply;
    const slab = this.#out.reserve(size);
    const start = slab.used - size;
    if (this.#isStructured) encodeErrorChunk(slab.bytes, start, cookie, error, message);
    else encodeSimpleReply(slab.bytes, start, error, cookie);
    this.#out.push(slab, start, slab.used);
  }

  /** The connection is gone; what the export still answers only gives memory back. */
  dispose(): void {
    this.#isGone = true;
  }

  /** Called by each request once, with what the export said. */
  settle(pending: Pending, error: Error | null): void {
    this.inFlight -= 1;
    const isAnswer = !this.#isGone && !error;
    if (isAnswer && pending.command === command.read && pending.slab) this.#sendData(pending, pending.slab);
    else {
      if (pending.slab) this.#memory.release(pending.slab);
      if (isAnswer) this.#acknowledge(pending);
    }
    if (error && !this.#isGone) this.refuse(pending, refusalOf(error));
    this.#answered();
  }

  #sendData(pending: Pending, slab: Slab): void {
    const { start, offset, byteCount } = pending;
    if (this.#isStructured) {
      encodeDataChunkHeader(slab.bytes, start, pending, offset, byteCount);
      this.#out.push(slab, start, start + dataChunkHeaderSize + byteCount);
    } else {
      encodeSimpleReply(slab.bytes, start, replyError.none, pending);
      this.#out.push(slab, start, start + headerSize.simpleReply + byteCount);
    }
  }

  /** Success without data. A simple reply will do for all but structured reads and block status. */
  #acknowledge(pending: Pending): void {
    if (pending.command === command.blockStatus) this.#sendExtents(pending);
    else if (pending.command === command.read && this.#isStructured) {
      const slab = this.#out.reserve(noneChunkSize);
      encodeNoneChunk(slab.bytes, slab.used - noneChunkSize, pending);
      this.#out.push(slab, slab.used - noneChunkSize, slab.used);
    } else {
      const slab = this.#out.reserve(headerSize.simpleReply);
      const start = slab.used - headerSize.simpleReply;
      encodeSimpleReply(slab.bytes, start, replyError.none, pending);
      this.#out.push(slab, start, slab.used);
    }
  }

  #sendExtents(pending: Pending): void {
    const size = blockStatusChunkSize(pending.extents.length);
    const slab = this.#out.reserve(size);
    encodeBlockStatusChunk(slab.bytes, slab.used - size, pending, pending.extents);
    this.#out.push(slab, slab.used - size, slab.used);
  }
}

/**
 * One request that the export works on. A fresh object each, though a recycled one would be a little cheaper: a
 * `done` that comes twice is then caught, instead of acknowledging a stranger's write.
 */
class Pending implements Cookie {
  readonly command: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offset: number;
  readonly byteCount: number;
  /** The payload of a write, the reply of a read. */
  readonly slab: Slab | null;
  /** Where the reply begins in it. */
  readonly start: number;
  extents: readonly Extent[] = [];
  readonly #transmission: Transmission;
  #isSettled = false;

  constructor(transmission: Transmission, request: RequestHeader, slab: Slab | null, start: number) {
    this.command = request.command;
    this.cookieHigh = request.cookieHigh;
    this.cookieLow = request.cookieLow;
    this.offset = request.offset;
    this.byteCount = request.byteCount;
    this.slab = slab;
    this.start = start;
    this.#transmission = transmission;
    transmission.inFlight += 1;
  }

  readonly done: Done = (error) => {
    if (this.#isSettled) throw new Error('an export answered the same request twice');
    this.#isSettled = true;
    this.#transmission.settle(this, error);
  };
}

/** As much of the answer as was asked for: the client asks again for the rest. */
function clip(extents: readonly Extent[], byteCount: number, count: number): readonly Extent[] {
  const clipped: Extent[] = [];
  let left = byteCount;
  for (const extent of extents) {
    if (left === 0 || clipped.length === count) break;
    clipped.push({ ...extent, byteCount: Math.min(extent.byteCount, left) });
    left -= Math.min(extent.byteCount, left);
  }
  return clipped;
}
