import { sectorSize } from './disk.ts';

/**
 * What the workload writes into each sector, so that content names its write: a 32-byte pattern, sixteen times.
 *
 *   0  8  "MKsimul8"
 *   8  4  number of the write, from 1, unique in the world
 *  12  4  index of the sector in the resource
 *  16  8  both once more, inverted
 *  24  8  filler that depends on both
 *
 * A sector is one whole pattern, or zeros (never written, zeroed, trimmed). Anything else was damaged.
 */
const patternBytes = 32;
const magic = Buffer.from('MKsimul8');

export function stamp(into: Buffer, offset: number, writeNumber: number, sector: number): void {
  magic.copy(into, offset);
  into.writeUInt32LE(writeNumber, offset + 8);
  into.writeUInt32LE(sector, offset + 12);
  into.writeUInt32LE(~writeNumber >>> 0, offset + 16);
  into.writeUInt32LE(~sector >>> 0, offset + 20);
  into.writeUInt32LE(Math.imul(writeNumber, 0x9e3779b1) >>> 0, offset + 24);
  into.writeUInt32LE(Math.imul(sector ^ writeNumber, 0x85ebca6b) >>> 0, offset + 28);
  for (let done = patternBytes; done < sectorSize; done *= 2) {
    into.copyWithin(offset + done, offset, offset + done);
  }
}

const zeros = Buffer.alloc(sectorSize);
const expected = Buffer.alloc(sectorSize);

/** The number of the write whose bytes these are, 0 for zeros, −1 for anything that no write of that sector left. */
export function writeNumberOf(bytes: Buffer, offset: number, sector: number): number {
  if (bytes.compare(zeros, 0, sectorSize, offset, offset + sectorSize) === 0) return 0;
  const writeNumber = bytes.readUInt32LE(offset + 8);
  stamp(expected, 0, writeNumber, sector);
  const isWhole = bytes.compare(expected, 0, sectorSize, offset, offset + sectorSize) === 0;
  return isWhole && writeNumber > 0 ? writeNumber : -1;
}
