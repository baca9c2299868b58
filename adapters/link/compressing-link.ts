import type { NodeName } from '../../domain/vocabulary.ts';
import type { Deflater } from './compression-codec.ts';
import type { Link, LinkCounters, OutgoingMessage } from './link.ts';
import type { Endpoint } from './transport.ts';

/** A link whose writes go out compressed, at the level that its pair has at the moment (0: as they are). */
export class CompressingLink implements Link {
  readonly #link: Link;
  readonly #deflater: Deflater;
  readonly #level: () => number;

  constructor(link: Link, deflater: Deflater, level: () => number) {
    this.#link = link;
    this.#deflater = deflater;
    this.#level = level;
  }

  /** The link itself, for whoever made it. */
  get inner(): Link {
    return this.#link;
  }

  get peer(): NodeName {
    return this.#link.peer;
  }

  get established(): boolean {
    return this.#link.established;
  }

  get lastHeardMs(): number | null {
    return this.#link.lastHeardMs;
  }

  get counters(): LinkCounters {
    return this.#link.counters;
  }

  get queuedBytes(): number {
    return this.#link.queuedBytes;
  }

  send(message: OutgoingMessage): boolean {
    const level = this.#level();
    return this.#link.send(level === 0 ? message : this.#deflater.deflated(message, level));
  }

  open(): void {
    this.#link.open();
  }

  close(): void {
    this.#link.close();
  }

  drop(): void {
    this.#link.drop();
  }

  renew(): void {
    this.#link.renew();
  }

  dialTo(endpoints: readonly Endpoint[]): void {
    this.#link.dialTo(endpoints);
  }

  cork(): void {
    this.#link.cork();
  }

  uncork(): void {
    this.#link.uncork();
  }
}
