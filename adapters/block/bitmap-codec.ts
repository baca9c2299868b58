import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { Generation, NodeName, Tag, VolumeName } from '../../domain/vocabulary.ts';

/*
 * The bitmap file of an intent log, `<volume>.<peer>.bitmap`. Numbers are little-endian; blocks are 4096 bytes.
 *
 *   block 0      header   0 magic "MKINTENT"   8 u32 CRC32 of bytes 12…4095   12 u32 version
 *                         16 u32 JSON length   20 JSON (identity, geometry, async limit)   rest zero
 *   block 1 + i  page i   0 u32 CRC32 of bytes 4…4095   4 u32 page index i   8 stamp (8 bytes)
 *                         16 4080 bytes of bits: region r is bit r & 7 of byte r >> 3, counted from 32640 × i
 *
 * The stamp is the hash of the header's identity and geometry: a page that was left by another log, another mirror
 * or another size of the volume is not believed. Neither is one whose checksum or index is wrong (torn, misdirected,
 * decayed): it counts as all ones, never as zeros (FAULTS 17). Without a believable header that holds for all pages.
 * So no order of arrival of the blocks on the disk can make a log look emptier than it is, and a log is made anew by
 * writing its pages first and its header last. There is no second copy: what a copy would save is a resync.
 */

export const blockByteSize = 4096;
export const bitBytesPerPage = blockByteSize - 16;
export const regionsPerPage = bitBytesPerPage * 8;
export const bitmapMagic = 'MKINTENT';
export const bitmapVersion = 1;

const jsonAt = 20;

/** Whose bits these are: what `node` holds about `peer` for one volume of one resource. */
export const BitmapIdentity = z.object({
  cluster: z.string(),
  tag: Tag,
  /** The id of the resource's `resource.created` event. */
  resource: z.string(),
  volume: VolumeName,
  node: NodeName,
  peer: NodeName,
});
export type BitmapIdentity = Readonly<z.infer<typeof BitmapIdentity>>;

export const BitmapHeader = z.object({
  identity: BitmapIdentity,
  /** Bytes per bit. */
  regionSize: z.int().positive(),
  regionCount: z.int().positive(),
  /** Generation of the data when the log was made. */
  createdGeneration: Generation.nullable(),
  /** Writes outstanding per asynchronous mirror (`bitmap -a`); no part of the identity. */
  asyncLimit: z.int().positive(),
});
export type BitmapHeader = Readonly<z.infer<typeof BitmapHeader>>;

export type HeaderDamage = 'blank' | 'magic' | 'version' | 'checksum' | 'content';

export const pageCountOf = (regionCount: number): number => Math.ceil(regionCount / regionsPerPage);
export const pageOffset = (page: number): number => (1 + page) * blockByteSize;
/** Size of the bitmap file of a log of so many regions. */
export const bitmapByteSize = (regionCount: number): number => pageOffset(pageCountOf(regionCount));

export function encodeHeader(header: BitmapHeader): Buffer {
  const block = Buffer.alloc(blockByteSize);
  const length = block.write(JSON.stringify(header), jsonAt, 'utf8');
  block.write(bitmapMagic, 0, 'latin1');
  block.writeUInt32LE(bitmapVersion, 12);
  block.writeUInt32LE(length, 16);
  block.writeUInt32LE(crc32(block.subarray(12)), 8);
  return block;
}

export function decodeHeader(block: Buffer): BitmapHeader | HeaderDamage {
  if (block.every((byte) => byte === 0)) return 'blank';
  if (block.toString('latin1', 0, 8) !== bitmapMagic) return 'magic';
  if (block.readUInt32LE(8) !== crc32(block.subarray(12))) return 'checksum';
  if (block.readUInt32LE(12) !== bitmapVersion) return 'version';
  try {
    const json: unknown = JSON.parse(block.toString('utf8', jsonAt, jsonAt + block.readUInt32LE(16)));
    return BitmapHeader.parse(json);
  } catch {
    return 'content';
  }
}

/** 8 bytes that tie the pages to their header. */
export function stampOf({ identity, regionSize, regionCount, createdGeneration }: BitmapHeader): Buffer {
  const { cluster, tag, resource, volume, node, peer } = identity;
  const parts = [cluster, tag, resource, volume, node, peer, regionSize, regionCount, createdGeneration];
  return createHash('sha256').update(JSON.stringify(parts)).digest().subarray(0, 8);
}

/** `bits` are the bytes of this page; the last page may have fewer than `bitBytesPerPage`. */
export function encodePage(page: number, stamp: Buffer, bits: Uint8Array): Buffer {
  const block = Buffer.alloc(blockByteSize);
  block.writeUInt32LE(page, 4);
  block.set(stamp, 8);
  block.set(bits, 16);
  block.writeUInt32LE(crc32(block.subarray(4)), 0);
  return block;
}

/** The bytes of bits in a page (a view, not a copy), or null when it is not to be believed. */
export function decodePage(block: Buffer, page: number, stamp: Buffer): Uint8Array | null {
  if (block.readUInt32LE(0) !== crc32(block.subarray(4))) return null;
  if (block.readUInt32LE(4) !== page) return null;
  if (!block.subarray(8, 16).equals(stamp)) return null;
  return block.subarray(16);
}
