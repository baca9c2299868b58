import { Buffer } from 'node:buffer';
import type { Extent } from './export.ts';
import {
  allocationContext,
  chunkFlagDone,
  chunkType,
  extentState,
  handshakeFlag,
  headerSize,
  infoType,
  limit,
  magic,
  type OptionReply,
  type ReplyError,
} from './protocol.ts';

/** One request, decoded in place. One object per connection is filled again and again. */
export interface RequestHeader {
  flags: number;
  command: number;
  /** The client's cookie is echoed, never looked at: two halves cost no BigInt. */
  cookieHigh: number;
  cookieLow: number;
  /** Exact up to 2^53; anything above is beyond the end of every export all the same. */
  offset: number;
  byteCount: number;
}

/** False: not a request, the stream cannot be trusted any more. */
export function decodeRequest(bytes: Buffer, at: number, into: RequestHeader): boolean {
  if (bytes.readUInt32BE(at) !== magic.request) return false;
  into.flags = bytes.readUInt16BE(at + 4);
  into.command = bytes.readUInt16BE(at + 6);
  into.cookieHigh = bytes.readUInt32BE(at + 8);
  into.cookieLow = bytes.readUInt32BE(at + 12);
  into.offset = bytes.readUInt32BE(at + 16) * 0x1_0000_0000 + bytes.readUInt32BE(at + 20);
  into.byteCount = bytes.readUInt32BE(at + 24);
  return true;
}

/** Undefined: not an option header. */
export function decodeOptionHeader(
  bytes: Buffer,
  at: number,
): { readonly option: number; readonly byteCount: number } | undefined {
  if (bytes.readUInt32BE(at) !== magic.option[0] || bytes.readUInt32BE(at + 4) !== magic.option[1]) return;
  return { option: bytes.readUInt32BE(at + 8), byteCount: bytes.readUInt32BE(at + 12) };
}

/** Data of INFO and GO; undefined where lengths contradict each other. */
export function decodeInfoRequest(
  data: Buffer,
): { readonly name: string; readonly infoTypes: readonly number[] } | undefined {
  const name = decodeString(data, 0);
  if (!name || data.length < name.end + 2) return;
  const count = data.readUInt16BE(name.end);
  if (data.length !== name.end + 2 + 2 * count) return;
  const infoTypes = Array.from({ length: count }, (_, index) => data.readUInt16BE(name.end + 2 + 2 * index));
  return { name: name.text, infoTypes };
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function decodeMetaContextRequest(
  data: Buffer,
): { readonly name: string; readonly queries: readonly string[] } | undefined {
  const name = decodeString(data, 0);
  if (!name || data.length < name.end + 4) return;
  const queries: string[] = [];
  let at = name.end + 4;
  for (let left = data.readUInt32BE(name.end); left > 0; left--) {
    const query = decodeString(data, at);
    if (!query) return;
    queries.push(query.text);
    at = query.end;
  }
  return at === data.length ? { name: name.text, queries } : undefined;
}

/** A counted string, no longer than the specification allows and wholly inside the data. */
function decodeString(data: Buffer, at: number): { readonly text: string; readonly end: number } | undefined {
  if (data.length < at + 4) return;
  const end = at + 4 + data.readUInt32BE(at);
  if (end > data.length || end - at - 4 > limit.name) return;
  return { text: data.toString('utf8', at + 4, end), end };
}

export function encodeGreeting(): Buffer {
  const bytes = Buffer.alloc(18);
  writePair(bytes, 0, magic.greeting);
  writePair(bytes, 8, magic.option);
  bytes.writeUInt16BE(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes, 16);
  return bytes;
}

export function encodeOptionReply(option: number, type: OptionReply, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(headerSize.optionReply + data.length);
  writePair(bytes, 0, magic.optionReply);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(type, 12);
  bytes.writeUInt32BE(data.length, 16);
  bytes.set(data, headerSize.optionReply);
  return bytes;
}

/** Data of REP_SERVER. */
export function encodeServer(name: string): Buffer {
  const text = Buffer.from(name);
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeUInt32BE(text.length, 0);
  bytes.set(text, 4);
  return bytes;
}

/** Data of REP_META_CONTEXT. */
export function encodeMetaContext(id: number, name: string): Buffer {
  const bytes = Buffer.alloc(4 + name.length);
  bytes.writeUInt32BE(id, 0);
  bytes.write(name, 4, 'latin1');
  return bytes;
}

export function encodeInfoExport(byteSize: number, transmissionFlags: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(infoType.export, 0);
  bytes.set(encodeExport(byteSize, transmissionFlags, 0), 2);
  return bytes;
}

export function encodeInfoName(name: string): Buffer {
  const text = Buffer.from(name);
  const bytes = Buffer.alloc(2 + text.length);
  bytes.writeUInt16BE(infoType.name, 0);
  bytes.set(text, 2);
  return bytes;
}

export function encodeInfoBlockSize(): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(infoType.blockSize, 0);
  bytes.writeUInt32BE(limit.minimumBlock, 2);
  bytes.writeUInt32BE(limit.preferredBlock, 6);
  bytes.writeUInt32BE(limit.payload, 10);
  return bytes;
}

