import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import {
  clientFlags,
  counted,
  go,
  info,
  listMetaContext,
  option,
  optionReplies,
  request,
  setMetaContext,
  structuredReply,
  u32,
} from './client-messages.ts';
import { MemoryExport } from './memory-export.ts';
import { SessionClient } from './session-client.ts';

const ack = 1;
const unsupported = 0x8000_0001;
const invalid = 0x8000_0003;
const unknown = 0x8000_0006;
const tooBig = 0x8000_0009;
const size = 1024 * 1024;

function client(...exports: MemoryExport[]): SessionClient {
  const made = new SessionClient(
    exports.length > 0 ? exports : [new MemoryExport('sda', size, { epoch: 4 })],
  );
  made.send(clientFlags());
  return made;
}

function answer(to: SessionClient, ...messages: Buffer[]) {
  for (const message of messages) to.send(message);
  return optionReplies(to.take()).replies;
}

const types = (to: SessionClient, ...messages: Buffer[]) => answer(to, ...messages).map(({ type }) => type);

describe('NBD negotiation', () => {
  it('drops a client with flags that nobody offered', () => {
    const strange = new SessionClient([new MemoryExport('sda', size)]);
    strange.send(clientFlags(0x8000_0003));
    expect(strange.isClosed).toBe(true);
  });

  it('GO tells size, flags, canonical name and block sizes, and enters transmission', () => {
    const at = client();
    const [details, name, blockSize, last] = answer(at, go('sda', 1, 3));
    const flags = 0x1 | 0x4 | 0x8 | 0x20 | 0x40 | 0x100 | 0x400;
    expect(details?.data.readBigUInt64BE(2)).toBe(BigInt(size));
    expect(details?.data.readUInt16BE(10)).toBe(flags);
    expect(name?.data.subarray(2).toString()).toBe('sda@4');
    expect([2, 6, 10].map((offset) => blockSize?.data.readUInt32BE(offset))).toEqual([
      1,
      4096,
      32 * 1024 * 1024,
    ]);
    expect(last?.type).toBe(ack);
    expect(at.session.isTransmitting).toBe(true);
  });

  it('INFO tells the same and goes on haggling; DF is offered once replies are structured', () => {
    const at = client();
    expect(answer(at, info('sda'))[0]?.data.readUInt16BE(10)).toBe(0x56d);
    expect(types(at, structuredReply())).toEqual([ack]);
    expect(answer(at, info('sda'))[0]?.data.readUInt16BE(10)).toBe(0x5ed);
    expect(at.session.isTransmitting).toBe(false);
  });

  it('a read-only export says so', () => {
    const at = client(new MemoryExport('sda', size, { readOnly: true }));
    expect(answer(at, go('sda'))[0]?.data.readUInt16BE(10)).toBe(0x56f);
  });

  it('EXPORT_NAME answers without a header, padded for old clients', () => {
    const modern = client();
    modern.send(option(1, Buffer.from('sda@4')));
    expect(modern.take()).toHaveLength(10);
    const old = new SessionClient([new MemoryExport('sda', size)]);
    old.send(Buffer.concat([clientFlags(1), option(1)]));
    expect(old.take()).toHaveLength(134);
    expect(old.session.isTransmitting).toBe(true);
  });

  it('names resolve to the present epoch, an earlier reign is refused (FAULTS 34)', () => {
    expect(types(client(), go('sda@3'))).toEqual([unknown]);
    expect(types(client(), go('sda@04'))).toEqual([unknown]);
    expect(types(client(), go('sda@'))).toEqual([unknown]);
    expect(types(client(), go('sda@4'))).toEqual([3, ack]);
    expect(types(client(), go('sda'))).toEqual([3, ack]);
    expect(types(client(), go(''))).toEqual([3, ack]);
    expect(answer(client(), go('sda@3'))[0]?.data.toString()).toContain('sda@4');
  });

  it('EXPORT_NAME of an earlier reign ends the connection', () => {
    const stale = client();
    stale.send(option(1, Buffer.from('sda@3')));
    expect(stale.take()).toHaveLength(0);
    expect(stale.isClosed).toBe(true);
  });

  it('nothing is found once it is withdrawn', () => {
    const served = new MemoryExport('sda', size);
    const at = client(served);
    at.catalogue.remove(served);
    expect(types(at, go('sda'), go(''), go('sda@1'))).toEqual([unknown, unknown, unknown]);
  });

  it('LIST names every export with its epoch, and takes no data', () => {
    const at = client(
      new MemoryExport('sda', size, { epoch: 4 }),
      new MemoryExport('sdb', size, { epoch: 4 }),
    );
    expect(answer(at, option(3)).map(({ type, data }) => [type, data.toString('latin1')])).toEqual([
      [2, counted('sda@4').toString('latin1')],
      [2, counted('sdb@4').toString('latin1')],
      [ack, ''],
    ]);
    expect(types(at, option(3, Buffer.from('x')))).toEqual([invalid]);
  });

  it('ABORT is acknowledged and ends the connection', () => {
    const at = client();
    expect(types(at, option(2, Buffer.from('ignored')))).toEqual([ack]);
    expect(at.isClosed).toBe(true);
  });

  it('unknown options, STARTTLS and extended headers are unsupported, and the next option is understood', () => {
    const at = client();
    const strange = [option(5), option(11), option(4), option(0), option(0xffff_ffff, Buffer.alloc(70))];
    expect(types(at, ...strange)).toEqual(strange.map(() => unsupported));
    expect(types(at, go('sda'))).toEqual([3, ack]);
  });

  it('malformed options are invalid, and haggling goes on', () => {
    const at = client();
    const malformed = [option(7), option(6, u32(9)), option(8, Buffer.from('x')), option(10), option(9)];
    expect(types(at, ...malformed)).toEqual(malformed.map(() => invalid));
    expect(types(at, go('sda'))).toEqual([3, ack]);
  });

  it('an oversized option is drained without being kept', () => {
    const at = client();
    const before = at.session.heldBytes;
    const length = 8 * 1024 * 1024;
    expect(types(at, option(7, Buffer.alloc(0), length))).toEqual([tooBig]);
    at.send(Buffer.alloc(length));
    expect(types(at, option(77, Buffer.alloc(length)))).toEqual([unsupported]);
    expect(types(at, option(5, Buffer.alloc(length)))).toEqual([unsupported]);
    expect(at.session.heldBytes).toBeLessThanOrEqual(before);
    expect(types(at, go('sda'))).toEqual([3, ack]);
  });

  it('an oversized EXPORT_NAME and a wrong magic end the connection', () => {
    const long = client();
    long.send(option(1, Buffer.alloc(5000, 'n')));
    expect(long.isClosed).toBe(true);
    const strange = client();
    strange.send(request(0));
    expect(strange.isClosed).toBe(true);
  });

  it('metadata contexts need structured replies and a known export', () => {
    const at = client();
    expect(types(at, setMetaContext('sda', 'base:allocation'), listMetaContext('sda'))).toEqual([
      invalid,
      invalid,
    ]);
    expect(types(at, structuredReply(), setMetaContext('sdz', 'base:allocation'))).toEqual([ack, unknown]);
    expect(types(at, listMetaContext('sdz'))).toEqual([unknown]);
  });

  it('lists base:allocation for no query and for the wildcard, selects it only by its name', () => {
    const at = client();
    at.send(structuredReply());
    at.take();
    const name = Buffer.concat([u32(0), Buffer.from('base:allocation')]);
    for (const queries of [[], ['base:'], ['x-none:', 'base:allocation']]) {
      expect(answer(at, listMetaContext('sda', ...queries))).toMatchObject([
        { type: 4, data: name },
        { type: ack },
      ]);
    }
    for (const queries of [[], ['base:'], ['x-none:y'], ['base:allocation-depth'], ['nonsense']]) {
      expect(types(at, setMetaContext('sda', ...queries))).toEqual([ack]);
    }
    expect(types(at, setMetaContext('sda', 'base:allocation', 'base:allocation'))).toEqual([4, ack]);
  });

  it('answers to a client that does not fetch them stop its haggling, not the memory', () => {
    const at = client();
    at.isFetching = false;
    const flood = Buffer.concat(Array.from({ length: 50_000 }, () => option(3)));
    expect(at.send(flood).length).toBeGreaterThan(0);
    expect(at.isRead).toBe(false);
    expect(at.session.heldBytes).toBeLessThan(2 * 1024 * 1024);
  });
});
