import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy on loopback that can be cut like a cable: nothing passes and nothing is refused, as when a switch dies.
 * When it is mended, what was cut is closed, and both sides connect anew.
 */
export class CableProxy {
  readonly #server: Server;
  readonly #ends = new Set<Socket>();
  #isCut = false;

  private constructor(targetPort: number) {
    this.#server = createServer((near) => this.#join(near, targetPort));
  }

  static async start(targetPort: number): Promise<CableProxy> {
    const proxy = new CableProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #join(near: Socket, targetPort: number): void {
    this.#keep(near);
    if (this.#isCut) {
      near.pause();
      return;
    }
    const far = connect(targetPort, '127.0.0.1');
    this.#keep(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.pipe(to);
      from.once('close', () => to.destroy());
    }
  }

  #keep(end: Socket): void {
    end.setNoDelay(true);
    this.#ends.add(end);
    end.on('error', () => end.destroy());
    end.once('close', () => this.#ends.delete(end));
  }

  cut(): void {
    this.#isCut = true;
    for (const end of this.#ends) {
      end.unpipe();
      end.pause();
    }
  }

  mend(): void {
    if (!this.#isCut) return;
    this.#isCut = false;
    for (const end of this.#ends) end.destroy();
  }

  close(): void {
    this.#server.close();
    for (const end of this.#ends) end.destroy();
  }
}
