import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checksum,
  frameTypes,
  headerBytes,
  isBulk,
  payloadBytesMax,
  readHeader,
  writeHeader,
} from '../../adapters/link/frame-codec.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const wide = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER));
const header = fc
  .record({
    type: fc.integer({ min: 0, max: 255 }),
    flags: u16,
    volume: u16,
    payloadChecksum: u32,
    sequence: wide,
    fold: u32,
    grant: u32,
    number: wide,
    offset: wide,
    byteCount: u32,
    epoch: wide,
  })
  .chain((fields) =>
    fc
      .integer({ min: 0, max: payloadBytesMax(fields.type) })
      .map((payloadBytes) => ({ ...fields, payloadBytes })),
  );
type Header = typeof header extends fc.Arbitrary<infer T> ? T : never;

function encoded(fields: Header): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  const { payloadBytes, payloadChecksum, sequence, fold, grant } = fields;
  writeHeader(bytes, 0, fields, payloadBytes, payloadChecksum, sequence, fold, grant);
  return bytes;
}

/** A header that claims something else, with a checksum that fits. */
function forged(fields: Header, forge: (bytes: Buffer) => void): Buffer {
  const bytes = encoded(fields);
  forge(bytes);
  bytes.writeUInt32BE(checksum(bytes.subarray(0, 60)), 60);
  return bytes;
}

describe('the header of a frame', () => {
  it('reads back as it was written, wherever it lies', () => {
    fc.assert(
      fc.property(header, fc.nat(100), (fields, at) => {
        const place = Buffer.concat([Buffer.alloc(at, 0xff), encoded(fields), Buffer.alloc(3, 0xff)]);
        expect(readHeader(place, at)).toEqual(fields);
      }),
    );
  });

  it('is refused after the flip of any of its bits', () => {
    fc.assert(
      fc.property(header, (fields) => {
        for (let bit = 0; bit < headerBytes * 8; bit++) {
          const bytes = encoded(fields);
          bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
          expect(readHeader(bytes, 0)).toBe('bad-checksum');
        }
      }),
      { numRuns: 20 },
    );
  });

  it('is refused where the magic or the layout is another one', () => {
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: 2 }), (fields, at) => {
        const other = forged(fields, (bytes) => bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at));
        expect(readHeader(other, 0)).toBe('bad-frame');
      }),
    );
  });

  it('is refused where a length is larger than its type may have', () => {
    fc.assert(
      fc.property(header, fc.integer({ min: 1, max: 0xffff_ffff }), (fields, more) => {
        const tooLong = Math.min(0xffff_ffff, payloadBytesMax(fields.type) + more);
        expect(
          readHeader(
            forged(fields, (bytes) => bytes.writeUInt32BE(tooLong, 8)),
            0,
          ),
        ).toBe('bad-length');
      }),
    );
  });

  it.each([16, 32, 40, 52])('is refused where the integer at byte %i is not a safe one', (at) => {
    fc.assert(
      fc.property(header, fc.integer({ min: 2 ** 21, max: 0xffff_ffff }), (fields, high) => {
        expect(
          readHeader(
            forged(fields, (bytes) => bytes.writeUInt32BE(high, at)),
            0,
          ),
        ).toBe('bad-frame');
      }),
    );
  });

  it('leaves no payload to the frames of the link itself, beside the handshake', () => {
    const own = [frameTypes.ping, frameTypes.pong, frameTypes.window];
    expect(own.map(payloadBytesMax)).toEqual([0, 0, 0]);
    expect([15, 16, 127, 128].map(isBulk)).toEqual([false, true, true, false]);
  });
});
