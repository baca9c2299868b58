import type { Buffer } from 'node:buffer';
import type { Export } from './export.ts';
import type { ExportCatalogue } from './export-catalogue.ts';
import { Inbox } from './inbox.ts';
import { decodeOptionHeader, decodeRequest, encodeGreeting, type RequestHeader } from './nbd-codec.ts';
import { Negotiation, type Outcome } from './negotiation-session.ts';
import { Outbox } from './outbox.ts';
import { command, headerSize, limit } from './protocol.ts';
import { Memory, type SlabPool, slabSize } from './slab.ts';
import { Transmission } from './transmission-session.ts';

/**
 * What connections may hold before their requests wait. A limit is overrun by at most one request per connection:
 * one with nothing under way always goes on, so that none starves and the largest payload fits.
 */
export const sessionLimits = {
  requests: 1024,
  bytes: 32 * 1024 * 1024,
  bytesOfAll: 128 * 1024 * 1024,
} as const;

/** What the session asks of whoever owns the socket. */
export interface SessionOrders {
  /** Hands the slices to the network as one piece; call `sent` once they may be reused. */
  send(slices: readonly Buffer[]): void;
  /** An export has answered: call `work` soon, once for all that is answered in this turn. */
  wake(): void;
  /** False: stop reading from the client until true comes. */
  reading(wanted: boolean): void;
  /** Nothing more will be sent or read. */
  close(): void;
}

type Phase = 'client-flags' | 'options' | 'transmission' | 'ending' | 'over';

/**
 * One client, from the greeting to the last reply: bytes in, calls to the export and bytes out. Nothing here
 * waits or reads a clock. Whatever the client sends, memory stays within `sessionLimits`: options and payloads
 * that nobody wants are dropped as they come, and a client that asks faster than it is served, or does not fetch
 * its replies, is not read any further.
 */
