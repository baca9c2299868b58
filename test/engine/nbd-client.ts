import { connect, type Socket } from 'node:net';
import { clientFlags, go, request } from '../nbd/client-messages.ts';

const command = { read: 0, write: 1, flush: 3, trim: 4, zero: 6 } as const;
const fuaFlag = 1;

type Answered = (error: number | null, data: Buffer) => void;

/** A pipelining NBD client on a Unix socket: no more of the protocol than a workload needs. */
export class NbdClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<bigint, { readonly length: number; readonly answered: Answered }>();
  #cookie = 0n;
  #buffer: Buffer = Buffer.alloc(0);
  #isReady: (() => void) | null;

  private constructor(socket: Socket, ready: () => void) {
    this.#socket = socket;
    this.#isReady = ready;
    socket.on('data', (bytes) => this.#received(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#closed());
  }

  static connect(path: string, name: string): Promise<NbdClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('the server has closed the connection')));
      const client: NbdClient = new NbdClient(socket, () => resolve(client));
      socket.write(Buffer.concat([clientFlags(), go(name)]));
    });
  }

  /** `answered` gets the NBD error, or null when the connection has ended before an answer. */
  write(offset: number, payload: Buffer, fua: boolean, answered: (error: number | null) => void): void {
    this.#ask(command.write, { offset, payload, flags: fua ? fuaFlag : 0 }, 0, answered);
  }

  flush(answered: (error: number | null) => void): void {
    this.#ask(command.flush, {}, 0, answered);
  }

  read(offset: number, length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#ask(command.read, { offset, length }, length, (error, data) => {
        if (error === 0) resolve(data);
        else reject(new Error(`read: ${error}`));
      });
    });
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(code: number, asked: Parameters<typeof request>[1], length: number, answered: Answered): void {
    if (this.#socket.destroyed) {
      answered(null, Buffer.alloc(0));
      return;
    }
    this.#cookie += 1n;
    this.#waiting.set(this.#cookie, { length, answered });
    this.#socket.write(request(code, { ...asked, cookie: this.#cookie }));
  }

  #received(bytes: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    if (this.#isReady !== null) this.#negotiated();
    while (this.#isReady === null && this.#buffer.length >= 16) {
      const error = this.#buffer.readUInt32BE(4);
      const cookie = this.#buffer.readBigUInt64BE(8);
      const waiting = this.#waiting.get(cookie);
      const length = error === 0 ? (waiting?.length ?? 0) : 0;
      if (this.#buffer.length < 16 + length) return;
      const data = Buffer.from(this.#buffer.subarray(16, 16 + length));
      this.#buffer = this.#buffer.subarray(16 + length);
      this.#waiting.delete(cookie);
      waiting?.answered(error, data);
    }
  }

  /** 18 bytes of greeting, then replies to GO until the acknowledgement. */
  #negotiated(): void {
    let at = 18;
    while (this.#buffer.length >= at + 20) {
      const type = this.#buffer.readUInt32BE(at + 12);
      const end = at + 20 + this.#buffer.readUInt32BE(at + 16);
      if (this.#buffer.length < end) return;
      at = end;
      if (type >= 0x80000000) {
        this.#socket.destroy();
        return;
      }
      if (type !== 1) continue;
      this.#buffer = this.#buffer.subarray(at);
      const ready = this.#isReady;
      this.#isReady = null;
      this.#socket.removeAllListeners('error').on('error', () => this.#socket.destroy());
      ready?.();
      return;
    }
  }

  #closed(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { answered } of waiting) answered(null, Buffer.alloc(0));
  }
}
