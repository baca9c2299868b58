import {
  bulkMessageCost,
  checksum,
  type FrameHeader,
  frameTypes,
  handshakePayloadBytesMax,
  headerBytes,
  isBulk,
  isMessage,
  readHeader,
} from './frame-codec.ts';
import type { SessionKeys } from './handshake-codec.ts';
import { Handshake, type HandshakeRole } from './handshake-session.ts';
import type { IncomingMessage, LinkFault, LinkTimings } from './link.ts';
import { ReceivePool, ReceiveStream, type Slab } from './receive-buffers.ts';
import { ReceivedMessage } from './received-message.ts';
import { SendSession } from './send-session.ts';

export interface SessionConsumer {
  readonly pool: ReceivePool;
  established(session: LinkSession, sessionId: string): void;
  received(message: IncomingMessage): void;
  drained(): void;
  ended(session: LinkSession, fault: LinkFault): void;
}

export interface SessionOptions {
  readonly role: HandshakeRole<SessionConsumer>;
  readonly key: Uint8Array;
  readonly nonce: string;
  readonly timings: LinkTimings;
  readonly nowMs: number;
}

export interface SessionPorts {
  transmit(chunks: readonly Uint8Array[]): boolean;
  /** The session is over; the connection has no other use. */
  disconnect(): void;
  /** It was over before it was established. */
  failed(fault: LinkFault): void;
}

/** An unproven peer gets this much memory and no more. */
const handshakeSlabBytes = 4 * (headerBytes + handshakePayloadBytesMax);

/**
 * One session of a link over one connection: bytes and ticks come in, messages and bytes go out. Pure.
 *
 * A session ends at the first thing that is not exactly what it should be (I13): nothing after it is looked at, and
 * the link begins a new session. Pings are answered here, and reading never stops: instead of holding the
 * connection up, a slow consumer lets the window run dry, which the sender respects; so a slow disk never looks like
 * a dead peer (FAULTS 27), and what is held stays within the window (I16).
 */
export class LinkSession {
  /** When bytes of the peer came last, be it a part of a frame: 1 MiB may take longer than the timeout on a thin path. */
  lastHeardMs: number;
  messagesReceived = 0;
  bytesReceived = 0;
  readonly outgoing: SendSession;
  readonly #ports: SessionPorts;
  readonly #timings: LinkTimings;
  readonly #handshake: Handshake<SessionConsumer>;
  readonly #isDialer: boolean;
  #consumer: SessionConsumer | null = null;
  #ended = false;
  #stream = new ReceiveStream(new ReceivePool(0, handshakeSlabBytes, 0));
  #header: FrameHeader | null = null;
  /** What the next frame must carry. */
  #sequence = 0;
  #fold = 0;
  #receivedCost = 0;
  #grant = 0;
  #nowMs: number;
  #lastTickMs: number;
  #messagesAtTick = 0;
  #lastPingMs: number;
  #pings = 0;

  constructor(options: SessionOptions, ports: SessionPorts) {
    const { role, key, nonce, nowMs } = options;
    this.#ports = ports;
    this.#timings = options.timings;
    this.#handshake = new Handshake(role, key, nonce);
    this.#isDialer = role.kind === 'dialer';
    this.lastHeardMs = nowMs;
    this.#nowMs = nowMs;
    this.#lastTickMs = nowMs;
    this.#lastPingMs = nowMs;
    this.outgoing = new SendSession(
      (chunks) => this.#ports.transmit(chunks),
      () => this.#consumer?.drained(),
      () => this.#nextGrant(),
    );
  }

  get established(): boolean {
    return this.#consumer !== null && !this.#ended;
  }

  begin(): void {
    const { opening } = this.#handshake;
    if (opening !== null) this.outgoing.handshake(opening.type, opening.payload);
  }

  /** Where a transport may read the next bytes, so that they need not be copied. */
  space(): Buffer {
    return this.#stream.space(this.#frameBytes);
  }