/** Size and flags, as EXPORT_NAME is answered; old clients expect 124 bytes of padding behind them. */
export function encodeExport(byteSize: number, transmissionFlags: number, padding: 0 | 124): Buffer {
  const bytes = Buffer.alloc(10 + padding);
  writeOffset(bytes, 0, byteSize);
  bytes.writeUInt16BE(transmissionFlags, 8);
  return bytes;
}

/** Whose reply it is. */
export interface Cookie {
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

export function encodeSimpleReply(into: Buffer, at: number, error: ReplyError, cookie: Cookie): void {
  into.writeUInt32BE(magic.simpleReply, at);
  into.writeUInt32BE(error, at + 4);
  into.writeUInt32BE(cookie.cookieHigh, at + 8);
  into.writeUInt32BE(cookie.cookieLow, at + 12);
}

/** Always the last chunk of its reply: this server sends one per request. */
function encodeChunkHeader(into: Buffer, at: number, type: number, cookie: Cookie, byteCount: number): void {
  into.writeUInt32BE(magic.replyChunk, at);
  into.writeUInt16BE(chunkFlagDone, at + 4);
  into.writeUInt16BE(type, at + 6);
  into.writeUInt32BE(cookie.cookieHigh, at + 8);
  into.writeUInt32BE(cookie.cookieLow, at + 12);
  into.writeUInt32BE(byteCount, at + 16);
}

export const noneChunkSize = headerSize.chunk;
export function encodeNoneChunk(into: Buffer, at: number, cookie: Cookie): void {
  encodeChunkHeader(into, at, chunkType.none, cookie, 0);
}

/** What precedes the data of a structured read reply. */
export const dataChunkHeaderSize = headerSize.chunk + 8;
export function encodeDataChunkHeader(
  into: Buffer,
  at: number,
  cookie: Cookie,
  offset: number,
  byteCount: number,
): void {
  encodeChunkHeader(into, at, chunkType.offsetData, cookie, 8 + byteCount);
  writeOffset(into, at + headerSize.chunk, offset);
}

export function errorChunkSize(message: string): number {
  return headerSize.chunk + 6 + message.length;
}
/** `message` is ASCII. */
export function encodeErrorChunk(
  into: Buffer,
  at: number,
  cookie: Cookie,
  error: ReplyError,
  message: string,
): void {
  encodeChunkHeader(into, at, chunkType.error, cookie, 6 + message.length);
  into.writeUInt32BE(error, at + headerSize.chunk);
  into.writeUInt16BE(message.length, at + headerSize.chunk + 4);
  into.write(message, at + headerSize.chunk + 6, 'latin1');
}

export function blockStatusChunkSize(extentCount: number): number {
  return headerSize.chunk + 4 + 8 * extentCount;
}
export function encodeBlockStatusChunk(
  into: Buffer,
  at: number,
  cookie: Cookie,
  extents: readonly Extent[],
): void {
  encodeChunkHeader(into, at, chunkType.blockStatus, cookie, 4 + 8 * extents.length);
  into.writeUInt32BE(allocationContext.id, at + headerSize.chunk);
  let extentAt = at + headerSize.chunk + 4;
  for (const { byteCount, isHole, isZero } of extents) {
    into.writeUInt32BE(byteCount, extentAt);
    into.writeUInt32BE((isHole ? extentState.hole : 0) | (isZero ? extentState.zero : 0), extentAt + 4);
    extentAt += 8;
  }
}

function writePair(into: Buffer, at: number, [high, low]: readonly [number, number]): void {
  into.writeUInt32BE(high, at);
  into.writeUInt32BE(low, at + 4);
}

function writeOffset(into: Buffer, at: number, value: number): void {
  into.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  into.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}
