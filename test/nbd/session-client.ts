import { Buffer } from 'node:buffer';
import type { Export } from '../../adapters/nbd/export.ts';
import { ExportCatalogue } from '../../adapters/nbd/export-catalogue.ts';
import { NbdSession } from '../../adapters/nbd/nbd-session.ts';
import { SlabPool } from '../../adapters/nbd/slab.ts';

/** A client of one session, without a network between them. */
export class SessionClient {
  readonly catalogue = new ExportCatalogue();
  readonly session: NbdSession;
  isClosed = false;
  isRead = true;
  /** False: the client's side of the network is full, nothing leaves until `fetch`. */
  isFetching = true;
  wakes = 0;
  #sent: Buffer[] = [];
  #waiting: readonly Buffer[] | null = null;

  constructor(exports: readonly Export[], pool = new SlabPool()) {
    for (const one of exports) this.catalogue.add(one);
    this.session = new NbdSession(this.catalogue, pool, {
      send: (slices) => {
        this.#waiting = slices;
      },
      wake: () => {
        this.wakes += 1;
      },
      reading: (wanted) => {
        this.isRead = wanted;
      },
      close: () => {
        this.isClosed = true;
      },
    });
    this.session.work();
    this.#deliver();
    this.take();
  }

  /** Sends bytes in pieces of a size, as long as the session reads; returns what it did not want. */
  send(bytes: Buffer, pieceSize = bytes.length): Buffer {
    let rest = bytes;
    while (rest.length > 0 && this.isRead && !this.isClosed) {
      const space = this.session.space();
      const byteCount = Math.min(space.length, rest.length, pieceSize);
      space.set(rest.subarray(0, byteCount));
      this.session.received(space.subarray(0, byteCount));
      rest = rest.subarray(byteCount);
      this.#deliver();
    }
    return rest;
  }

  /** What the server does after an export has answered outside of `send`. */
  wake(): void {
    this.session.work();
    this.#deliver();
  }

  fetch(): void {
    this.isFetching = true;
    this.#deliver();
  }

  /** Everything that has come since the last time. */
  take(): Buffer {
    const bytes = Buffer.concat(this.#sent);
    this.#sent = [];
    return bytes;
  }

  #deliver(): void {
    while (this.#waiting && this.isFetching) {
      this.#sent.push(...this.#waiting.map((slice) => Buffer.from(slice)));
      this.#waiting = null;
      this.session.sent();
    }
  }
}
