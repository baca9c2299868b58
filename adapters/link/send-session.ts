import { bulkMessageCost, checksum, frameTypes, headerBytes, isBulk, writeHeader } from './frame-codec.ts';
import type { Message, OutgoingMessage } from './link.ts';

const headerSlabBytes = 1024 * headerBytes;
/** Enough for the handshake: a stranger gets no more. */
const firstHeaderSlabBytes = 4 * headerBytes;
/** A corked batch leaves at this size, so that the network is busy while the rest is being prepared. */
const batchBytesMax = 256 * 1024;
const twoTo32 = 2 ** 32;

const ownMessage = (type: number, number: number): Message => ({
  type,
  flags: 0,
  volume: 0,
  epoch: 0,
  number,
  offset: 0,
  byteCount: 0,
});

const costOf = (message: OutgoingMessage): number => bulkMessageCost + (message.payload?.length ?? 0);

/**
 * The outgoing half of a session: numbers the frames, keeps bulk messages within the peer's window, and collects
 * what belongs together. Nothing the peer does makes it grow: answers that a full socket holds up are remembered,
 * not queued (one pong, one window), and bulk messages wait in the order in which the engine, which was told to
 * hold back, gave them.
 */
export class SendSession {
  /** Carried by every frame from now on. */
  fold = 0;
  messagesSent = 0;
  bytesSent = 0;
  queuedBytes = 0;
  readonly #transmit: (chunks: readonly Uint8Array[]) => boolean;
  readonly #drained: () => void;
  readonly #grant: () => number;
  #sequence = 0;
  #ended = false;
  #corks = 0;
  #blocked = false;
  #mustTell = false;
  /** Bulk cost sent, and how much may be sent in all, since the session began. */
  #sentCost = 0;
  #limit = 0;
  #queue: OutgoingMessage[] = [];
  #queueHead = 0;
  #owedPong: number | null = null;
  #owesWindow = false;
  #chunks: Uint8Array[] = [];
  #batchBytes = 0;
  #headers = Buffer.allocUnsafeSlow(firstHeaderSlabBytes);
  /** Headers in a row, not yet among the chunks: `#headers` from `#runStart` to `#runEnd`. */
  #runStart = 0;
  #runEnd = 0;

  /** `grant`: the bulk cost that the peer may have sent in all; goes out with every frame. */
  constructor(
    transmit: (chunks: readonly Uint8Array[]) => boolean,
    drained: () => void,
    grant: () => number,
  ) {
    this.#transmit = transmit;
    this.#drained = drained;
    this.#grant = grant;
  }

  /** False: a bulk message would now have to wait, or does; see `Link.send`. */
  send(message: OutgoingMessage): boolean {
    if (this.#ended) return false;
    const mustWait = isBulk(message.type) && !this.#fits(message);
    if (mustWait) {
      this.#queue.push(message);
      this.queuedBytes += costOf(message);
    } else {
      this.#emitMessage(message);
    }
    const free = !this.#blocked && this.#queueIsEmpty;
    if (!free) this.#mustTell = true;
    return free;
  }

  handshake(type: number, payload: Uint8Array): void {
    this.#emit(ownMessage(type, 0), payload, checksum(payload));
  }

  /** What is not read is not asked again. */
  ping(number: number): void {
    if (!this.#blocked) this.#emit(ownMessage(frameTypes.ping, number), null, 0);
  }

  pong(number: number): void {
    this.#owedPong = number;
    this.#emitOwed();
  }

  window(): void {
    this.#owesWindow = true;
    this.#emitOwed();
  }

  /** The peer's grant, low 32 bits. It only grows; a peer that says otherwise has itself to blame for what comes. */
  granted(low: number): void {
    this.#limit += (low - (this.#limit % twoTo32) + twoTo32) % twoTo32;
    if (!this.#queueIsEmpty) this.#pump();
  }

  socketDrained(): void {
    this.#blocked = false;
    this.cork();
    this.#emitOwed();
    this.#pump();
    this.uncork();
  }

  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    if (--this.#corks === 0) this.flush();
  }

  end(): void {
    this.#ended = true;
    this.#queue = [];
    this.#queueHead = 0;
    this.queuedBytes = 0;
    this.#chunks = [];
  }

  get #queueIsEmpty(): boolean {
    return this.#queueHead === this.#queue.length;
  }

  #fits(message: OutgoingMessage): boolean {
    return this.#queueIsEmpty && !this.#blocked && this.#sentCost + costOf(message) <= this.#limit;
  }

  #pump(): void {
    this.cork();
    for (let next = this.#queue[this.#queueHead]; next !== undefined; next = this.#queue[this.#queueHead]) {
      if (this.#blocked || this.#sentCost + costOf(next) > this.#limit) break;
      this.#queueHead++;
      this.queuedBytes -= costOf(next);
      this.#emitMessage(next);
    }
    this.#queue.splice(0, this.#queueHead);
    this.#queueHead = 0;
    this.uncork();
    if (this.#mustTell && !this.#blocked && this.#queueIsEmpty && !this.#ended) {
      this.#mustTell = false;
      this.#drained();
    }
  }

  #emitMessage(message: OutgoingMessage): void {
    const { payload } = message;
    if (isBulk(message.type)) this.#sentCost += costOf(message);
    const sum = payload === null ? 0 : (message.payloadChecksum ?? checksum(payload));
    this.messagesSent++;
    this.#emit(message, payload, sum);
  }

  #emitOwed(): void {
    if (this.#blocked) return;
    if (this.#owedPong !== null) {
      const number = this.#owedPong;
      this.#owedPong = null;
      this.#emit(ownMessage(frameTypes.pong, number), null, 0);
    }
    if (this.#owesWindow) {
      this.#owesWindow = false;
      this.#emit(ownMessage(frameTypes.window, 0), null, 0);
    }
  }

  #emit(message: Message, payload: Uint8Array | null, payloadChecksum: number): void {
    if (this.#ended) return;
    if (this.#runEnd === this.#headers.length) this.#newHeaders();
    const payloadBytes = payload?.length ?? 0;
    writeHeader(
      this.#headers,
      this.#runEnd,
      message,
      payloadBytes,
      payloadChecksum,
      this.#sequence++,
      this.fold,
      this.#grant(),
    );
    this.#runEnd += headerBytes;
    this.#batchBytes += headerBytes + payloadBytes;
    if (payload !== null && payloadBytes > 0) {
      this.#closeRun();
      this.#chunks.push(payload);
    }
    if (this.#corks === 0 || this.#batchBytes >= batchBytesMax) this.flush();
  }

  #closeRun(): void {
    if (this.#runEnd > this.#runStart)
      this.#chunks.push(this.#headers.subarray(this.#runStart, this.#runEnd));
    this.#runStart = this.#runEnd;
  }

  /** Headers stay untouched until they are sent, so the full slab is left to whoever still reads it. */
  #newHeaders(): void {
    this.#closeRun();
    this.#headers = Buffer.allocUnsafeSlow(headerSlabBytes);
    this.#runStart = 0;
    this.#runEnd = 0;
  }

  flush(): void {
    this.#closeRun();
    if (this.#chunks.length === 0 || this.#ended) return;
    const chunks = this.#chunks;
    this.bytesSent += this.#batchBytes;
    this.#chunks = [];
    this.#batchBytes = 0;
    this.#blocked = !this.#transmit(chunks) || this.#blocked;
  }
}
