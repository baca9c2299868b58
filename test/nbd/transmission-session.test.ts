import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Done } from '../../adapters/block/block-device.ts';
import {
  clientFlags,
  go,
  optionReplies,
  type Reply,
  replies,
  request,
  setMetaContext,
  structuredReply,
} from './client-messages.ts';
import { MemoryExport } from './memory-export.ts';
import { SessionClient } from './session-client.ts';

const size = 1024 * 1024;
const [read, write, disconnect, flush, trim, cache, writeZeroes, blockStatus] = [0, 1, 2, 3, 4, 5, 6, 7];
const [fua, noHole, df, reqOne, fastZero] = [1, 2, 4, 8, 16];
const [EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ESHUTDOWN] = [1, 5, 22, 28, 75, 108];

function connected(served: MemoryExport, isStructured: boolean): SessionClient {
  const at = new SessionClient([served]);
  at.send(clientFlags());
  if (isStructured) at.send(Buffer.concat([structuredReply(), setMetaContext('', 'base:allocation')]));
  at.send(go(''));
  optionReplies(at.take());
  expect(at.session.isTransmitting).toBe(true);
  return at;
}

function ask(at: SessionClient, message: Buffer, readLength = 0): Reply {
  at.send(message);
  const [reply, ...more] = replies(at.take(), new Map([[message.readBigUInt64BE(8), readLength]]));
  expect(more).toEqual([]);
  if (!reply) throw new Error('no reply');
  return reply;
}

/** An export whose answers wait until the test gives them. */
function held(served: MemoryExport): Done[] {
  const waiting: Done[] = [];
  served.answer = (done) => waiting.push(done);
  return waiting;
}

