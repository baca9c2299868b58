import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { orderLab, serveControl } from '../../tools/lab/control.ts';
import { blockBytes, Ledger } from '../../tools/lab/ledger.ts';
import type { NbdClient } from '../../tools/lab/nbd-client.ts';
import { CableProxy } from '../../tools/lab/proxy.ts';
import { exitCodes } from '../../tools/program.ts';

const servers: Server[] = [];
const proxies: CableProxy[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const proxy of proxies.splice(0)) proxy.close();
  for (const server of servers.splice(0)) server.close();
});

/** A device in memory that acknowledges `writesMax` writes and then none. */
function memoryDevice(blockCount: number, writesMax = Number.POSITIVE_INFINITY) {
  const content = Buffer.alloc(blockCount * blockBytes);
  let writes = 0;
  const device: NbdClient = {
    byteSize: content.length,
    read: async (offset, byteCount) => content.subarray(offset, offset + byteCount),
    write: async (offset, data) => {
      writes += 1;
      if (writes > writesMax) throw new Error('the device is gone');
      data.copy(content, offset);
    },
    flush: async () => undefined,
    close: () => undefined,
  };
  const read = (block: number) => device.read(block * blockBytes, blockBytes);
  return { content, device, read };
}

describe("the lab's ledger", () => {
  it('finds every acknowledged block right, also after it was kept in a file', async () => {
    const { device, read } = memoryDevice(4);
    const ledger = new Ledger(4);
    for (let count = 0; count < 6; count += 1) await ledger.write(device);
    expect(await Ledger.parse(ledger.toString()).verify(read)).toEqual({ blockCount: 4, wrong: [] });
  });

  it('finds one flipped bit, and names its block', async () => {
    const { device, read, content } = memoryDevice(4);
    const ledger = new Ledger(4);
    for (let count = 0; count < 4; count += 1) await ledger.write(device);
    content[2 * blockBytes + 77] = (content[2 * blockBytes + 77] ?? 0) ^ 1;
    expect(await ledger.verify(read)).toEqual({ blockCount: 4, wrong: [2] });
  });

  it('asks for nothing of a write that was never acknowledged', async () => {
    const { device, read } = memoryDevice(4, 2);
    const ledger = new Ledger(4);
    await ledger.write(device);
    await ledger.write(device);
    await expect(ledger.write(device)).rejects.toThrow('gone');
    expect(await ledger.verify(read)).toEqual({ blockCount: 2, wrong: [] });
  });

  it('two sides of a split go their own ways', async () => {
    const [one, other] = [memoryDevice(4), memoryDevice(4)];
    const ledger = new Ledger(4);
    const fork = ledger.fork();
    await ledger.write(one.device);
    await fork.write(other.device);
    expect((await ledger.verify(other.read)).wrong).toEqual([0]);
    expect((await fork.verify(other.read)).wrong).toEqual([]);
  });
});

describe("the lab's cables", () => {
  async function echo(): Promise<CableProxy> {
    const server = createServer((socket) => socket.pipe(socket));
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    const proxy = await CableProxy.start((server.address() as AddressInfo).port);
    proxies.push(proxy);
    return proxy;
  }

  async function dial(proxy: CableProxy): Promise<Socket> {
    const socket = connect(proxy.port, '127.0.0.1');
    sockets.push(socket);
    await once(socket, 'connect');
    // What was on its way is lost with the cable: the system calls that a reset.
    socket.on('error', () => socket.destroy());
    return socket;
  }

  const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

  const echoed = async (socket: Socket, text: string) => {
    socket.write(text);
    return String((await once(socket, 'data'))[0]);
  };

  it('pass what is sent', async () => {
    expect(await echoed(await dial(await echo()), 'ping')).toBe('ping');
  });

  it('cut: nothing passes and nothing is refused; mended: what was cut is closed, and a new call passes', async () => {
    const proxy = await echo();
    const before = await dial(proxy);
    await echoed(before, 'ping');
    let heard = 0;
    before.on('data', () => {
      heard += 1;
    });
    proxy.cut();
    before.write('into the void');
    const during = await dial(proxy);
    during.write('into the void');
    const ended = Promise.all([closed(before), closed(during)]);
    proxy.mend();
    await ended;
    expect(heard).toBe(0);
    expect(await echoed(await dial(proxy), 'again')).toBe('again');
  });
});

describe('orders from another terminal', () => {
  const path = () => join(mkdtempSync(join(tmpdir(), 'mk-control-')), 'control.sock');

  it('are carried out and answered; what fails is answered with its sentence', async () => {
    const at = path();
    servers.push(
      await serveControl(at, async (order) => {
        if (order.order === 'kill') throw new Error('eve is killed already');
        return { ok: true, wrong: false, text: order.order };
      }),
    );
    expect(await orderLab(at, { order: 'write', bytes: 7 })).toMatchObject({ ok: true, text: 'write' });
    expect(await orderLab(at, { order: 'kill', node: 'eve' })).toEqual({
      ok: false,
      wrong: false,
      text: 'eve is killed already',
    });
  });

  it('reach nobody where no lab runs', async () => {
    await expect(orderLab(path(), { order: 'verify', bytes: null })).rejects.toMatchObject({
      exitCode: exitCodes.unreachable,
    });
  });
});
