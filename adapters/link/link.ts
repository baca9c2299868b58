import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { Endpoint } from './transport.ts';

/**
 * What the engine sees of a replication link: messages to one peer, in order, whole or not at all. The messages
 * themselves are the engine's (protocol.ts); the link gives every one the same fixed fields.
 *
 * Type numbers: 1–15 belong to the link itself. 16–127 are *bulk*: they use up the receiver's window and keep their
 * order among each other. 128–255 are *urgent*: never held back by the window, so they overtake bulk messages that
 * wait for it; their payload is at most `urgentPayloadBytesMax`.
 */
export interface Message {
  readonly type: number;
  /** 16 bits whose meaning belongs to the type. */
  readonly flags: number;
  /** Index of the volume in the resource, 0 to 65535. */
  readonly volume: number;
  /** The epoch that the sender speaks for; the receiving engine refuses a lower one. */
  readonly epoch: number;
  /** A number of the type's own, e.g. of the write; up to 2^53 − 1. */
  readonly number: number;
  /** Bytes, up to 2^53 − 1. */
  readonly offset: number;
  /** Length of a range without payload (zero, trim); up to 2^32 − 1. */
  readonly byteCount: number;
}

export interface OutgoingMessage extends Message {
  /**
   * Goes out without a copy: it stays untouched until the peer has answered the message or the session has ended.
   * At most `bulkPayloadBytesMax`; a longer write is sent in pieces.
   */
  readonly payload: Uint8Array | null;
  /** CRC-32 of the payload where it is known already (several targets, forwarding), else the link computes it. */
  readonly payloadChecksum?: number;
}

export interface IncomingMessage extends Message {
  /** A slice of the receive buffer, valid until `release`. Empty where there is none. */
  readonly payload: Uint8Array;
  /** Verified CRC-32 of the payload. */
  readonly payloadChecksum: number;
  /**
   * The consumer is done with a bulk message: its memory and its part of the window are free again. To be called
   * once per bulk message, during or after `received`, also after the session has ended: what is never released
   * stops the sender for good. An urgent message is released by the link when `received` returns.
   */
  release(): void;
}

export const bulkPayloadBytesMax = 1024 * 1024;
export const urgentPayloadBytesMax = 64 * 1024;

/**
 * Why a session ended or did not begin. Every one is counted; none lets a byte through.
 * `bad-…`, `wrong-session`: what came is damaged or not of this session (FAULTS 27, 28).
 * `wrong-version` … `old-session`: the handshake was refused, here or by the peer. `not-authenticated`: something
 * else than a handshake came before one was over. `link-closed`: the peer's engine does not want it now. `replaced`: the peer has begun a newer session.
 */
export const linkFaults = [
  'bad-checksum',
  'bad-sequence',
  'bad-length',
  'bad-frame',
  'window-exceeded',
  'wrong-session',
  'not-authenticated',
  'wrong-version',
  'wrong-key',
  'wrong-cluster',
  'wrong-tag',
  'wrong-resource',
  'wrong-node',
  'old-session',
  'link-closed',
  'replaced',
  'timed-out',
  'connection-lost',
  'dropped',
] as const;
export type LinkFault = (typeof linkFaults)[number];

export interface LinkEvents {
  /** Both sides have proved that they hold the cluster key and mean the same resource. `sessionId`: 32 hex digits. */
  established(sessionId: string): void;
  received(message: IncomingMessage): void;
  /** `send` had answered false; now it would answer true. */
  drained(): void;
  /** The established session is over; nothing of it comes any more. The link itself tries again until `close`. */
  ended(fault: LinkFault): void;
  /** An attempt failed before a session was established. */
  refused(fault: LinkFault): void;
}

export interface LinkCounters {
  readonly sessions: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly faults: Readonly<Record<LinkFault, number>>;
}

/** One per peer. The node with the smaller name (code units) dials, the other listens. */
export interface Link {
  readonly peer: NodeName;
  readonly established: boolean;
  /** When bytes came last in a session; monotonic milliseconds, null before the first one. Own pauses do not age it. */
  readonly lastHeardMs: number | null;
  readonly counters: LinkCounters;
  /** Bytes of bulk messages that wait here for the peer's window. */
  readonly queuedBytes: number;
  /** Starts to dial or to accept. */
  open(): void;
  /** Ends the session and the attempts. `open` starts again. */
  close(): void;
  /** Ends the session as `dropped` (the engine found the peer's message contradictory); the link tries again. */
  drop(): void;
  /** Ends the session as `dropped`, by order and not for a fault: the side that dials begins a new one at once. */
  renew(): void;
  /** Tries the endpoints in turn from now on, at once where they are others; of no effect on the side that listens. */
  dialTo(endpoints: readonly Endpoint[]): void;
  /**
   * Takes the message in any case while a session is established (without one it is discarded: false). False: hold
   * bulk messages back until `drained`; what is sent nevertheless is queued.
   */
  send(message: OutgoingMessage): boolean;
  /** Between the two, messages collect and leave in one piece. Pairs nest. */
  cork(): void;
  uncork(): void;
}

/** What both sides must agree on, beside the key. */
export interface LinkIdentity {
  readonly cluster: string;
  readonly tag: Tag;
  /** The id of the `resource.created` event: two resources of one tag are two resources (rule 1). */
  readonly resource: string;
  readonly node: NodeName;
}

export interface LinkTimings {
  readonly pingIntervalMs: number;
  /** Silence after which the session is `timed-out`; also the time a handshake may take. */
  readonly timeoutMs: number;
}
