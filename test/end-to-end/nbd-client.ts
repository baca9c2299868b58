import { connect, type Socket } from 'node:net';
import { go, request } from '../nbd/client-messages.ts';

const command = { read: 0, write: 1, flush: 3 } as const;

interface Waiting {
  readonly readLength: number;
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** A client of one export, with simple replies and any number of requests in flight. */
export class NbdClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<bigint, Waiting>();
  readonly byteSize: number;
  readonly closed: Promise<void>;
  #rest: Buffer;
  #nextCookie = 1n;
  #isClosed = false;

  private constructor(socket: Socket, byteSize: number, rest: Buffer) {
    this.#socket = socket;
    this.byteSize = byteSize;
    this.#rest = rest;
    socket.on('data', (bytes) => this.#received(bytes));
    socket.on('error', () => socket.destroy());
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        this.#failAll();
        resolve();
      }),
    );
  }

  /** @param uri as status shows it: `nbd+unix:///NAME?socket=PATH` */
  static connect(uri: string): Promise<NbdClient> {
    const { pathname, searchParams } = new URL(uri);
    const name = decodeURIComponent(pathname.replace(/^\/+/, ''));
    return new Promise((resolve, reject) => {
      const socket = connect(searchParams.get('socket') ?? '');
      let bytes = Buffer.alloc(0);
      const fail = (why: string) => {
        socket.destroy();
        reject(new Error(`${uri}: ${why}`));
      };
      socket.setTimeout(10_000, () => fail('no answer to the handshake'));
      socket.on('error', (error) => fail(error.message));
      socket.once('close', () => fail('closed in the handshake'));
      socket.once('connect', () => socket.write(Buffer.concat([Buffer.from([0, 0, 0, 3]), go(name)])));
      socket.on('data', (more) => {
        bytes = Buffer.concat([bytes, more]);
        const agreed = negotiated(bytes);
        if (agreed === undefined) return;
        if (typeof agreed === 'string') return fail(agreed);
        socket.setTimeout(0);
        socket.removeAllListeners();
        resolve(new NbdClient(socket, agreed.byteSize, agreed.rest));
      });
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the server has acknowledged it. */
  async write(offset: number, payload: Buffer): Promise<void> {
    await this.#request(command.write, { offset, payload }, 0);
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#request(command.read, { offset, length }, length);
  }

  async flush(): Promise<void> {
    await this.#request(command.flush, {}, 0);
  }

  close(): Promise<void> {
    this.#socket.destroy();
    return this.closed;
  }

  #request(
    number: number,
    asked: { offset?: number; length?: number; payload?: Buffer },
    readLength: number,
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new Error('the connection to the device is closed'));
      const cookie = this.#nextCookie++;
      this.#waiting.set(cookie, { readLength, resolve, reject });
      this.#socket.write(request(number, { ...asked, cookie }));
    });
  }

  #received(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 16) {
      const error = this.#rest.readUInt32BE(4);
      const cookie = this.#rest.readBigUInt64BE(8);
      const waiting = this.#waiting.get(cookie);
      if (this.#rest.readUInt32BE(0) !== 0x67446698 || !waiting) {
        this.#socket.destroy(new Error('not a reply'));
        return;
      }
      const end = 16 + (error === 0 ? waiting.readLength : 0);
      if (this.#rest.length < end) return;
      this.#waiting.delete(cookie);
      if (error === 0) waiting.resolve(Buffer.from(this.#rest.subarray(16, end)));
      else waiting.reject(new Error(`the device answered with error ${error}`));
      this.#rest = this.#rest.subarray(end);
    }
  }

  #failAll(): void {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.values()) reject(new Error('the device went away'));
    this.#waiting.clear();
  }
}

/** Greeting (18 bytes), then the replies to the one option; a sentence when it is refused. */
function negotiated(bytes: Buffer): { byteSize: number; rest: Buffer } | string | undefined {
  let byteSize = 0;
  for (let at = 18; bytes.length >= at + 20; ) {
    const type = bytes.readUInt32BE(at + 12);
    const end = at + 20 + bytes.readUInt32BE(at + 16);
    if (bytes.length < end) return undefined;
    const data = bytes.subarray(at + 20, end);
    if (type >= 0x8000_0000) return `refused: ${data.toString()}`;
    if (type === 3 && data.readUInt16BE(0) === 0) byteSize = Number(data.readBigUInt64BE(2));
    if (type === 1) return { byteSize, rest: bytes.subarray(end) };
    at = end;
  }
  return undefined;
}
