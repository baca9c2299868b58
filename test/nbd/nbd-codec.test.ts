import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockStatusChunkSize,
  decodeInfoRequest,
  decodeMetaContextRequest,
  decodeOptionHeader,
  decodeRequest,
  encodeBlockStatusChunk,
  encodeDataChunkHeader,
  encodeErrorChunk,
  encodeExport,
  encodeGreeting,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeOptionReply,
  encodeSimpleReply,
  errorChunkSize,
} from '../../adapters/nbd/nbd-codec.ts';
import { counted, go, option, request, setMetaContext, u16, u32 } from './client-messages.ts';

const emptyRequest = { flags: 0, command: 0, cookieHigh: 0, cookieLow: 0, offset: 0, byteCount: 0 };
const cookie = { cookieHigh: 0x01020304, cookieLow: 0xfffefdfc };

describe('NBD codec', () => {
  it('greets as fixed newstyle without zeroes', () => {
    expect(encodeGreeting().toString('hex')).toBe('4e42444d41474943' + '49484156454f5054' + '0003');
  });

  it('decodes a request byte for byte', () => {
    const bytes = Buffer.from(
      '25609513' + '0001' + '0006' + '0123456789abcdef' + '0000000200000400' + '00010000',
      'hex',
    );
    const into = { ...emptyRequest };
    expect(decodeRequest(bytes, 0, into)).toBe(true);
    expect(into).toEqual({
      flags: 1,
      command: 6,
      cookieHigh: 0x01234567,
      cookieLow: 0x89abcdef,
      offset: 0x2_0000_0400,
      byteCount: 65_536,
    });
  });

  it('decodes every request that a client can send, wherever it lies in the buffer', () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.nat(0xffff),
        fc.bigInt(0n, 0xffff_ffff_ffff_ffffn),
        fc.nat(Number.MAX_SAFE_INTEGER),
        fc.nat(0xffff_ffff),
        fc.nat(50),
        (flags, command, id, offset, byteCount, at) => {
          const header = request(command, { flags, cookie: id, offset, length: byteCount });
          const into = { ...emptyRequest };
          expect(decodeRequest(Buffer.concat([Buffer.alloc(at, 7), header]), at, into)).toBe(true);
          expect(into).toMatchObject({ flags, command, offset, byteCount });
          const reply = Buffer.alloc(16);
          encodeSimpleReply(reply, 0, 0, into);
          expect(reply.readBigUInt64BE(8)).toBe(id);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('refuses a request or an option without its magic', () => {
    const damaged = request(0);
    damaged[3] = 0x14;
    expect(decodeRequest(damaged, 0, { ...emptyRequest })).toBe(false);
    expect(decodeOptionHeader(Buffer.from('IHAVEOPS00000000'), 0)).toBeUndefined();
    expect(decodeOptionHeader(option(7, Buffer.alloc(9)), 0)).toEqual({ option: 7, byteCount: 9 });
  });

  it('decodes GO and SET_META_CONTEXT, and refuses every other length of the same data', () => {
    const goData = go('sda@1', 3, 1).subarray(16);
    const contextData = setMetaContext('sda', 'base:allocation', 'x-none:').subarray(16);
    expect(decodeInfoRequest(goData)).toEqual({ name: 'sda@1', infoTypes: [3, 1] });
    expect(decodeMetaContextRequest(contextData)).toEqual({
      name: 'sda',
      queries: ['base:allocation', 'x-none:'],
    });
    for (let length = 0; length < goData.length; length++) {
      expect(decodeInfoRequest(goData.subarray(0, length))).toBeUndefined();
    }
    for (let length = 0; length < contextData.length; length++) {
      expect(decodeMetaContextRequest(contextData.subarray(0, length))).toBeUndefined();
    }
    expect(decodeInfoRequest(Buffer.concat([goData, u16(0)]))).toBeUndefined();
    expect(decodeMetaContextRequest(Buffer.concat([contextData, u16(0)]))).toBeUndefined();
  });

  it('refuses counts and lengths that point outside, however large', () => {
    expect(decodeInfoRequest(Buffer.concat([u32(0xffff_ffff), Buffer.alloc(10)]))).toBeUndefined();
    expect(decodeMetaContextRequest(Buffer.concat([counted(''), u32(0xffff_ffff)]))).toBeUndefined();
    expect(decodeInfoRequest(Buffer.concat([counted('n'.repeat(4097)), u16(0)]))).toBeUndefined();
    expect(decodeInfoRequest(Buffer.concat([counted('n'.repeat(4096)), u16(0)]))?.name).toHaveLength(4096);
  });

  it('never reads beyond what it was given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeInfoRequest(Buffer.from(bytes));
        decodeMetaContextRequest(Buffer.from(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it('encodes option replies and export information', () => {
    expect(encodeOptionReply(7, 0x8000_0006, Buffer.from('no')).toString('hex')).toBe(
      '0003e889045565a9' + '00000007' + '80000006' + '00000002' + '6e6f',
    );
    expect(encodeInfoExport(2 ** 33 + 512, 0x1ed).toString('hex')).toBe('0000' + '0000000200000200' + '01ed');
    expect(encodeInfoBlockSize().toString('hex')).toBe('0003' + '00000001' + '00001000' + '02000000');
    expect(encodeExport(4096, 1, 124)).toHaveLength(134);
    expect(encodeExport(4096, 1, 0).toString('hex')).toBe('0000000000001000' + '0001');
  });

  it('encodes replies and chunks', () => {
    const simple = Buffer.alloc(16);
    encodeSimpleReply(simple, 0, 28, cookie);
    expect(simple.toString('hex')).toBe('67446698' + '0000001c' + '01020304fffefdfc');

    const data = Buffer.alloc(28);
    encodeDataChunkHeader(data, 0, cookie, 2 ** 32, 512);
    expect(data.toString('hex')).toBe(
      '668e33ef' + '0001' + '0001' + '01020304fffefdfc' + '00000208' + '0000000100000000',
    );

    const error = Buffer.alloc(errorChunkSize('no'));
    encodeErrorChunk(error, 0, cookie, 22, 'no');
    expect(error.toString('hex')).toBe(
      '668e33ef' + '0001' + '8001' + '01020304fffefdfc' + '00000008' + '00000016' + '0002' + '6e6f',
    );

    const status = Buffer.alloc(blockStatusChunkSize(2));
    encodeBlockStatusChunk(status, 0, cookie, [
      { byteCount: 4096, isHole: true, isZero: true },
      { byteCount: 512, isHole: false, isZero: false },
    ]);
    expect(status.toString('hex')).toBe(
      '668e33ef' +
        '0001' +
        '0005' +
        '01020304fffefdfc' +
        '00000014' +
        '00000001' +
        '0000100000000003' +
        '0000020000000000',
    );
  });
});
