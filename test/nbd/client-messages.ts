import { Buffer } from 'node:buffer';

/**
 * The client's side of the protocol, written from the specification and not from the server's tables, so that a
 * wrong number there cannot be wrong here in the same way.
 */
export const clientFlags = (flags = 3) => u32(flags);

export const option = (number: number, data: Buffer = Buffer.alloc(0), claimed = data.length) =>
  Buffer.concat([Buffer.from('IHAVEOPT'), u32(number), u32(claimed), data]);

export const go = (name: string, ...infoTypes: number[]) => option(7, infoData(name, infoTypes));
export const info = (name: string, ...infoTypes: number[]) => option(6, infoData(name, infoTypes));
export const structuredReply = () => option(8);
export const setMetaContext = (name: string, ...queries: string[]) => option(10, contextData(name, queries));
export const listMetaContext = (name: string, ...queries: string[]) => option(9, contextData(name, queries));

const infoData = (name: string, infoTypes: number[]) =>
  Buffer.concat([counted(name), u16(infoTypes.length), ...infoTypes.map(u16)]);
const contextData = (name: string, queries: string[]) =>
  Buffer.concat([counted(name), u32(queries.length), ...queries.map(counted)]);

export interface Asked {
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: number | bigint;
  readonly length?: number;
  readonly payload?: Buffer;
}

export function request(
  command: number,
  { flags = 0, cookie = 0n, offset = 0, length, payload }: Asked = {},
) {
  const header = Buffer.alloc(28);
  header.writeUInt32BE(0x25609513, 0);
  header.writeUInt16BE(flags, 4);
  header.writeUInt16BE(command, 6);
  header.writeBigUInt64BE(cookie, 8);
  header.writeBigUInt64BE(BigInt(offset), 16);
  header.writeUInt32BE(length ?? payload?.length ?? 0, 24);
  return payload ? Buffer.concat([header, payload]) : header;
}

export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

/** Reads the option replies that follow the 18 bytes of greeting. */
export function optionReplies(bytes: Buffer): { readonly replies: OptionReply[]; readonly rest: Buffer } {
  const replies: OptionReply[] = [];
  let rest = bytes;
  while (rest.length >= 20 && rest.readBigUInt64BE(0) === 0x3e889045565a9n) {
    const length = rest.readUInt32BE(16);
    const data = rest.subarray(20, 20 + length);
    replies.push({ option: rest.readUInt32BE(8), type: rest.readUInt32BE(12), data });
    rest = rest.subarray(20 + length);
  }
  return { replies, rest };
}

export interface Reply {
  readonly cookie: bigint;
  readonly kind: 'simple' | number;
  readonly error: number;
  readonly data: Buffer;
}

/** Reads replies of the transmission phase; `readLengths` says which simple replies carry data. */
export function replies(bytes: Buffer, readLengths: ReadonlyMap<bigint, number> = new Map()): Reply[] {
  const found: Reply[] = [];
  let at = 0;
  while (at < bytes.length) {
    const magic = bytes.readUInt32BE(at);
    const cookie = bytes.readBigUInt64BE(at + 8);
    if (magic === 0x67446698) {
      const error = bytes.readUInt32BE(at + 4);
      const length = error === 0 ? (readLengths.get(cookie) ?? 0) : 0;
      found.push({ cookie, kind: 'simple', error, data: bytes.subarray(at + 16, at + 16 + length) });
      at += 16 + length;
    } else if (magic === 0x668e33ef) {
      const kind = bytes.readUInt16BE(at + 6);
      const data = bytes.subarray(at + 20, at + 20 + bytes.readUInt32BE(at + 16));
      found.push({ cookie, kind, error: kind >= 0x8000 ? data.readUInt32BE(0) : 0, data });
      at += 20 + data.length;
    } else throw new Error(`not a reply at byte ${at}: ${magic.toString(16)}`);
  }
  return found;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function counted(text: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
}
