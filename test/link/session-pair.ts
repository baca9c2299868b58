import {
  bulkMessageCost,
  checksum,
  type FrameHeader,
  headerBytes,
  readHeader,
  writeHeader,
} from '../../adapters/link/frame-codec.ts';
import type { Claim } from '../../adapters/link/handshake-codec.ts';
import type { HandshakeRole } from '../../adapters/link/handshake-session.ts';
import type { IncomingMessage, LinkFault, LinkIdentity, OutgoingMessage } from '../../adapters/link/link.ts';
import { LinkSession, type SessionConsumer } from '../../adapters/link/link-session.ts';
import { ReceivePool } from '../../adapters/link/receive-buffers.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';

export const key = Buffer.alloc(32, 7);
export const timings = { pingIntervalMs: 1000, timeoutMs: 5000 };
export const adam = 'adam' as NodeName;
export const eve = 'eve' as NodeName;
export const eveIdentity: LinkIdentity = {
  cluster: 'paradise',
  tag: 'datarep' as Tag,
  resource: 'adam/1/7',
  node: eve,
};
export const claim: Claim = {
  cluster: 'paradise',
  tag: 'datarep' as Tag,
  resource: 'adam/1/7',
  from: adam,
  to: eve,
  instance: '0123456789abcdef',
  number: 1,
};

export const nonce = (seed: number): string => Buffer.alloc(32, seed).toString('hex');

export const message = (change: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  type: 16,
  flags: 0,
  volume: 0,
  epoch: 3,
  number: 0,
  offset: 0,
  byteCount: 0,
  payload: null,
  ...change,
});

/** What a session told its consumer; received messages are kept unreleased unless `releases`. */
export class Recorder implements SessionConsumer {
  readonly pool: ReceivePool;
  readonly messages: IncomingMessage[] = [];
  /** Payloads as they were at delivery. */
  readonly payloads: string[] = [];
  sessionId: string | null = null;
  drains = 0;
  fault: LinkFault | null = null;
  releases = true;
  onReceived: (message: IncomingMessage) => void = () => {};

  constructor(windowBytes = 16 << 20, slabBytes = 2 << 20) {
    this.pool = new ReceivePool(windowBytes, slabBytes, bulkMessageCost);
  }

  established(_session: LinkSession, sessionId: string): void {
    this.sessionId = sessionId;
  }

  received(message: IncomingMessage): void {
    this.messages.push(message);
    this.payloads.push(Buffer.from(message.payload).toString('latin1'));
    this.onReceived(message);
    if (this.releases) message.release();
  }

  drained(): void {
    this.drains++;
  }

  ended(_session: LinkSession, fault: LinkFault): void {
    this.fault = fault;
  }
}

/** One side: a session, its consumer, and the bytes that it has sent and nobody has taken yet. */
export interface Side {
  readonly session: LinkSession;
  readonly consumer: Recorder;
  outgoing: Buffer[];
  /** Bytes that the "socket" takes before it says that it is full. */
  socketBytes: number;
  /** Every byte ever sent. */
  sentBytes: number;
  fault: LinkFault | null;
  isDisconnected: boolean;
}

export interface SideOptions {
  readonly consumer?: Recorder;
  readonly key?: Buffer;
  readonly nonce?: string;
  readonly nowMs?: number;
}

function side(role: HandshakeRole<SessionConsumer>, consumer: Recorder, options: SideOptions): Side {
  const session = new LinkSession(
    {
      role,
      key: options.key ?? key,
      nonce: options.nonce ?? nonce(role.kind === 'dialer' ? 1 : 2),
      timings,
      nowMs: options.nowMs ?? 0,
    },
    {
      transmit: (chunks) => {
        const bytes = Buffer.concat(chunks);
        made.outgoing.push(bytes);
        made.sentBytes += bytes.length;
        return made.outgoing.reduce((sum, { length }) => sum + length, 0) < made.socketBytes;
      },
      disconnect: () => {
        made.isDisconnected = true;
      },
      failed: (fault) => {
        made.fault = fault;
      },
    },
  );
  const made: Side = {
    session,
    consumer,
    outgoing: [],
    socketBytes: Number.POSITIVE_INFINITY,
    sentBytes: 0,
    fault: null,
    isDisconnected: false,
  };
  return made;
}

export function dialer(options: SideOptions & { readonly claim?: Claim } = {}): Side {
  const consumer = options.consumer ?? new Recorder();
  return side({ kind: 'dialer', claim: options.claim ?? claim, consumer }, consumer, options);
}

export function listener(
  options: SideOptions & {
    readonly identity?: LinkIdentity;
    readonly admit?: (claim: Claim) => 'old-session' | null;
  } = {},
): Side {
  const consumer = options.consumer ?? new Recorder();
  const identity = options.identity ?? eveIdentity;
  const admit = (claimed: Claim) => options.admit?.(claimed) ?? consumer;
  return side({ kind: 'listener', identity, admit }, consumer, options);
}

/** Moves everything that `from` has sent so far, cut into pieces of at most `pieceBytes()`. */
export function carry(from: Side, to: Side, nowMs: number, pieceBytes: () => number): void {
  const bytes = Buffer.concat(from.outgoing);
  from.outgoing = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + Math.max(1, pieceBytes()));
    to.session.receive(bytes.subarray(at, end), nowMs);
    at = end;
  }
  if (from.socketBytes !== Number.POSITIVE_INFINITY && !from.isDisconnected) {
    from.session.outgoing.socketDrained();
  }
}

/** Until nothing moves any more. */
export function settle(left: Side, right: Side, nowMs = 0, pieceBytes: () => number = () => 1 << 30): void {
  while (left.outgoing.length > 0 || right.outgoing.length > 0) {
    carry(left, right, nowMs, pieceBytes);
    carry(right, left, nowMs, pieceBytes);
  }
}

export function establishedPair(a: SideOptions = {}, b: SideOptions = {}): { adam: Side; eve: Side } {
  const pair = { adam: dialer(a), eve: listener(b) };
  pair.adam.session.begin();
  settle(pair.adam, pair.eve);
  return pair;
}

/** A frame with other fields or another payload, and checksums that fit. */
export function forged(frame: Buffer, change: Partial<FrameHeader>, text?: string): Buffer {
  const header = readHeader(frame, 0);
  if (typeof header === 'string') throw new Error(header);
  const payload =
    text === undefined
      ? frame.subarray(headerBytes, headerBytes + header.payloadBytes)
      : Buffer.from(text, 'latin1');
  const fields = { ...header, payloadBytes: payload.length, payloadChecksum: checksum(payload), ...change };
  const made = Buffer.alloc(headerBytes);
  const { payloadBytes, payloadChecksum, sequence, fold, grant } = fields;
  writeHeader(made, 0, fields, payloadBytes, payloadChecksum, sequence, fold, grant);
  return Buffer.concat([made, payload]);
}
