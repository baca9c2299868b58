import { connect, type Socket } from 'node:net';

/**
 * A client of one NBD export over a Unix socket: as little of the protocol as a writer and a reader need (fixed
 * newstyle, NBD_OPT_GO, simple replies), so that the lab asks for nothing but Node. Several requests may be out.
 */
export interface NbdClient {
  readonly byteSize: number;
  /** Resolve when the server has answered; reject where it answered with an error or is gone. */
  read(offset: number, byteCount: number): Promise<Buffer>;
  write(offset: number, data: Buffer): Promise<void>;
  flush(): Promise<void>;
  close(): void;
}

const optionMagic = 0x49484156454f5054n; // IHAVEOPT
const optionGo = 7;
const optionReplyMagic = 0x3e889045565a9n;
const replyAck = 1;
const replyInfo = 3;
const infoExport = 0;
const requestMagic = 0x25609513;
const simpleReplyMagic = 0x67446698;
const commands = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;

/** @param uri `nbd+unix:///EXPORT?socket=PATH`, as `status` shows it */
export async function connectNbd(uri: string, timeoutMs = 5000): Promise<NbdClient> {
  const url = new URL(uri);
  const path = url.searchParams.get('socket');
  if (url.protocol !== 'nbd+unix:' || path === null) throw new Error(`${uri} is no nbd+unix URI`);
  const client = new UnixNbdClient(connect(path));
  const timer = setTimeout(() => client.close(), timeoutMs);
  try {
    await client.negotiate(decodeURIComponent(url.pathname.slice(1)));
    return client;
  } catch (error) {
    client.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

interface Waiting {
  readonly byteCount: number;
  resolve(data: Buffer): void;
  reject(error: Error): void;
}

class UnixNbdClient implements NbdClient {
  byteSize = 0;
  readonly #socket: Socket;
  readonly #waiting = new Map<bigint, Waiting>();
  #next = 1n;
  #received: Buffer = Buffer.alloc(0);
  #wanted: { byteCount: number; take: (bytes: Buffer) => void; fail: (error: Error) => void } | null = null;
  #gone: Error | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
      this.#feed();
    });
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the device is gone')));
  }

  async negotiate(name: string): Promise<void> {
    const greeting = await this.#take(18);
    if (greeting.readBigUInt64BE(8) !== optionMagic) throw new Error('this is no fixed newstyle NBD server');
    const hello = Buffer.alloc(4);
    hello.writeUInt32BE(3); // fixed newstyle, no zeroes
    const exportName = Buffer.from(name);
    const head = Buffer.alloc(20);
    head.writeBigUInt64BE(optionMagic, 0);
    head.writeUInt32BE(optionGo, 8);
    head.writeUInt32BE(exportName.length + 6, 12);
    head.writeUInt32BE(exportName.length, 16);
    this.#socket.write(Buffer.concat([hello, head, exportName, Buffer.alloc(2)]));
    while (!(await this.#optionReply()));
    void this.#receive();
  }

  /** True with the last one. */
  async #optionReply(): Promise<boolean> {
    const head = await this.#take(20);
    if (head.readBigUInt64BE(0) !== optionReplyMagic) throw new Error('the NBD server talks nonsense');
    const type = head.readUInt32BE(12);
    const data = await this.#take(head.readUInt32BE(16));
    if (type >= 0x80000000) throw new Error(`the export is refused: ${data.toString() || type}`);
    if (type === replyInfo && data.readUInt16BE(0) === infoExport)
      this.byteSize = Number(data.readBigUInt64BE(2));
    return type === replyAck;
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const head = await this.#take(16);
        if (head.readUInt32BE(0) !== simpleReplyMagic) throw new Error('the NBD server talks nonsense');
        const cookie = head.readBigUInt64BE(8);
        const waiting = this.#waiting.get(cookie);
        const error = head.readUInt32BE(4);
        if (waiting === undefined) throw new Error('the NBD server answers what was not asked');
        const data = error === 0 ? await this.#take(waiting.byteCount) : null;
        this.#waiting.delete(cookie);
        if (data === null) waiting.reject(new Error(`the device answered with error ${error}`));
        else waiting.resolve(data);
      }
    } catch (error) {
      this.#socket.destroy();
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  read(offset: number, byteCount: number): Promise<Buffer> {
    return this.#request(commands.read, offset, byteCount, byteCount);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    await this.#request(commands.write, offset, data.length, 0, data);
  }

  async flush(): Promise<void> {
    await this.#request(commands.flush, 0, 0, 0);
  }

  #request(
    command: number,
    offset: number,
    length: number,
    byteCount: number,
    data?: Buffer,
  ): Promise<Buffer> {
    if (this.#gone !== null) return Promise.reject(this.#gone);
    const cookie = this.#next++;
    const head = Buffer.alloc(28);
    head.writeUInt32BE(requestMagic, 0);
    head.writeUInt16BE(command, 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    this.#socket.write(head);
    if (data !== undefined) this.#socket.write(data);
    return new Promise((resolve, reject) => this.#waiting.set(cookie, { byteCount, resolve, reject }));
  }

  #take(byteCount: number): Promise<Buffer> {
    return new Promise((take, fail) => {
      if (this.#gone !== null) return fail(this.#gone);
      this.#wanted = { byteCount, take, fail };
      this.#feed();
    });
  }

  #feed(): void {
    const wanted = this.#wanted;
    if (wanted === null || this.#received.length < wanted.byteCount) return;
    this.#wanted = null;
    const bytes = this.#received.subarray(0, wanted.byteCount);
    this.#received = this.#received.subarray(wanted.byteCount);
    wanted.take(bytes);
  }

  #end(error: Error): void {
    this.#gone ??= error;
    this.#wanted?.fail(this.#gone);
    this.#wanted = null;
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
  }

  close(): void {
    this.#socket.destroy();
  }
}
