import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Done } from '../../adapters/block/block-device.ts';
import { NbdServer } from '../../adapters/nbd/nbd-server.ts';
import { sessionLimits } from '../../adapters/nbd/nbd-session.ts';
import { clientFlags, go, optionReplies, replies, request } from './client-messages.ts';
import { allowedChanges, Dice, hostileNegotiation, hostileRequests } from './hostile-stream.ts';
import { MemoryExport } from './memory-export.ts';

const size = 64 * 1024 * 1024;
let folder: string;
let path: string;
let server: NbdServer;
let disk: MemoryExport;
const sockets: Socket[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nbd-'));
  path = join(folder, 'nbd.sock');
  server = new NbdServer();
  disk = new MemoryExport('disk', size);
  server.offer(disk);
  await listening();
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

const listening = () =>
  new Promise<void>((resolve, reject) => {
    server.listenUnix(path, (error) => (error ? reject(error) : resolve()));
  });

/** A connection whose received bytes are collected. */
class Client {
  readonly socket = connect(path);
  received = Buffer.alloc(0);

  constructor() {
    sockets.push(this.socket);
    this.socket.on('error', () => this.socket.destroy());
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
  }

  async until(length: number): Promise<Buffer> {
    while (this.received.length < length) await once(this.socket, 'data');
    const taken = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return taken;
  }

  get closed(): Promise<unknown> {
    return this.socket.closed ? Promise.resolve() : once(this.socket, 'close');
  }
}

async function transmitting(): Promise<Client> {
  const client = new Client();
  client.socket.write(Buffer.concat([clientFlags(), go('disk')]));
  await client.until(18 + 32 + 20);
  return client;
}

describe('NBD server', () => {
  it('counts the connections that use an export', async () => {
    expect(server.clientsOf(disk)).toBe(0);
    const client = await transmitting();
    await transmitting();
    new Client().socket.write(clientFlags());
    expect(server.clientsOf(disk)).toBe(2);
    client.socket.destroy();
    await vi.waitFor(() => expect(server.clientsOf(disk)).toBe(1));
    expect(server.clientsOf(new MemoryExport('other', size))).toBe(0);
  });

  it('replaces the socket that an earlier process left behind', async () => {
    server.close();
    server = new NbdServer();
    server.offer(disk);
    await listening();
    await transmitting();
  });

  it('writes and reads large and small blocks through one connection', async () => {
    const client = await transmitting();
    const payload = Buffer.alloc(5_000_000, 'payload ');
    for (const [offset, length] of [
      [0, 5_000_000],
      [17, 3],
      [100_000, 140_000],
    ] as const) {
      client.socket.write(request(1, { offset, payload: payload.subarray(0, length) }));
      expect(replies(await client.until(16))).toMatchObject([{ error: 0 }]);
      client.socket.write(request(0, { offset, length }));
      const answer = await client.until(16 + length);
      expect(answer.subarray(16).equals(payload.subarray(0, length))).toBe(true);
    }
  });

  it('withdraws an export: in flight answered first, then closed, and nobody finds it', async () => {
    const waiting: Done[] = [];
    disk.answer = (done) => waiting.push(done);
    const busy = await transmitting();
    const quiet = await transmitting();
    busy.socket.write(request(1, { payload: Buffer.alloc(512) }));
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    const order: string[] = [];
    server.withdraw(disk, () => order.push('withdrawn'));
    await quiet.closed;
    const late = new Client();
    late.socket.write(Buffer.concat([clientFlags(), go('disk')]));
    expect(optionReplies((await late.until(18 + 20)).subarray(18)).replies[0]?.type).toBe(0x8000_0006);
    expect(order).toEqual([]);
    waiting[0]?.(null);
    expect(replies(await busy.until(16))).toMatchObject([{ error: 0 }]);
    await busy.closed;
    expect(order).toEqual(['withdrawn']);
  });

  it('a withdrawal waits for the requests of clients that are gone', async () => {
    const waiting: Done[] = [];
    disk.answer = (done) => waiting.push(done);
    const gone = await transmitting();
    gone.socket.write(request(3));
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    gone.socket.destroy();
    const withdrawn = vi.fn();
    server.withdraw(disk, withdrawn);
    expect(withdrawn).not.toHaveBeenCalled();
    waiting[0]?.(null);
    await vi.waitFor(() => expect(withdrawn).toHaveBeenCalledOnce());
    await vi.waitFor(() => expect(server.connectionCount).toBe(0));
  });

  it('a new reign is offered under a new name once the old one is withdrawn', async () => {
    expect(() => server.offer(new MemoryExport('disk', size, { epoch: 2 }))).toThrow('already');
    server.withdraw(disk, () => undefined);
    server.offer(new MemoryExport('disk', size, { epoch: 2 }));
    const stale = new Client();
    stale.socket.write(Buffer.concat([clientFlags(), go('disk@1')]));
    expect(optionReplies((await stale.until(18 + 20)).subarray(18)).replies[0]?.type).toBe(0x8000_0006);
  });

  it('a client that asks and never fetches is held back; the others are served', async () => {
    const greedy = await transmitting();
    greedy.socket.pause();
    greedy.socket.write(Buffer.concat(Array.from({ length: 4000 }, () => request(0, { length: 4_000_000 }))));
    await vi.waitFor(() => expect(server.heldBytes).toBeGreaterThan(sessionLimits.bytes));
    const other = await transmitting();
    other.socket.write(request(3));
    expect(replies(await other.until(16))).toMatchObject([{ error: 0 }]);
    expect(server.heldBytes).toBeLessThan(sessionLimits.bytes + 40 * 1024 * 1024);
    expect(disk.calls.filter((call) => call.startsWith('read')).length).toBeLessThan(12);
    greedy.socket.destroy();
    other.socket.destroy();
    await vi.waitFor(() => expect(server.heldBytes).toBe(0));
  });

  it('writes beyond the limit wait, and none is mixed up with another', async () => {
    const kept: { from: Uint8Array; offset: number; done: Done }[] = [];
    disk.write = (from, offset, _fua, done) => {
      if (kept.push({ from, offset, done }) === 1) setImmediate(answerAll);
    };
    // Kept until the next turn: by then a buffer that was given away too early holds something else.
    const answerAll = () => {
      for (const { from, offset, done } of kept.splice(0)) {
        disk.bytes.set(from, offset);
        done(null);
      }
    };
    const client = await transmitting();
    const expected = Buffer.alloc(size);
    let count = 0;
    for (let offset = 0; offset < size - 200_000; count++) {
      const payload = Buffer.alloc(count % 100 === 99 ? 190_000 : 512 + (count % 9) * 1001, count % 251);
      expected.set(payload, offset);
      client.socket.write(request(1, { offset, cookie: BigInt(count), payload }));
      offset += payload.length;
    }
    const cookies = replies(await client.until(16 * count)).map(({ cookie }) => Number(cookie));
    expect(cookies).toEqual(cookies.map((_, index) => index));
    expect(disk.bytes.equals(expected)).toBe(true);
  });

  it('many greedy clients together stop at the limit of the server, and all are served in the end', async () => {
    const greedy = await Promise.all(Array.from({ length: 12 }, () => transmitting()));
    for (const { socket } of greedy) {
      socket.pause();
      socket.write(Buffer.concat(Array.from({ length: 20 }, () => request(0, { length: 4_000_000 }))));
    }
    await vi.waitFor(() => expect(server.heldBytes).toBeGreaterThan(sessionLimits.bytesOfAll));
    expect(server.heldBytes).toBeLessThan(sessionLimits.bytesOfAll + 12 * 9 * 1024 * 1024);
    let fetched = 0;
    for (const { socket } of greedy) {
      socket.removeAllListeners('data');
      socket.on('data', (chunk) => {
        fetched += chunk.length;
      });
      socket.resume();
    }
    await vi.waitFor(() => expect(fetched).toBe(12 * 20 * 4_000_016), { timeout: 20_000 });
  });

  it('a path too long for a Unix socket is refused, not cut short', async () => {
    const refused = await new Promise<Error | null>((resolve) => {
      server.listenUnix(join(folder, 'n'.repeat(108)), resolve);
    });
    expect(refused).toMatchObject({ code: 'ENAMETOOLONG' });
  });

  it('a client that was held back gets every answer once it fetches', async () => {
    const client = await transmitting();
    client.socket.pause();
    const count = 3000;
    const all = Array.from({ length: count }, (_, index) =>
      request(0, { cookie: BigInt(index), length: 100_000 }),
    );
    client.socket.write(Buffer.concat(all));
    await vi.waitFor(() => expect(server.heldBytes).toBeGreaterThan(sessionLimits.bytes));
    let fetched = 0;
    client.socket.removeAllListeners('data');
    client.socket.on('data', (chunk) => {
      fetched += chunk.length;
    });
    client.socket.resume();
    await vi.waitFor(() => expect(fetched).toBe(count * 100_016), { timeout: 20_000 });
  });

  it('1000 hostile connections: it goes on serving, keeps no memory, changes only what is valid', async () => {
    const attack = async (seed: number) => {
      const dice = new Dice(seed);
      const isHaggling = dice.below(4) === 0;
      const stream = isHaggling ? hostileNegotiation(dice) : hostileRequests(dice, size);
      const socket = connect(path);
      socket.on('error', () => socket.destroy());
      socket.resume();
      socket.end(isHaggling ? stream : Buffer.concat([clientFlags(), go('disk'), stream]));
      await once(socket, 'close');
      return isHaggling ? [] : allowedChanges(stream, size);
    };
    const allowed = new Set<string>();
    for (let seed = 1; seed <= 1000; seed += 20) {
      const group = Array.from({ length: 20 }, (_, index) => attack(seed + index));
      for (const changes of await Promise.all(group)) for (const change of changes) allowed.add(change);
    }
    await vi.waitFor(() => expect(server.connectionCount).toBe(0));
    expect(server.heldBytes).toBe(0);
    const changed = disk.calls.filter((call) => /^(write|zero|trim)/.test(call));
    expect(changed.length).toBeGreaterThan(50);
    expect(changed.filter((change) => !allowed.has(change))).toEqual([]);
    await transmitting();
  }, 60_000);
});

describe('NBD server and time', () => {
  it('drops a client that only holds its connection open, and none that transmits', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const timed = new NbdServer();
    timed.offer(disk);
    path = join(folder, 'timed.sock');
    await new Promise<void>((resolve) => timed.listenUnix(path, () => resolve()));
    const idle = new Client();
    await idle.until(18);
    const busy = await transmitting();
    vi.advanceTimersByTime(20_000);
    await idle.closed;
    busy.socket.write(request(3));
    expect(replies(await busy.until(16))).toMatchObject([{ error: 0 }]);
    timed.close();
    vi.useRealTimers();
  });
});
