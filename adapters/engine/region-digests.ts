import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { regionSize } from '../../domain/vocabulary.ts';

/** Of SHA-256: two regions that differ and agree in this are not to be expected, not even made on purpose. */
export const digestBytes = 16;

/** One digest for each region of a range that begins at a region's first byte; the last one may be short. */
export function digestsOf(bytes: Uint8Array): Buffer {
  const digests = Buffer.alloc(Math.ceil(bytes.length / regionSize) * digestBytes);
  for (let at = 0, into = 0; at < bytes.length; at += regionSize, into += digestBytes) {
    const region = bytes.subarray(at, at + regionSize);
    createHash('sha256').update(region).digest().copy(digests, into, 0, digestBytes);
  }
  return digests;
}

/** Bits, low one first, of the digests in which the two differ. */
export function differingBits(mine: Uint8Array, theirs: Uint8Array): Uint8Array {
  const count = Math.ceil(mine.length / digestBytes);
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (let index = 0; index < count; index += 1) {
    const at = index * digestBytes;
    const isSame =
      Buffer.compare(mine.subarray(at, at + digestBytes), theirs.subarray(at, at + digestBytes)) === 0;
    if (!isSame) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
  }
  return bits;
}

export const hasBit = (bits: Uint8Array, index: number): boolean =>
  ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