export class NbdSession {
  readonly #orders: SessionOrders;
  readonly #memory: Memory;
  readonly #in: Inbox;
  readonly #out: Outbox;
  readonly #negotiation: Negotiation;
  #transmission: Transmission | null = null;
  #phase: Phase = 'client-flags';
  #isWorking = false;
  #isAwake = false;
  #corked: Export | null = null;
  #isReading = true;
  /** Received elsewhere and not taken over yet; nothing more is read until it is. */
  #leftover: Buffer | null = null;
  readonly #request: RequestHeader = {
    flags: 0,
    command: 0,
    cookieHigh: 0,
    cookieLow: 0,
    offset: 0,
    byteCount: 0,
  };

  constructor(catalogue: ExportCatalogue, pool: SlabPool, orders: SessionOrders) {
    this.#orders = orders;
    this.#memory = new Memory(pool);
    this.#in = new Inbox(this.#memory);
    this.#out = new Outbox(this.#memory);
    this.#negotiation = new Negotiation(catalogue, this.#out);
    this.#out.append(encodeGreeting());
  }

  /** The export that this connection uses; null while it is still haggling. */
  get target(): Export | null {
    return this.#transmission?.target ?? null;
  }

  /** Requests that the export has not answered. */
  get inFlight(): number {
    return this.#transmission?.inFlight ?? 0;
  }

  /** Whether it asks an export for blocks, rather than haggling or waiting for its end. */
  get isTransmitting(): boolean {
    return this.#phase === 'transmission';
  }

  get heldBytes(): number {
    return this.#memory.held;
  }

  /** Where the next bytes from the network belong. */
  space(): Buffer {
    return this.#in.space();
  }

  /**
   * Bytes have come: to the place that `space` named last, or, at the price of a copy, elsewhere; then they must
   * stay untouched until the session wants to read again.
   */
  received(bytes: Buffer): void {
    if (this.#phase === 'over') return;
    if (this.#in.isInPlace(bytes)) this.#in.filled(bytes.length);
    else this.#leftover = bytes;
    this.work();
  }

  /** The slices of the last `send` are out. */
  sent(): void {
    if (this.#phase === 'over') return;
    this.#out.sent();
    this.work();
  }

  /** The export leaves service: what is in flight is answered, the rest refused, then the connection ends. */
  withdraw(): void {
    if (!this.#transmission) return;
    this.#transmission.isWithdrawn = true;
    this.work();
  }

  /** The connection is gone, whoever ended it. */
  closed(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#transmission?.dispose();
    this.#in.dispose();
    this.#out.dispose();
    this.#leftover = null;
  }

  /** Goes as far as it can: parse, answer, and say whether more may come. */
  work(): void {
    this.#isAwake = false;
    if (this.#phase === 'over' || this.#isWorking) return;
    this.#isWorking = true;
    do this.#parse();
    while (this.#takeLeftover());
    this.#uncork();
    this.#isWorking = false;
    this.#flush();
    if (this.#endIfDue()) return;
    this.#steerReading();
  }

  #mayProceed(): boolean {
    if (this.#phase === 'ending' || this.#phase === 'over') return false;
    // Haggling is strictly one option, one answer: a client that does not fetch answers gets no more of them.
    if (this.#phase !== 'transmission') return this.#out.isIdle;
    if (this.inFlight === 0 && this.#out.isIdle) return true;
    return (
      this.#memory.held < sessionLimits.bytes &&
      this.#memory.heldByAll < sessionLimits.bytesOfAll &&
      this.inFlight + this.#out.pieces < sessionLimits.requests
    );
  }

  #parse(): void {
    while (this.#mayProceed() && this.#step());
  }

  /** Handles one message; false where its bytes are not all there. */
  #step(): boolean {
    if (this.#in.isDropping) return false;
    switch (this.#phase) {
      case 'client-flags':
        return this.#clientFlags();
      case 'options':
        return this.#option();
      default:
        return this.#transmission !== null && this.#requestOrPayload(this.#transmission);
    }
  }

  #clientFlags(): boolean {
    if (!this.#in.has(headerSize.clientFlags)) return false;
    const flags = this.#in.bytes.readUInt32BE(this.#in.start);
    this.#in.consume(headerSize.clientFlags);
    this.#phase = 'options';
    if (!this.#negotiation.clientFlags(flags)) this.#violation();
    return true;
  }

  #option(): boolean {
    if (!this.#in.has(headerSize.option)) return false;
    const header = decodeOptionHeader(this.#in.bytes, this.#in.start);
    if (!header) return this.#violation();
    if (header.byteCount > limit.optionData) {
      this.#in.consume(headerSize.option);
      this.#in.drop(header.byteCount);
      return this.#follow(this.#negotiation.oversized(header.option));
    }
    const total = headerSize.option + header.byteCount;
    if (!this.#in.has(total)) return false;
    const start = this.#in.start;
    const data = this.#in.bytes.subarray(start + headerSize.option, start + total);
    const outcome = this.#negotiation.option(header.option, data);
    this.#in.consume(total);
    return this.#follow(outcome);
  }

  #follow(outcome: Outcome): boolean {
    switch (outcome) {
      case 'haggling':
        return true;
      case 'transmission':
        this.#beginTransmission();
        return true;
      case 'end':
        this.#phase = 'ending';
        return true;
      case 'violation':
        return this.#violation();
      default:
        return outcome satisfies never;
    }
  }

  #beginTransmission(): void {
    const { target, isStructured, hasAllocationContext: hasContext } = this.#negotiation;
    if (!target) return;
    this.#transmission = new Transmission(target, { isStructured, hasContext }, this.#memory, this.#out, () =>
      this.#answered(),
    );
    this.#phase = 'transmission';
  }

  #requestOrPayload(transmission: Transmission): boolean {
    if (this.#in.isReceivingPayload) return this.#payload(transmission);
    if (!this.#in.has(headerSize.request)) return false;
    const request = this.#request;
    if (!decodeRequest(this.#in.bytes, this.#in.start, request)) return this.#violation();
    if (request.command === command.disconnect) {
      this.#phase = 'ending';
      return true;
    }
    const refused = transmission.check(request);
    if (refused) {
      this.#in.consume(headerSize.request);
      if (request.command === command.write) this.#in.drop(request.byteCount);
      transmission.refuse(request, refused);
      return true;
    }
    if (request.command === command.write) return this.#write(transmission);
    this.#in.consume(headerSize.request);
    transmission.execute(request);
    return true;
  }

  /** A write whose payload is here is handed on as a slice; a large one that is not gets memory of its own. */
  #write(transmission: Transmission): boolean {
    const { byteCount } = this.#request;
    const total = headerSize.request + byteCount;
    if (this.#in.available < total && (this.#in.isLarge(byteCount) || total > slabSize)) {
      this.#in.consume(headerSize.request);
      this.#in.beginPayload(byteCount);
      return this.#payload(transmission);
    }
    if (!this.#in.has(total)) return false;
    if (this.#in.available > total) this.#cork(transmission.target);
    const slab = this.#in.hold();
    const start = this.#in.start + headerSize.request;
    transmission.write(this.#request, slab.bytes.subarray(start, start + byteCount), slab);
    this.#in.consume(total);
    return true;
  }

  /** Another request follows; a single one goes its way without waiting for anything. */
  #cork(target: Export): void {
    if (this.#corked !== null) return;
    this.#corked = target;
    target.cork?.();
  }

  #uncork(): void {
    const corked = this.#corked;
    this.#corked = null;
    corked?.uncork?.();
  }

  #payload(transmission: Transmission): boolean {
    const slab = this.#in.takePayload();
    if (!slab) return false;
    // A reign that ended while the payload came in must not be written to any more.
    const refused = transmission.check(this.#request);
    if (refused) {
      this.#memory.release(slab);
      transmission.refuse(this.#request, refused);
    } else {
      transmission.write(this.#request, slab.bytes.subarray(0, this.#request.byteCount), slab);
    }
    return true;
  }

  /** After a breach nothing that follows can be trusted: a hard disconnect, as the specification allows. */
  #violation(): boolean {
    this.#phase = 'ending';
    return true;
  }

  #answered(): void {
    if (this.#isWorking || this.#isAwake) return;
    this.#isAwake = true;
    this.#orders.wake();
  }

  #takeLeftover(): boolean {
    if (!this.#leftover || !this.#mayProceed()) return false;
    const space = this.#in.space();
    const byteCount = Math.min(space.length, this.#leftover.length);
    space.set(this.#leftover.subarray(0, byteCount));
    this.#leftover = byteCount < this.#leftover.length ? this.#leftover.subarray(byteCount) : null;
    this.#in.filled(byteCount);
    return true;
  }

  /** One batch is on its way at a time: what becomes ready meanwhile leaves together. */
  #flush(): void {
    if (this.#out.pieces > 0 && !this.#out.isLeaving) this.#orders.send(this.#out.take());
  }

  #endIfDue(): boolean {
    if (this.#phase === 'over') return true;
    const isEnding = this.#phase === 'ending' || this.#transmission?.isWithdrawn === true;
    if (!isEnding || this.inFlight > 0 || !this.#out.isIdle) return false;
    // Reading stops first: what the socket reads into is about to belong to another connection.
    this.#orders.reading(false);
    this.closed();
    this.#orders.close();
    return true;
  }

  #steerReading(): void {
    const wanted = this.#leftover === null && this.#mayProceed();
    if (wanted === this.#isReading) return;
    this.#isReading = wanted;
    this.#orders.reading(wanted);
  }
}
