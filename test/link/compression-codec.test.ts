import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deflater, inflated } from '../../adapters/link/compression-codec.ts';
import { bulkPayloadBytesMax, type IncomingMessage, type OutgoingMessage } from '../../adapters/link/link.ts';
import { messageType, writeFlag } from '../../adapters/link/protocol.ts';

const write = (payload: Uint8Array, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  type: messageType.write,
  flags: writeFlag.fua,
  volume: 3,
  epoch: 2,
  number: 7,
  offset: 4096,
  byteCount: 5,
  payload,
  ...more,
});

/** As the other side gets it. */
const arrived = (sent: OutgoingMessage): IncomingMessage => ({
  ...sent,
  payload: sent.payload ?? new Uint8Array(),
  payloadChecksum: 0,
  release: () => undefined,
});

const text = Buffer.alloc(8192, 'the same words again and again ');

function claiming(byteCount: number, deflated: Buffer): IncomingMessage {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(byteCount);
  const payload = Buffer.concat([length, deflated]);
  return arrived(write(payload, { flags: writeFlag.deflated }));
}

describe('compression of writes on a link', () => {
  it('gives back what was sent, at every level, whatever the bytes are', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 300 }))
        .map(([piece, times]) => Buffer.concat(Array.from({ length: times }, () => piece))),
    );
    fc.assert(
      fc.property(bytes, fc.integer({ min: 0, max: 9 }), (payload, level) => {
        const sent = new Deflater().deflated(write(payload), level);
        expect(sent.payload?.length ?? 0).toBeLessThanOrEqual(payload.length);
        const got = inflated(arrived(sent));
        expect(Buffer.from(got?.payload ?? []).equals(Buffer.from(payload))).toBe(true);
        expect({ ...got, payload: null, release: null }).toMatchObject({ ...write(payload), payload: null });
      }),
    );
  });

  it('says so in the message, and only where it gets smaller', () => {
    const small = new Deflater().deflated(write(text), 6);
    expect(small.flags).toBe(writeFlag.fua | writeFlag.deflated);
    expect(small.payload?.length).toBeLessThan(200);
    const noise = write(
      Buffer.from(Array.from({ length: 4096 }, (_, at) => Math.imul(at * at, 2654435761) >>> 24)),
    );
    for (const message of [noise, write(text.subarray(0, 100)), write(text, { type: messageType.clear })])
      expect(new Deflater().deflated(message, 9)).toBe(message);
    expect(new Deflater().deflated(write(text), 0).flags).toBe(writeFlag.fua);
  });

  it('targets with one level share the work; another write is never taken for the one before', () => {
    const deflater = new Deflater();
    const first = deflater.deflated(write(text), 6);
    expect(deflater.deflated(write(text), 6).payload).toBe(first.payload);
    const other = Buffer.alloc(8192, 'something else ');
    for (const change of [{ number: 8 }, { number: 8, epoch: 3 }]) {
      const sent = deflater.deflated(write(other, change), 6);
      expect(inflated(arrived(sent))?.payload).toEqual(other);
    }
    // The next reign of a source may have the epoch of this one, and counts from 1 again.
    deflater.deflated(write(text), 6);
    deflater.forget();
    expect(inflated(arrived(deflater.deflated(write(other), 6)))?.payload).toEqual(other);
  });

  it('refuses a bomb, and what is not as long as it says', () => {
    const bomb = deflateRawSync(Buffer.alloc(64 * bulkPayloadBytesMax));
    expect(inflated(claiming(64 * bulkPayloadBytesMax, bomb))).toBeNull();
    expect(inflated(claiming(4096, bomb))).toBeNull();
    expect(inflated(claiming(8193, deflateRawSync(text)))).toBeNull();
    expect(inflated(claiming(0, deflateRawSync(Buffer.alloc(0))))).toBeNull();
    expect(inflated(claiming(8192, deflateRawSync(text).subarray(0, -3)))).toBeNull();
    expect(inflated(claiming(8192, Buffer.alloc(0)))).toBeNull();
  });
});
