import { crc32 } from 'node:zlib';
import { bulkPayloadBytesMax, type LinkFault, type Message, urgentPayloadBytesMax } from './link.ts';

/*
 * One frame of a replication link: a header of 64 bytes, big-endian, and the payload.
 *
 *    0  u16  magic 0x4d4b ("MK")
 *    2  u8   layout of this header: 1
 *    3  u8   type: 1–15 the link's own, 16–127 bulk, 128–255 urgent
 *    4  u16  flags         } the message's own
 *    6  u16  volume        }
 *    8  u32  payload bytes
 *   12  u32  CRC-32 of the payload (0 for none)
 *   16  u64  sequence number: 0, 1, 2 … in each direction of a session, without a gap
 *   24  u32  fold of the session id, another one in each direction; 0 during the handshake
 *   28  u32  grant: low 32 bits of the bulk cost that the other side may have sent in all
 *   32  u64  number        }
 *   40  u64  offset        } the message's own
 *   48  u32  byte count    }
 *   52  u64  epoch         }
 *   60  u32  CRC-32 of bytes 0–59
 *
 * Two checksums, so that a length is believed before the payload it announces is here, and so that the payload's
 * can be computed once for several targets. CRC-32 finds damage, not malice: the handshake proves who is there,
 * the fold keeps sessions apart, and whoever can change packets on the path is TLS's business, which takes its
 * place behind the Transport port without a change of this layout.
 */
export const headerBytes = 64;
const magic = 0x4d4b;
const layout = 1;
const checkedBytes = 60;
const twoTo32 = 2 ** 32;

export const frameTypes = {
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refused: 5,
  ping: 6,
  pong: 7,
  window: 8,
} as const;
export const handshakePayloadBytesMax = 2048;

export const isBulk = (type: number): boolean => type >= 16 && type < 128;
export const isMessage = (type: number): boolean => type >= 16;

/** Checked before a byte of the payload is kept. */
export function payloadBytesMax(type: number): number {
  if (isBulk(type)) return bulkPayloadBytesMax;
  if (isMessage(type)) return urgentPayloadBytesMax;
  return type <= frameTypes.refused ? handshakePayloadBytesMax : 0;
}

/**
 * What a bulk message takes from the receiver's window: its payload and what an engine needs to remember it, so
 * that messages without payload are bounded too.
 */
export const bulkMessageCost = 512;

export interface FrameHeader extends Message {
  readonly payloadBytes: number;
  readonly payloadChecksum: number;
  readonly sequence: number;
  readonly fold: number;
  readonly grant: number;
}

export const checksum = (bytes: Uint8Array): number => crc32(bytes);

export function writeHeader(
  into: Buffer,
  at: number,
  message: Message,
  payloadBytes: number,
  payloadChecksum: number,
  sequence: number,
  fold: number,
  grant: number,
): void {
  into.writeUInt16BE(magic, at);
  into.writeUInt8(layout, at + 2);
  into.writeUInt8(message.type, at + 3);
  into.writeUInt16BE(message.flags, at + 4);
  into.writeUInt16BE(message.volume, at + 6);
  into.writeUInt32BE(payloadBytes, at + 8);
  into.writeUInt32BE(payloadChecksum, at + 12);
  writeSafeInteger(into, sequence, at + 16);
  into.writeUInt32BE(fold, at + 24);
  into.writeUInt32BE(grant % twoTo32, at + 28);
  writeSafeInteger(into, message.number, at + 32);
  writeSafeInteger(into, message.offset, at + 40);
  into.writeUInt32BE(message.byteCount, at + 48);
  writeSafeInteger(into, message.epoch, at + 52);
  into.writeUInt32BE(checksum(into.subarray(at, at + checkedBytes)), at + 60);
}

/** Nothing but the checksum is looked at before the checksum. */
export function readHeader(from: Buffer, at: number): FrameHeader | LinkFault {
  if (checksum(from.subarray(at, at + checkedBytes)) !== from.readUInt32BE(at + 60)) return 'bad-checksum';
  if (from.readUInt16BE(at) !== magic || from.readUInt8(at + 2) !== layout) return 'bad-frame';
  const header: FrameHeader = {
    type: from.readUInt8(at + 3),
    flags: from.readUInt16BE(at + 4),
    volume: from.readUInt16BE(at + 6),
    payloadBytes: from.readUInt32BE(at + 8),
    payloadChecksum: from.readUInt32BE(at + 12),
    sequence: readInteger(from, at + 16),
    fold: from.readUInt32BE(at + 24),
    grant: from.readUInt32BE(at + 28),
    number: readInteger(from, at + 32),
    offset: readInteger(from, at + 40),
    byteCount: from.readUInt32BE(at + 48),
    epoch: readInteger(from, at + 52),
  };
  const integersAreSafe =
    Number.isSafeInteger(header.sequence) &&
    Number.isSafeInteger(header.number) &&
    Number.isSafeInteger(header.offset) &&
    Number.isSafeInteger(header.epoch);
  if (!integersAreSafe) return 'bad-frame';
  return header.payloadBytes > payloadBytesMax(header.type) ? 'bad-length' : header;
}

function writeSafeInteger(into: Buffer, value: number, at: number): void {
  into.writeUInt32BE(Math.floor(value / twoTo32), at);
  into.writeUInt32BE(value % twoTo32, at + 4);
}

const readInteger = (from: Buffer, at: number): number =>
  from.readUInt32BE(at) * twoTo32 + from.readUInt32BE(at + 4);