  receive(bytes: Uint8Array, nowMs: number): void {
    this.#nowMs = nowMs;
    this.bytesReceived += bytes.length;
    if (this.established) this.lastHeardMs = nowMs;
    this.outgoing.cork();
    let rest = bytes;
    while (rest.length > 0 && !this.#ended) {
      rest = rest.subarray(this.#stream.accept(rest, this.space()));
      this.#parse();
    }
    this.#announceGrant();
    this.outgoing.uncork();
  }

  /**
   * To be called at least every `pingIntervalMs`. A longer gap is a pause of this very process, in which nothing
   * could be heard, so it does not count as the peer's silence.
   */
  tick(nowMs: number): void {
    if (this.#ended) return;
    const { pingIntervalMs, timeoutMs } = this.#timings;
    const pausedMs = Math.max(0, nowMs - this.#lastTickMs - pingIntervalMs);
    this.lastHeardMs = Math.min(nowMs, this.lastHeardMs + pausedMs);
    this.#lastTickMs = nowMs;
    if (this.messagesReceived === this.#messagesAtTick) this.#consumer?.pool.trim();
    this.#messagesAtTick = this.messagesReceived;
    if (nowMs - this.lastHeardMs >= timeoutMs) {
      this.end('timed-out');
    } else if (this.established && nowMs - this.#lastPingMs >= pingIntervalMs) {
      this.#lastPingMs = nowMs;
      this.outgoing.ping(this.#pings++);
    }
  }

  end(fault: LinkFault): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
    this.outgoing.end();
    this.#ports.disconnect();
    if (this.#consumer === null) {
      this.#ports.failed(fault);
    } else {
      this.#consumer.pool.released = () => {};
      this.#consumer.ended(this, fault);
    }
  }

  get #frameBytes(): number {
    return headerBytes + (this.#header?.payloadBytes ?? 0);
  }

  #parse(): void {
    while (!this.#ended && this.#stream.length >= headerBytes) {
      this.#header ??= this.#readHeader();
      if (this.#header === null || this.#stream.length < this.#frameBytes) return;
      const fault = this.#takeFrame(this.#header);
      if (fault !== null) this.end(fault);
    }
  }

  /** Null: it was bad, and the session has ended. */
  #readHeader(): FrameHeader | null {
    const header = readHeader(this.#stream.slab.bytes, this.#stream.start);
    const fault = typeof header === 'string' ? header : this.#faultOf(header);
    if (typeof header !== 'string' && fault === null) return header;
    this.end(fault ?? 'bad-frame');
    return null;
  }

  /** What forbids a frame before a byte of its payload is kept. */
  #faultOf(header: FrameHeader): LinkFault | null {
    if (this.#consumer === null && !this.#handshake.accepts(header.type)) return 'not-authenticated';
    if (header.fold !== this.#fold) return 'wrong-session';
    if (header.sequence !== this.#sequence) return 'bad-sequence';
    if (!isBulk(header.type)) return null;
    return this.#receivedCost + bulkMessageCost + header.payloadBytes > this.#grant
      ? 'window-exceeded'
      : null;
  }

  #takeFrame(header: FrameHeader): LinkFault | null {
    const { slab, start } = this.#stream;
    const from = start + headerBytes;
    const payload = slab.bytes.subarray(from, from + header.payloadBytes);
    if (checksum(payload) !== header.payloadChecksum) return 'bad-checksum';
    this.#stream.consume(this.#frameBytes);
    this.#header = null;
    this.#sequence++;
    if (this.#consumer === null) return this.#takeHandshake(header.type, payload);
    this.outgoing.granted(header.grant);
    if (isMessage(header.type)) this.#deliver(this.#consumer, header, payload, slab);
    else if (header.type === frameTypes.ping) this.outgoing.pong(header.number);
    else if (header.type !== frameTypes.pong && header.type !== frameTypes.window) return 'bad-frame';
    return null;
  }

  #deliver(consumer: SessionConsumer, header: FrameHeader, payload: Buffer, slab: Slab): void {
    this.messagesReceived++;
    const message = new ReceivedMessage(header, payload, slab, consumer.pool);
    if (isBulk(header.type)) {
      this.#receivedCost += bulkMessageCost + header.payloadBytes;
      consumer.received(message);
    } else {
      consumer.received(message);
      message.release();
    }
  }

  #takeHandshake(type: number, payload: Uint8Array): LinkFault | null {
    const { reply, fault, proven } = this.#handshake.take(type, payload);
    if (reply !== undefined) this.outgoing.handshake(reply.type, reply.payload);
    if (fault !== undefined) {
      this.outgoing.flush();
      return fault;
    }
    if (proven !== undefined) this.#establish(proven.consumer, proven.keys);
    return null;
  }

  #establish(consumer: SessionConsumer, keys: SessionKeys): void {
    this.#fold = this.#isDialer ? keys.listenerFold : keys.dialerFold;
    this.outgoing.fold = this.#isDialer ? keys.dialerFold : keys.listenerFold;
    const early = this.#stream;
    this.#stream = new ReceiveStream(consumer.pool);
    this.#stream.accept(early.unparsed, this.#stream.space(headerBytes));
    this.#consumer = consumer;
    this.lastHeardMs = this.#nowMs;
    consumer.pool.released = () => this.#announceGrant();
    this.outgoing.window();
    consumer.established(this, keys.sessionId);
  }

  /** Goes out with every frame. It is never taken back; while much is held it just does not grow. */
  #nextGrant(): number {
    if (this.#consumer !== null) {
      this.#grant = Math.max(this.#grant, this.#receivedCost + this.#consumer.pool.room);
    }
    return this.#grant;
  }

  /** A frame of its own is needed only when none has carried a large part of the window. */
  #announceGrant(): void {
    if (this.#consumer === null || this.#ended) return;
    const { room, windowBytes } = this.#consumer.pool;
    if (this.#receivedCost + room - this.#grant >= windowBytes / 4) this.outgoing.window();
  }
}
