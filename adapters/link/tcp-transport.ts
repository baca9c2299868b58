import { connect, createServer, type Socket } from 'node:net';
import { type InPlace, receiveInPlace } from '../nbd/received-in-place.ts';
import type { Connection, ConnectionEvents, Endpoint, Listener, Transport } from './transport.ts';

/** What may wait in the process for the kernel before `send` says so; more than a stream's own high-water mark. */
const sendBufferBytes = 1024 * 1024;
/** An attempt into the void ends after this long; whoever dials may give up earlier. */
const connectTimeoutMs = 10_000;

export interface TcpListener extends Listener {
  /** Once it is ready: with the port that the system chose for 0. */
  readonly endpoint: Endpoint;
}

/**
 * TCP. No Nagle (a 4 KiB write must not wait for an acknowledgement), no keep-alive (the link's own pings are
 * quicker, and see the process, not the kernel).
 */
export class TcpTransport implements Transport {
  listen(
    at: Endpoint,
    accept: (connection: Connection) => ConnectionEvents,
    ready: (error: Error | null) => void,
  ): TcpListener {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
      const reader = new InPlaceReader();
      reader.connection = new TcpConnection(receiveInPlace(accepted, reader));
      reader.connection.open(accept);
    });
    server.once('error', ready);
    server.listen(at.port, at.host, () => ready(null));
    return {
      get endpoint() {
        const address = server.address();
        return address !== null && typeof address === 'object' ? { host: at.host, port: address.port } : at;
      },
      close: () => server.close(),
    };
  }

  dial(
    to: Endpoint,
    opened: (connection: Connection) => ConnectionEvents,
    failed: (error: Error) => void,
  ): void {
    const reader = new InPlaceReader();
    let error = new Error(`no answer from ${to.host}:${to.port}`);
    const onread = { buffer: reader.space, callback: reader.received };
    const onError = (cause: Error) => {
      error = cause;
    };
    const onClose = () => failed(error);
    const socket = connect({ ...to, onread, noDelay: true }, () => {
      socket.off('error', onError).off('close', onClose);
      socket.setTimeout(0);
      reader.connection = new TcpConnection(socket);
      reader.connection.open(opened);
    });
    socket.once('error', onError).once('close', onClose);
    socket.setTimeout(connectTimeoutMs, () => socket.destroy());
  }
}

/** A socket asks where to read before its connection has an owner. */
class InPlaceReader implements InPlace {
  connection: TcpConnection | null = null;
  readonly #early = Buffer.alloc(1024);

  readonly space = (): Buffer => this.connection?.space() ?? this.#early;

  readonly received = (byteCount: number, into: Uint8Array): boolean => {
    this.connection?.received(into.subarray(0, byteCount));
    return true;
  };
}

class TcpConnection implements Connection {
  readonly #socket: Socket;
  #events: ConnectionEvents | null = null;
  #error: Error | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#events?.drained());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => this.#events?.closed(this.#error));
  }

  open(opened: (connection: Connection) => ConnectionEvents): void {
    this.#events = opened(this);
  }

  space(): Buffer | null {
    return this.#events?.space?.() ?? null;
  }

  received(bytes: Uint8Array): void {
    if (!this.#socket.destroyed) this.#events?.received(bytes);
  }

  send(chunks: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (socket.destroyed) return true;
    const isOne = chunks.length === 1;
    if (!isOne) socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    if (!isOne) socket.uncork();
    return socket.writableLength < sendBufferBytes;
  }

  pauseReceiving(): void {
    this.#socket.pause();
  }

  resumeReceiving(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
