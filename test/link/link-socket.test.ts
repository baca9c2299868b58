import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingMessage } from '../../adapters/link/link.ts';
import { CorruptingProxy } from './corrupting-proxy.ts';
import { NodeUnderTest, type ObservedLink, quick } from './node-under-test.ts';
import { message } from './session-pair.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function node(...args: ConstructorParameters<typeof NodeUnderTest>): NodeUnderTest {
  const made = new NodeUnderTest(...args);
  cleanUps.push(() => made.close());
  return made;
}

/** adam dials eve, through a proxy. */
async function pair(change: ConstructorParameters<typeof NodeUnderTest>[1] = {}) {
  const [adam, eve] = [node('adam', change), node('eve')];
  const at = await eve.listen();
  const proxy = await CorruptingProxy.start(at);
  cleanUps.push(() => proxy.close());
  const [toEve, toAdam] = [adam.link('eve'), eve.link('adam')];
  toEve.link.dialTo([proxy.endpoint]);
  toAdam.link.open();
  toEve.link.open();
  return { adam, eve, toEve, toAdam, proxy, at };
}

const up = (link: ObservedLink, sessions = 1) =>
  link.until(() => link.sessions.length >= sessions && link.link.established);
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a link over TCP', () => {
  it('carries messages both ways, the smaller name dialling', async () => {
    const { toEve, toAdam } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    expect([toEve.link.dials, toAdam.link.dials]).toEqual([true, false]);
    expect(toEve.sessions).toEqual(toAdam.sessions);
    toEve.link.send(message({ payload: Buffer.from('write') }));
    toAdam.link.send(message({ type: 200, payload: Buffer.from('ack') }));
    await Promise.all([
      toAdam.until(() => toAdam.payloads.length === 1),
      toEve.until(() => toEve.payloads.length === 1),
    ]);
    expect([toAdam.payloads, toEve.payloads]).toEqual([['write'], ['ack']]);
  });

  it.each(['to-eve', 'to-adam'])(
    'carries megabytes %s unchanged, released late and out of order',
    async (way) => {
      const { toEve, toAdam } = await pair();
      await Promise.all([up(toEve), up(toAdam)]);
      const [sender, receiver] = way === 'to-eve' ? [toEve, toAdam] : [toAdam, toEve];
      const sums: string[] = [];
      const held: IncomingMessage[] = [];
      receiver.onReceived = (received) => {
        sums.push(sha(received.payload));
        held.push(received);
        if (held.length >= 5) held.splice(received.number % held.length, 1)[0]?.release();
      };
      const payloads = Array.from({ length: 120 }, (_, index) =>
        randomBytes(1 + ((index * 104_729) % 1_000_000)),
      );
      for (const [number, payload] of payloads.entries()) sender.link.send(message({ number, payload }));
      await receiver.until(() => sums.length === payloads.length);
      expect(sums).toEqual(payloads.map(sha));
      for (const each of held) each.release();
      await sender.until(() => sender.drains > 0);
      expect(sender.link.queuedBytes).toBe(0);
    },
  );

  it('comes back by itself after the connection is cut, with a new session', async () => {
    const { toEve, toAdam, proxy } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    proxy.cut();
    await Promise.all([up(toEve, 2), up(toAdam, 2)]);
    expect(toEve.faults).toEqual(['connection-lost']);
    expect(toEve.sessions).toEqual(toAdam.sessions);
    expect(new Set(toEve.sessions).size).toBe(2);
    toEve.link.send(message({ payload: Buffer.from('again') }));
    await toAdam.until(() => toAdam.payloads.includes('again'));
  });

  it('takes another path at once, and keeps the one that it has where nothing changes', async () => {
    const { toEve, toAdam, proxy, at } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    toEve.link.dialTo([{ ...proxy.endpoint }]);
    expect(toEve.faults).toEqual([]);
    toEve.link.dialTo([at]);
    await Promise.all([up(toEve, 2), up(toAdam, 2)]);
    expect(toEve.faults).toEqual(['dropped']);
    proxy.close();
    toEve.link.send(message({ payload: Buffer.from('past the proxy') }));
    await toAdam.until(() => toAdam.payloads.includes('past the proxy'));
  });

  it('drops a damaged stream, counts it, and comes back (FAULTS 28)', async () => {
    const { toEve, toAdam, proxy } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    toEve.link.send(message({ payload: Buffer.alloc(4096, 1) }));
    await toAdam.until(() => toAdam.payloads.length === 1);
    for (const [round, afterBytes] of [8, 33, 62, 64 + 4095].entries()) {
      proxy.flip('to-target', afterBytes, round);
      toEve.link.send(message({ payload: Buffer.alloc(4096, 2) }));
      await toAdam.until(() => toAdam.faults.length === round + 1);
      await Promise.all([up(toEve, round + 2), up(toAdam, round + 2)]);
    }
    expect(proxy.flips).toBe(4);
    expect(toAdam.payloads.length).toBe(1);
    expect(toAdam.faults).toEqual(Array(4).fill('bad-checksum'));
    expect(toAdam.link.counters.faults['bad-checksum']).toBe(4);
    expect(toAdam.link.counters.sessions).toBe(5);
  });

  it('notices on both sides that the other is not heard any more, and gets back through (half-open)', async () => {
    const { toEve, toAdam, proxy } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    const heardMs = toEve.link.lastHeardMs ?? 0;
    proxy.swallow();
    await Promise.all([
      toEve.until(() => toEve.faults.length > 0),
      toAdam.until(() => toAdam.faults.length > 0),
    ]);
    expect([toEve.faults[0], toAdam.faults[0]]).toEqual(['timed-out', 'timed-out']);
    expect(performance.now() - heardMs).toBeGreaterThanOrEqual(quick.timeoutMs * 0.9);
    proxy.passOn();
    await Promise.all([up(toEve, 2), up(toAdam, 2)]);
  });

  it('lets the dialer in again while its own end of the old connection still looks alive', async () => {
    const { toEve, toAdam, eve, at } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    const restarted = node('adam').link('eve');
    restarted.link.dialTo([at]);
    toEve.link.close();
    restarted.link.open();
    await Promise.all([up(restarted), toAdam.until(() => toAdam.sessions.length >= 2)]);
    expect(toAdam.sessions.at(-1)).toBe(restarted.sessions[0]);
    expect(eve.refusals).toEqual([]);
  });

  it('replaces the old session where the dialer has restarted without a word', async () => {
    const { toEve, toAdam, proxy, at } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    proxy.swallow();
    const restarted = node('adam').link('eve');
    restarted.link.dialTo([at]);
    restarted.link.open();
    await up(restarted);
    expect(toAdam.faults).toEqual(['replaced']);
    expect(toAdam.link.established).toBe(true);
    expect(toAdam.sessions.at(-1)).toBe(restarted.sessions[0]);
  });

  it('tries its endpoints in turn', async () => {
    const { toEve, toAdam, proxy, at } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    await proxy.close();
    await toEve.until(() => toEve.refusals.length >= 2);
    expect(new Set(toEve.refusals)).toEqual(new Set(['connection-lost']));
    toEve.link.dialTo([proxy.endpoint, at]);
    await Promise.all([up(toEve, 2), up(toAdam, 2)]);
  });

  it('keeps trying where nobody answers the handshake', async () => {
    const sockets: Socket[] = [];
    const mute = createServer((socket) => {
      sockets.push(socket.on('error', () => {}));
    });
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    cleanUps.push(() => {
      for (const socket of sockets) socket.destroy();
      mute.close();
    });
    const toEve = node('adam', { timings: { pingIntervalMs: 20, timeoutMs: 60 } }).link('eve');
    const address = mute.address();
    toEve.link.dialTo([{ host: '127.0.0.1', port: typeof address === 'object' ? (address?.port ?? 0) : 0 }]);
    toEve.link.open();
    await toEve.until(() => toEve.refusals.length >= 2);
    expect(new Set(toEve.refusals)).toEqual(new Set(['timed-out']));
    expect(sockets.length).toBeGreaterThanOrEqual(2);
  });

  it('lets nobody in with another key, and says so on both sides', async () => {
    const { toEve, toAdam, eve } = await pair({ key: randomBytes(32) });
    await toEve.until(() => toEve.refusals.length >= 2);
    expect(new Set(toEve.refusals)).toEqual(new Set(['wrong-key']));
    expect(new Set(eve.refusals)).toEqual(new Set(['wrong-key']));
    expect(toAdam.sessions).toEqual([]);
  });

  it('refuses while it is closed, and takes the dialer in once it is open', async () => {
    const { toEve, toAdam } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    toAdam.link.close();
    expect(toAdam.faults).toEqual(['dropped']);
    await toEve.until(() => toEve.refusals.includes('link-closed'));
    expect(toAdam.link.established).toBe(false);
    toAdam.link.open();
    await Promise.all([up(toEve, 2), up(toAdam, 2)]);
  });

  it('does not come back after its own close', async () => {
    const { toEve, toAdam, proxy } = await pair();
    await Promise.all([up(toEve), up(toAdam)]);
    toEve.link.close();
    await toAdam.until(() => toAdam.faults.length === 1);
    const { connections } = proxy;
    expect(toEve.link.send(message())).toBe(false);
    const other = await pair();
    await up(other.toEve);
    expect(proxy.connections).toBe(connections);
    toEve.link.open();
    await up(toEve, 2);
  });

  it('shares one port among the links of an engine', async () => {
    const eve = node('eve');
    const at = await eve.listen();
    const names = ['abel', 'adam', 'cain'];
    const theirs = names.map((name) => node(name).link('eve'));
    const mine = names.map((name) => eve.link(name));
    for (const each of mine) each.link.open();
    for (const each of theirs) {
      each.link.dialTo([at]);
      each.link.open();
    }
    await Promise.all([...theirs, ...mine].map((each) => up(each)));
    expect(mine.map(({ sessions }) => sessions[0])).toEqual(theirs.map(({ sessions }) => sessions[0]));

    const stranger = node('able').link('eve');
    stranger.link.dialTo([at]);
    stranger.link.open();
    await stranger.until(() => stranger.refusals.length > 0);
    expect(stranger.refusals[0]).toBe('wrong-node');
  });
});
