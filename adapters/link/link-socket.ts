import { isDeepStrictEqual } from 'node:util';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import { backOffMs } from './back-off.ts';
import { bulkMessageCost, headerBytes } from './frame-codec.ts';
import { type Claim, instanceBytes, nonceBytes, type Refused } from './handshake-codec.ts';
import {
  bulkPayloadBytesMax,
  type Link,
  type LinkCounters,
  type LinkEvents,
  type LinkFault,
  type LinkIdentity,
  type LinkTimings,
  linkFaults,
  type OutgoingMessage,
} from './link.ts';
import type { LinkSession, SessionConsumer } from './link-session.ts';
import { ReceivePool } from './receive-buffers.ts';
import { SessionConnection } from './session-connection.ts';
import type { Connection, ConnectionEvents, Endpoint, Transport } from './transport.ts';

/** The piece in which received bytes are kept: two of the largest frames fit. */
const slabBytes = 2 * (bulkPayloadBytesMax + headerBytes);
/** Received bytes that the engine has not released yet, per link. */
const windowBytes = 8 * slabBytes;

/** What all links of an engine have in common. */
export interface LinkSettings {
  readonly identity: LinkIdentity;
  /** The cluster's link key, 32 random bytes. */
  readonly key: Uint8Array;
  readonly timings: LinkTimings;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: (byteCount: number) => Uint8Array;
}

export const freshNonce = (random: (byteCount: number) => Uint8Array): string =>
  Buffer.from(random(nonceBytes)).toString('hex');

/**
 * A link on the Transport port. One session at a time. The side that dials has at most one attempt or session; the
 * side that listens lets a newer session of the dialer replace the present one at once, because the dialer begins
 * a new one only when it has given up the other: so a half-open connection never stands in the way (FAULTS 27).
 */
export class LinkSocket implements Link {
  readonly peer: NodeName;
  readonly dials: boolean;
  readonly #settings: LinkSettings;
  readonly #events: LinkEvents;
  readonly #consumer: SessionConsumer;
  readonly #instance: string;
  readonly #faults = Object.fromEntries(linkFaults.map((fault) => [fault, 0])) as Record<LinkFault, number>;
  #isOpen = false;
  /** The established one. */
  #session: LinkSession | null = null;
  /** The one of the attempt under way. */
  #shaking: LinkSession | null = null;
  #establishedAtMs = 0;
  #corks = 0;
  #corked: LinkSession | null = null;
  #lastHeardMs: number | null = null;
  #sessions = 0;
  /** Of the sessions that are over. */
  #past = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };
  #endpoints: readonly Endpoint[] = [];
  #turn = 0;
  /** Counts the attempts of this instance; what belongs to an older one is void. */
  #attempt = 0;
  #failuresInARow = 0;
  #timer: Timer | null = null;
  /** Of the newest session that was admitted here. */
  #admitted: { readonly instance: string; readonly number: number } | null = null;

