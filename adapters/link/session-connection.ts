import type { Clock, Timer } from '../engine/clock.ts';
import type { LinkFault, LinkTimings } from './link.ts';
import { LinkSession, type SessionOptions } from './link-session.ts';
import type { Connection, ConnectionEvents } from './transport.ts';

/** Ties a session to its connection and to time: it ticks until it has ended, and then the connection is gone. */
export class SessionConnection implements ConnectionEvents {
  readonly session: LinkSession;
  readonly #clock: Clock;
  readonly #timings: LinkTimings;
  #timer: Timer;

  constructor(
    connection: Connection,
    clock: Clock,
    options: Omit<SessionOptions, 'nowMs'>,
    failed: (fault: LinkFault) => void,
  ) {
    this.#clock = clock;
    this.#timings = options.timings;
    this.session = new LinkSession(
      { ...options, nowMs: clock.nowMs() },
      {
        transmit: (chunks) => connection.send(chunks),
        disconnect: () => {
          this.#timer.cancel();
          connection.destroy();
        },
        failed,
      },
    );
    this.#timer = this.#nextTick();
    this.session.begin();
  }

  space(): Buffer {
    return this.session.space();
  }

  received(bytes: Uint8Array): void {
    this.session.receive(bytes, this.#clock.nowMs());
  }

  drained(): void {
    this.session.outgoing.socketDrained();
  }

  closed(): void {
    this.session.end('connection-lost');
  }

  /** Twice per interval, so that a ping is never late by more than half of one. */
  #nextTick(): Timer {
    return this.#clock.after(this.#timings.pingIntervalMs / 2, () => {
      this.#timer = this.#nextTick();
      this.session.tick(this.#clock.nowMs());
    });
  }
}
