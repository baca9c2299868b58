import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Export } from './export.ts';
import type { ExportCatalogue } from './export-catalogue.ts';
import { NbdSession } from './nbd-session.ts';
import { receiveInPlace } from './received-in-place.ts';
import type { SlabPool } from './slab.ts';

/**
 * What the kernel reads into after a pause, in bytes. The space that the session named before it may belong to
 * another connection by the time that reading goes on.
 */
const landingSize = 4096;
/** Silence after which TCP asks whether the client is still there, in milliseconds. */
const keepAliveMs = 30_000;

/** One client's socket and its session. */
export class NbdConnection {
  readonly #session: NbdSession;
  readonly #socket: Socket;
  readonly #changed: (connection: NbdConnection) => void;
  readonly #landing = Buffer.allocUnsafeSlow(landingSize);
  #isReading = true;
  #isClosed = false;
  #isWithdrawn = false;
  /** Times that the server has looked and found it not transmitting. */
  idleSweeps = 0;

  /** `changed`: it has closed, or nothing is left to be answered on one that is closed or withdrawn. */
  constructor(
    accepted: Socket,
    catalogue: ExportCatalogue,
    pool: SlabPool,
    changed: (connection: NbdConnection) => void,
  ) {
    this.#changed = changed;
    this.#session = new NbdSession(catalogue, pool, {
      send: (slices) => this.#send(slices),
      wake: () => process.nextTick(() => this.#work()),
      reading: (wanted) => this.#read(wanted),
      close: () => this.#socket.end(() => this.#socket.destroy()),
    });
    this.#socket = receiveInPlace(accepted, {
      space: () => (this.#isReading ? this.#session.space() : this.#landing),
      received: (byteCount, into) => this.#received(byteCount, into),
    });
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, keepAliveMs);
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.once('close', () => this.#close());
    this.#session.work();
  }

  get target(): Export | null {
    return this.#session.target;
  }

  get inFlight(): number {
    return this.#session.inFlight;
  }

  get isTransmitting(): boolean {
    return this.#session.isTransmitting;
  }

  /** Closed, and no export works for it any more. */
  get isOver(): boolean {
    return this.#isClosed && this.inFlight === 0;
  }

  withdraw(): void {
    this.#isWithdrawn = true;
    this.#session.withdraw();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #received(byteCount: number, into: Buffer): boolean {
    this.#session.received(into.subarray(0, byteCount));
    this.#tell();
    return this.#isReading;
  }

  #read(wanted: boolean): void {
    this.#isReading = wanted;
    if (wanted) this.#socket.resume();
    else this.#socket.pause();
  }

  #send(slices: readonly Buffer[]): void {
    const last = slices.length - 1;
    if (last > 0) this.#socket.cork();
    for (let index = 0; index < last; index++) this.#socket.write(slices[index] as Buffer);
    this.#socket.write(slices[last] as Buffer, () => this.#session.sent());
    if (last > 0) this.#socket.uncork();
  }

  #work(): void {
    this.#session.work();
    this.#tell();
  }

  #close(): void {
    this.#isClosed = true;
    this.#session.closed();
    this.#changed(this);
  }

  #tell(): void {
    if ((this.#isWithdrawn || this.#isClosed) && this.inFlight === 0) this.#changed(this);
  }
}