  constructor(settings: LinkSettings, peer: NodeName, events: LinkEvents) {
    this.#settings = settings;
    this.peer = peer;
    this.dials = settings.identity.node < peer;
    this.#events = events;
    this.#instance = Buffer.from(settings.random(instanceBytes)).toString('hex');
    this.#consumer = {
      pool: new ReceivePool(windowBytes, slabBytes, bulkMessageCost),
      established: (session, sessionId) => this.#established(session, sessionId),
      received: (message) => events.received(message),
      drained: () => events.drained(),
      ended: (session, fault) => this.#ended(session, fault),
    };
  }

  get established(): boolean {
    return this.#session?.established ?? false;
  }

  get lastHeardMs(): number | null {
    return this.established ? (this.#session?.lastHeardMs ?? null) : this.#lastHeardMs;
  }

  get queuedBytes(): number {
    return this.#session?.outgoing.queuedBytes ?? 0;
  }

  get counters(): LinkCounters {
    return { sessions: this.#sessions, ...this.#totals, faults: { ...this.#faults } };
  }

  get #totals() {
    const now = this.#session;
    return {
      messagesSent: this.#past.messagesSent + (now?.outgoing.messagesSent ?? 0),
      messagesReceived: this.#past.messagesReceived + (now?.messagesReceived ?? 0),
      bytesSent: this.#past.bytesSent + (now?.outgoing.bytesSent ?? 0),
      bytesReceived: this.#past.bytesReceived + (now?.bytesReceived ?? 0),
    };
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#failuresInARow = 0;
    if (this.dials) this.#dial();
  }

  close(): void {
    this.#isOpen = false;
    this.#abandonAttempt();
    this.drop();
  }

  drop(): void {
    this.#session?.end('dropped');
  }

  renew(): void {
    if (this.#session === null) return;
    this.drop();
    if (this.#isOpen && this.dials) this.#dialAtOnce();
  }

  dialTo(endpoints: readonly Endpoint[]): void {
    const isSame = isDeepStrictEqual(endpoints, this.#endpoints);
    this.#endpoints = endpoints;
    this.#turn = 0;
    if (!this.#isOpen || !this.dials || (isSame && this.#session !== null)) return;
    // Another path is taken at once, not when the present one fails.
    this.drop();
    this.#dialAtOnce();
  }

  send(message: OutgoingMessage): boolean {
    return this.#session?.outgoing.send(message) ?? false;
  }

  cork(): void {
    if (this.#corks++ > 0) return;
    this.#corked = this.#session;
    this.#corked?.outgoing.cork();
  }

  uncork(): void {
    if (--this.#corks > 0) return;
    this.#corked?.outgoing.uncork();
    this.#corked = null;
  }

  /** The listener's question about a dialer that has proved to be `peer`. */
  admit(claim: Claim): SessionConsumer | Refused['fault'] {
    const isOld = this.#admitted?.instance === claim.instance && claim.number <= this.#admitted.number;
    if (isOld) return 'old-session';
    this.#admitted = { instance: claim.instance, number: claim.number };
    this.#session?.end('replaced');
    return this.#isOpen ? this.#consumer : 'link-closed';
  }

  #dialAtOnce(): void {
    this.#abandonAttempt();
    this.#failuresInARow = 0;
    this.#dial();
  }

  #dial(): void {
    const { transport, clock, timings } = this.#settings;
    const attempt = ++this.#attempt;
    const endpoint = this.#endpoints[this.#turn++ % this.#endpoints.length];
    if (endpoint === undefined) return;
    const isVoid = () => attempt !== this.#attempt;
    const failed = (fault: LinkFault) => {
      if (!isVoid()) this.#attemptFailed(fault);
    };
    this.#timer = clock.after(timings.timeoutMs, () => failed('timed-out'));
    transport.dial(
      endpoint,
      (connection) => (isVoid() ? unwanted(connection) : this.#shakeHands(connection, failed)),
      () => failed('connection-lost'),
    );
  }

  #shakeHands(connection: Connection, failed: (fault: LinkFault) => void): ConnectionEvents {
    const { identity, clock, random } = this.#settings;
    this.#timer?.cancel();
    const { node, ...resource } = identity;
    const number = this.#attempt;
    const claim: Claim = { ...resource, from: node, to: this.peer, instance: this.#instance, number };
    const options = {
      ...this.#settings,
      role: { kind: 'dialer', claim, consumer: this.#consumer } as const,
      nonce: freshNonce(random),
    };
    const running = new SessionConnection(connection, clock, options, failed);
    this.#shaking = running.session;
    return running;
  }

  #attemptFailed(fault: LinkFault): void {
    this.#faults[fault]++;
    this.#abandonAttempt();
    this.#dialLater();
    this.#events.refused(fault);
  }

  #dialLater(): void {
    const [randomByte = 0] = this.#settings.random(1);
    const delayMs = backOffMs(this.#failuresInARow++, randomByte);
    this.#timer = this.#settings.clock.after(delayMs, () => this.#dial());
  }

  /** Whatever an attempt under way still brings is void. */
  #abandonAttempt(): void {
    this.#attempt++;
    this.#timer?.cancel();
    this.#shaking?.end('dropped');
    this.#shaking = null;
  }

  #established(session: LinkSession, sessionId: string): void {
    this.#shaking = null;
    this.#session = session;
    this.#sessions++;
    this.#establishedAtMs = this.#settings.clock.nowMs();
    this.#events.established(sessionId);
  }

  #ended(session: LinkSession, fault: LinkFault): void {
    const { clock, timings } = this.#settings;
    this.#past = this.#totals;
    this.#lastHeardMs = session.lastHeardMs;
    this.#session = null;
    this.#faults[fault]++;
    const hasLasted = clock.nowMs() - this.#establishedAtMs >= timings.timeoutMs;
    if (hasLasted) this.#failuresInARow = 0;
    if (this.#isOpen && this.dials) this.#dialLater();
    this.#events.ended(fault);
  }
}

/** The attempt was given up while it was under way. */
function unwanted(connection: Connection): ConnectionEvents {
  connection.destroy();
  return { received() {}, drained() {}, closed() {} };
}
