import type { NatsConnection } from 'nats';

/** More than a busy agent sends in the seconds until a hung server is noticed. */
const windowSize = 8 * 1024 * 1024;
const flushSize = 64 * 1024;

/**
 * Bounds what the client holds for a server that does not read (FAULTS 24, I16): the client itself would keep it
 * all. What the server has not confirmed by a pong counts; sizes are in UTF-16 units.
 */
export class OutboundWindow {
  #unconfirmed = 0;
  #unflushed = 0;

  admit(nats: NatsConnection, size: number): boolean {
    if (this.#unconfirmed + size > windowSize) return false;
    this.#unconfirmed += size;
    this.#unflushed += size;
    if (this.#unflushed >= flushSize) this.#flush(nats);
    return true;
  }

  /** A new connection begins with nothing under way. */
  reset(): void {
    this.#unconfirmed = 0;
    this.#unflushed = 0;
  }

  #flush(nats: NatsConnection): void {
    const size = this.#unflushed;
    this.#unflushed = 0;
    nats.flush().then(
      () => {
        this.#unconfirmed = Math.max(0, this.#unconfirmed - size);
      },
      () => undefined,
    );
  }
}
