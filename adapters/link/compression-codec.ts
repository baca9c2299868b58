import { Buffer } from 'node:buffer';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { bulkPayloadBytesMax, type IncomingMessage, type OutgoingMessage } from './link.ts';
import { messageType, writeFlag } from './protocol.ts';

/*
 * Compression of a pair of nodes (REQUIREMENTS 2.11): the payload of a `write`, where it gets smaller by it. Such a
 * message has the flag `deflated`; its payload is the length of the bytes themselves (32 bits, big endian), then raw
 * deflate (RFC 1951). The link's checksum covers what is sent; the receiver inflates to that length and no further, so
 * that neither damage nor malice makes it hold more than a message may have.
 *
 * It runs in the event loop, where nothing is slower than handing a few KiB to another thread; so what is large is
 * compressed at the quickest level.
 */

const lengthBytes = 4;
/** Not worth the header and the work. */
const deflatedBytesMin = 256;
/** Above it level 1 is used, which takes some 10 ms per MiB. */
const leisurelyBytesMax = 256 * 1024;

/** Compresses writes at the level of their pair; targets with one level share the work. */
export class Deflater {
  #last: { readonly epoch: number; readonly number: number; readonly level: number } | null = null;
  #lastPayload: Buffer | null = null;

  /** A reign begins, perhaps with the epoch of the one before: its numbers stand for other writes. */
  forget(): void {
    this.#last = null;
  }

  /** `level` 0: off. */
  deflated(message: OutgoingMessage, level: number): OutgoingMessage {
    const { payload, type, epoch, number } = message;
    if (level === 0 || payload === null || type !== messageType.write || payload.length < deflatedBytesMin)
      return message;
    // A number stands for one write of one reign.
    const last = this.#last;
    if (last === null || last.number !== number || last.epoch !== epoch || last.level !== level) {
      this.#last = { epoch, number, level };
      this.#lastPayload = deflate(payload, level);
    }
    const smaller = this.#lastPayload;
    if (smaller === null) return message;
    const { payloadChecksum: _, ...rest } = message;
    return { ...rest, flags: message.flags | writeFlag.deflated, payload: smaller };
  }
}

/** With the length in front; null where it does not get smaller. */
function deflate(payload: Uint8Array, level: number): Buffer | null {
  const deflated = deflateRawSync(payload, { level: payload.length > leisurelyBytesMax ? 1 : level });
  if (lengthBytes + deflated.length >= payload.length) return null;
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32BE(payload.length);
  return Buffer.concat([length, deflated]);
}

/** The message as it was before it was compressed; null when it is not what it says. */
export function inflated(message: IncomingMessage): IncomingMessage | null {
  const { type, flags, payload } = message;
  if (type !== messageType.write || (flags & writeFlag.deflated) === 0) return message;
  const bytes = inflate(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength));
  if (bytes === null) return null;
  const { volume, epoch, number, offset, byteCount, payloadChecksum } = message;
  return {
    type,
    flags: flags & ~writeFlag.deflated,
    volume,
    epoch,
    number,
    offset,
    byteCount,
    payload: bytes,
    payloadChecksum,
    release: () => message.release(),
  };
}

function inflate(payload: Buffer): Buffer | null {
  if (payload.length <= lengthBytes) return null;
  const byteCount = payload.readUInt32BE(0);
  if (byteCount === 0 || byteCount > bulkPayloadBytesMax) return null;
  try {
    const bytes = inflateRawSync(payload.subarray(lengthBytes), { maxOutputLength: byteCount });
    return bytes.length === byteCount ? bytes : null;
  } catch {
    return null;
  }
}
