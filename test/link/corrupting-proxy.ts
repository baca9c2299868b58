import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Endpoint } from '../../adapters/link/transport.ts';

export type Direction = 'to-target' | 'to-dialer';

/**
 * A TCP proxy on loopback that does to a stream what networks do: flips bits, swallows, cuts. Everything is ordered
 * by the test; the proxy itself has no dice and no timers.
 */
export class CorruptingProxy {
  readonly endpoint: Endpoint;
  /** How many connections it has carried, and bits it has flipped. */
  connections = 0;
  flips = 0;
  /** Bytes that have come in, whatever became of them. */
  readonly bytes: Record<Direction, number> = { 'to-target': 0, 'to-dialer': 0 };
  readonly #server: Server;
  readonly #pairs = new Set<{ readonly dialer: Socket; readonly target: Socket }>();
  readonly #flipAfter: Record<Direction, { bytes: number; bit: number } | null> = {
    'to-target': null,
    'to-dialer': null,
  };
  #swallows = false;

  private constructor(server: Server, target: Endpoint) {
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    this.endpoint = { host: '127.0.0.1', port: address.port };
    server.on('connection', (dialer) => this.#carry(dialer, target));
  }

  static start(target: Endpoint): Promise<CorruptingProxy> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true, allowHalfOpen: false });
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(new CorruptingProxy(server, target)));
    });
  }

  /** Flips one bit (0–7) of the byte that comes after so many more in that direction. Once. */
  flip(direction: Direction, afterBytes = 0, bit = 0): void {
    this.#flipAfter[direction] = { bytes: afterBytes, bit };
  }

  /** From now on nothing gets through and nobody is told: both ends stay open, as when a cable is out. */
  swallow(): void {
    this.#swallows = true;
  }

  /** New bytes get through again; what was swallowed is gone, so connections that lost some are broken for good. */
  passOn(): void {
    this.#swallows = false;
  }

  /** Ends every connection. */
  cut(): void {
    for (const { dialer, target } of this.#pairs) {
      dialer.destroy();
      target.destroy();
    }
  }

  close(): Promise<void> {
    this.cut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #carry(dialer: Socket, to: Endpoint): void {
    this.connections++;
    const target = connect({ ...to, noDelay: true });
    const pair = { dialer, target };
    this.#pairs.add(pair);
    this.#pipe(dialer, target, 'to-target');
    this.#pipe(target, dialer, 'to-dialer');
    for (const [socket, other] of [
      [dialer, target],
      [target, dialer],
    ] as const) {
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        if (!this.#swallows) other.destroy();
        this.#pairs.delete(pair);
      });
    }
  }

  #pipe(from: Socket, to: Socket, direction: Direction): void {
    from.on('data', (bytes) => {
      this.bytes[direction] += bytes.length;
      if (this.#swallows) return;
      this.#flipIn(bytes, direction);
      if (!to.write(bytes)) from.pause();
    });
    to.on('drain', () => from.resume());
  }

  #flipIn(bytes: Buffer, direction: Direction): void {
    const wanted = this.#flipAfter[direction];
    if (wanted === null) return;
    if (wanted.bytes >= bytes.length) {
      wanted.bytes -= bytes.length;
      return;
    }
    bytes.writeUInt8(bytes.readUInt8(wanted.bytes) ^ (1 << wanted.bit), wanted.bytes);
    this.#flipAfter[direction] = null;
    this.flips++;
  }
}