describe.each([
  ['simple replies', false],
  ['structured replies', true],
])('NBD transmission with %s', (_, isStructured) => {
  it('writes and reads back', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const payload = Buffer.from('sixteen bytes!!!');
    expect(ask(at, request(write, { cookie: 7n, offset: 100, payload }))).toMatchObject({
      cookie: 7n,
      error: 0,
    });
    const { data, kind } = ask(at, request(read, { cookie: 8n, offset: 96, length: 24 }), 24);
    expect(kind).toBe(isStructured ? 1 : 'simple');
    if (isStructured) expect(data.readBigUInt64BE(0)).toBe(96n);
    expect(data.subarray(-24).toString('latin1')).toBe('\0\0\0\0sixteen bytes!!!\0\0\0\0');
  });

  it('passes every command with its flags to the export', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const asked = [
      request(write, { payload: Buffer.alloc(512), flags: fua }),
      request(flush, { flags: fua }),
      request(trim, { offset: 4096, length: 4096 }),
      request(trim, { length: 512, flags: fua }),
      request(writeZeroes, { length: 1024 }),
      request(writeZeroes, { length: 1024, flags: fua | noHole }),
      request(cache, { offset: 1, length: 2 }),
    ];
    for (const one of asked) expect(ask(at, one)).toMatchObject({ kind: 'simple', error: 0 });
    expect(served.calls).toEqual([
      'write+fua 0 512',
      'flush',
      'trim 4096 4096',
      'trim+fua 0 512',
      'zero 0 1024',
      'zero+fua+allocated 0 1024',
      'read 1 2',
    ]);
  });

  it('refuses with the error that the specification names, and never calls the export', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const tooLong = 32 * 1024 * 1024 + 1;
    const cases: [asked: Buffer, error: number | undefined][] = [
      [request(99), EINVAL],
      [request(8), EINVAL],
      [request(read, { offset: size, length: 1 }), EINVAL],
      [request(read, { offset: size - 1, length: 2 }), EINVAL],
      [request(read, { offset: 0xffff_ffff_ffff_ffffn, length: 1 }), EINVAL],
      [request(write, { offset: size - 1, payload: Buffer.alloc(2) }), ENOSPC],
      [request(writeZeroes, { offset: size, length: 1 }), ENOSPC],
      [request(writeZeroes, { offset: 1, length: 0xffff_ffff }), ENOSPC],
      [request(trim, { offset: size, length: 1 }), EINVAL],
      [request(cache, { offset: size, length: 1 }), EINVAL],
      [request(read, { length: 1, flags: noHole }), EINVAL],
      [request(read, { length: 1, flags: 0x8000 }), EINVAL],
      [request(write, { payload: Buffer.alloc(1), flags: df }), EINVAL],
      [request(writeZeroes, { length: 1, flags: fastZero }), EINVAL],
      [request(flush, { offset: 1 }), EINVAL],
      [request(flush, { length: 1 }), EINVAL],
      [request(blockStatus, { offset: size, length: 1 }), EINVAL],
      [request(blockStatus, { length: 0 }), EINVAL],
      [request(cache, { length: tooLong }), EINVAL],
    ];
    for (const [asked, error] of cases) expect(ask(at, asked).error).toBe(error);
    expect(served.calls).toEqual([]);
  });

  it('a read-only export refuses whatever writes', () => {
    const served = new MemoryExport('sda', size, { readOnly: true });
    const at = connected(served, isStructured);
    expect(ask(at, request(write, { payload: Buffer.alloc(70_000) })).error).toBe(EPERM);
    expect(ask(at, request(writeZeroes, { length: 1 })).error).toBe(EPERM);
    expect(ask(at, request(trim, { offset: size, length: 1 })).error).toBe(EPERM);
    expect(ask(at, request(flush)).error).toBe(0);
    expect(served.calls).toEqual(['flush']);
  });

  it('requests of no byte succeed without an effect', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    for (const command of [read, write, trim, cache, writeZeroes]) {
      expect(ask(at, request(command, { offset: size }))).toMatchObject({ error: 0 });
    }
    expect(served.calls).toEqual([]);
  });

  it.each([
    ['DISC', request(disconnect)],
    ['a wrong magic', Buffer.alloc(28)],
  ])('after %s nothing is read into memory that is given back', (_, last) => {
    const at = connected(new MemoryExport('sda', size), isStructured);
    const rest = at.send(Buffer.concat([last, Buffer.alloc(1_000_000)]), 100_000);
    expect(rest).toHaveLength(last.length + 900_000);
    expect([at.isRead, at.isClosed, at.session.heldBytes]).toEqual([false, true, 0]);
  });

  it('a payload beyond the maximum is drained, not kept, and answered with EINVAL', () => {
    const served = new MemoryExport('sda', 64 * 1024 * 1024);
    const at = connected(served, isStructured);
    const length = 33 * 1024 * 1024;
    const before = at.session.heldBytes;
    expect(ask(at, request(write, { length, cookie: 5n }))).toMatchObject({ cookie: 5n, error: EINVAL });
    at.send(Buffer.alloc(length));
    expect(at.session.heldBytes).toBe(before);
    expect(ask(at, request(flush)).error).toBe(0);
    expect(served.calls).toEqual(['flush']);
  });

  it('the largest payload that is announced goes both ways', () => {
    const length = 32 * 1024 * 1024;
    const served = new MemoryExport('sda', length);
    const at = connected(served, isStructured);
    const payload = Buffer.alloc(length, 'largest ');
    expect(ask(at, request(write, { payload })).error).toBe(0);
    expect(ask(at, request(read, { length }), length).data.subarray(-length).equals(payload)).toBe(true);
    expect(served.bytes.equals(payload)).toBe(true);
  });

  it('errors of the export become errors of the protocol', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const cases = [
      ['EIO', EIO],
      ['ENOSPC', ENOSPC],
      ['EDQUOT', ENOSPC],
      ['EROFS', EPERM],
      ['ESHUTDOWN', ESHUTDOWN],
      ['ESTRANGE', EIO],
    ] as const;
    for (const [code, error] of cases) {
      served.answer = (done) => done(Object.assign(new Error(code), { code }));
      expect(ask(at, request(write, { payload: Buffer.alloc(512) })).error).toBe(error);
      expect(ask(at, request(read, { length: 512 }), 512)).toMatchObject({ error });
      expect(ask(at, request(flush)).error).toBe(error);
    }
    served.answer = (done) => done(new Error('without a code'));
    expect(ask(at, request(flush)).error).toBe(EIO);
  });

  it('answers in the order in which the export does, one wake for all of them', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const waiting = held(served);
    at.send(
      Buffer.concat(
        [1n, 2n, 3n].map((cookie) => request(read, { cookie, offset: Number(cookie), length: 1 })),
      ),
    );
    served.bytes.set([0, 11, 22, 33]);
    expect(at.take()).toHaveLength(0);
    for (const index of [2, 0, 1]) waiting[index]?.(null);
    expect(at.wakes).toBe(1);
    at.wake();
    const found = replies(at.take(), new Map([1n, 2n, 3n].map((cookie) => [cookie, 1])));
    expect(found.map(({ cookie }) => cookie)).toEqual([3n, 1n, 2n]);
  });

  it('an answer that comes twice is a fault, never a second acknowledgement', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const waiting = held(served);
    at.send(request(flush));
    waiting[0]?.(null);
    expect(() => waiting[0]?.(null)).toThrow('twice');
  });

  it('a payload stays untouched until the export has answered', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const kept: { from: Uint8Array; value: number; done: Done }[] = [];
    served.write = (from, _offset, _fua, done) => kept.push({ from, value: from[0] ?? 0, done });
    for (let value = 1; value <= 200; value++) {
      at.send(request(write, { payload: Buffer.alloc(4096 * (1 + (value % 40)), value) }), 50_000);
    }
    for (const { from, value, done } of kept) {
      expect(from.every((byte) => byte === value)).toBe(true);
      done(null);
    }
    at.wake();
    expect(replies(at.take())).toHaveLength(200);
  });

  it('DISC waits for what is in flight, then ends', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const waiting = held(served);
    at.send(
      Buffer.concat([request(flush), request(disconnect), request(write, { payload: Buffer.alloc(9) })]),
    );
    expect(at.isClosed).toBe(false);
    waiting[0]?.(null);
    at.wake();
    expect(replies(at.take())).toHaveLength(1);
    expect(at.isClosed).toBe(true);
    expect(at.isRead).toBe(false);
    expect(served.calls).toEqual(['flush']);
  });

  it('a withdrawn export: in flight is answered, what follows gets ESHUTDOWN, then the end', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const waiting = held(served);
    at.send(request(write, { cookie: 1n, payload: Buffer.alloc(512) }));
    at.send(request(write, { cookie: 2n, payload: Buffer.alloc(200_000) }).subarray(0, 100_000));
    at.session.withdraw();
    at.send(Buffer.alloc(100_028));
    at.send(request(read, { cookie: 3n, length: 1 }));
    waiting[0]?.(null);
    at.wake();
    expect(replies(at.take()).map(({ cookie, error }) => [cookie, error])).toEqual([
      [2n, ESHUTDOWN],
      [3n, ESHUTDOWN],
      [1n, 0],
    ]);
    expect(at.isClosed).toBe(true);
    expect(served.calls).toEqual(['write 0 512']);
  });

  it('a connection without requests ends at once when its export is withdrawn', () => {
    const at = connected(new MemoryExport('sda', size), isStructured);
    at.session.withdraw();
    expect(at.isClosed).toBe(true);
  });

  it('a client that is gone gets nothing, and its memory comes back with the last answer', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const waiting = held(served);
    at.send(
      Buffer.concat([request(write, { payload: Buffer.alloc(9000) }), request(read, { length: 300_000 })]),
    );
    at.session.closed();
    expect(at.session.inFlight).toBe(2);
    for (const done of waiting) done(null);
    expect(at.session.inFlight).toBe(0);
    expect(at.session.heldBytes).toBe(0);
  });

  it('too much in flight stops reading until answers have left', () => {
    const served = new MemoryExport('sda', 64 * 1024 * 1024);
    const at = connected(served, isStructured);
    const waiting = held(served);
    const one = request(read, { length: 8 * 1024 * 1024 });
    const rest = at.send(Buffer.concat(Array.from({ length: 2000 }, () => one)), 280);
    expect(at.isRead).toBe(false);
    expect(rest.length).toBeGreaterThan(50_000);
    expect(at.session.inFlight).toBeLessThanOrEqual(5);
    expect(at.session.heldBytes).toBeLessThan(49 * 1024 * 1024);
    at.isFetching = false;
    while (waiting.length > 0) waiting.pop()?.(null);
    at.wake();
    expect(at.isRead).toBe(false);
    at.fetch();
    expect(at.session.inFlight).toBeGreaterThan(0);
  });

  it('many small requests stop at the limit, and all are answered in the end', () => {
    const served = new MemoryExport('sda', size);
    const at = connected(served, isStructured);
    const waiting = held(served);
    const all = Array.from({ length: 5000 }, (_, index) => request(flush, { cookie: BigInt(index) }));
    let rest = at.send(Buffer.concat(all));
    expect(at.session.inFlight).toBe(1024);
    while (waiting.length > 0) {
      for (const done of waiting.splice(0)) done(null);
      at.wake();
      rest = at.send(rest);
    }
    expect(replies(at.take()).map(({ cookie }) => Number(cookie))).toEqual(all.map((_, index) => index));
  });

  it('however the bytes are cut, the outcome is the same', () => {
    const step = fc.record({
      command: fc.constantFrom(read, write, flush, trim, writeZeroes, cache, 42),
      offset: fc.nat(size),
      length: fc.oneof(fc.nat(600), fc.nat(size / 2)),
      isAsync: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        fc.integer({ min: 1, max: 300_000 }),
        (steps, pieceSize) => {
          const run = (piece: number | undefined) => {
            const served = new MemoryExport('sda', size);
            const at = connected(served, isStructured);
            const waiting: Done[] = [];
            const lengths = new Map<bigint, number>();
            for (const [index, { command, offset, length, isAsync }] of steps.entries()) {
              served.answer = isAsync ? (done) => waiting.push(done) : (done) => done(null);
              const cookie = BigInt(index);
              const payload = command === write ? Buffer.alloc(length, index + 1) : undefined;
              const range = command === flush ? { length: 0 } : { offset, length };
              const asked = request(command, { cookie, ...range, ...(payload ? { payload } : {}) });
              if (command === read) lengths.set(cookie, length);
              at.send(asked, piece);
            }
            for (const done of waiting) done(null);
            at.wake();
            const found = replies(at.take(), lengths).sort((a, b) => Number(a.cookie - b.cookie));
            return { calls: served.calls, bytes: served.bytes, found };
          };
          const whole = run(undefined);
          const cut = run(pieceSize);
          expect(cut.calls).toEqual(whole.calls);
          expect(cut.bytes.equals(whole.bytes)).toBe(true);
          expect(cut.found).toHaveLength(steps.length);
          expect(
            cut.found.every((reply, index) => reply.data.equals(whole.found[index]?.data ?? reply.data)),
          ).toBe(true);
          expect(cut.found.map(({ error }) => error)).toEqual(whole.found.map(({ error }) => error));
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('NBD transmission, what depends on the kind of replies', () => {
  it('DF is a flag of structured reads only', () => {
    const asked = request(read, { length: 512, flags: df });
    expect(ask(connected(new MemoryExport('sda', size), false), asked).error).toBe(EINVAL);
    expect(ask(connected(new MemoryExport('sda', size), true), asked).error).toBe(0);
  });

  it('a read beyond the maximum payload is EOVERFLOW where the client can ask for less, else EINVAL', () => {
    const asked = request(read, { length: 32 * 1024 * 1024 + 1 });
    expect(ask(connected(new MemoryExport('sda', 64 * 1024 * 1024), false), asked).error).toBe(EINVAL);
    expect(ask(connected(new MemoryExport('sda', 64 * 1024 * 1024), true), asked).error).toBe(EOVERFLOW);
  });

  it('a structured error says why', () => {
    const at = connected(new MemoryExport('sda', size, { readOnly: true }), true);
    const { data } = ask(at, request(trim, { length: 1 }));
    expect(data.subarray(6).toString()).toBe('the export is read-only');
  });

  it('block status needs a context for this very export', () => {
    const at = connected(new MemoryExport('sda', size), false);
    expect(ask(at, request(blockStatus, { length: 4096 })).error).toBe(EINVAL);
    const other = new SessionClient([new MemoryExport('sda', size), new MemoryExport('sdb', size)]);
    other.send(Buffer.concat([clientFlags(), structuredReply(), setMetaContext('sda', 'base:allocation')]));
    other.send(go('sdb'));
    other.take();
    expect(ask(other, request(blockStatus, { length: 4096 })).error).toBe(EINVAL);
  });

  it('block status tells consecutive extents inside the range; REQ_ONE the first', () => {
    const served = new MemoryExport('sda', size);
    served.bytes.fill(1, 8192, 12_288);
    const at = connected(served, true);
    const { data } = ask(at, request(blockStatus, { offset: 4096, length: 16_384 }));
    expect(extents(data)).toEqual([
      [4096, 3],
      [4096, 0],
      [8192, 3],
    ]);
    expect(extents(ask(at, request(blockStatus, { offset: 0, length: 100, flags: reqOne })).data)).toEqual([
      [100, 3],
    ]);
  });

  it('an export that knows nothing of its extents is all data', () => {
    const { volume, epoch, byteSize, readOnly } = new MemoryExport('sda', size);
    const none = () => undefined;
    const at = new SessionClient([
      {
        volume,
        epoch,
        byteSize,
        readOnly,
        read: none,
        write: none,
        zero: none,
        trim: none,
        flush: none,
      },
    ]);
    at.send(Buffer.concat([clientFlags(), structuredReply(), setMetaContext('', 'base:allocation')]));
    at.send(go(''));
    at.take();
    expect(extents(ask(at, request(blockStatus, { length: size })).data)).toEqual([[size, 0]]);
  });
});

function extents(data: Buffer): number[][] {
  const count = (data.length - 4) / 8;
  return Array.from({ length: count }, (_, index) => [
    data.readUInt32BE(4 + 8 * index),
    data.readUInt32BE(8 + 8 * index),
  ]);
}
