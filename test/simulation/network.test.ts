import { describe, expect, it } from 'vitest';
import type { Connection } from '../../adapters/link/transport.ts';
import { type NetworkHabits, SimulatedNetwork } from './network.ts';
import { SimulatedProcess } from './process.ts';
import { World } from './world.ts';

const habits: NetworkHabits = { latencyMs: [0.1, 2], bytesPerMs: 1e5, bitFlip: 0 };

/** One end as a toy program sees it: it collects. */
interface Seen {
  connection: Connection | null;
  bytes: Buffer;
  closed: string | null;
  drains: number;
  failed: string | null;
}

const nothing = (): Seen => ({
  connection: null,
  bytes: Buffer.alloc(0),
  closed: null,
  drains: 0,
  failed: null,
});

const collect = (seen: Seen) => (connection: Connection) => {
  seen.connection = connection;
  return {
    received: (bytes: Uint8Array) => {
      seen.bytes = Buffer.concat([seen.bytes, bytes]);
    },
    drained: () => {
      seen.drains++;
    },
    closed: (error: Error | null) => {
      seen.closed = error === null ? 'end' : error.message;
    },
  };
};

function bench(seed = 1, changed: Partial<NetworkHabits> = {}) {
  const world = new World(seed);
  const network = new SimulatedNetwork(world, { ...habits, ...changed });
  const adam = new SimulatedProcess(world, 'adam');
  const eve = new SimulatedProcess(world, 'eve');
  const [server, client] = [nothing(), nothing()];
  network.transport('eve', eve).listen({ host: 'eve', port: 7 }, collect(server), () => {});
  const dial = () =>
    network.transport('adam', adam).dial({ host: 'eve', port: 7 }, collect(client), (error) => {
      client.failed = error.message;
    });
  return { world, network, adam, eve, server, client, dial };
}

const drain = (world: World) => {
  while (world.step());
};

describe('a simulated network', () => {
  it('carries bytes in order, cut anywhere, both ways', () => {
    const cuts = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { world, server, client, dial } = bench(seed);
      dial();
      drain(world);
      const sent = world.random.bytes(50_000);
      const stepsBefore = world.steps;
      client.connection?.send([sent.subarray(0, 10), sent.subarray(10)]);
      server.connection?.send([Buffer.from('hello')]);
      drain(world);
      expect(server.bytes.equals(sent)).toBe(true);
      expect(client.bytes.toString()).toBe('hello');
      cuts.add(world.steps - stepsBefore);
    }
    expect(cuts.size).toBeGreaterThan(1);
  });

  it('asks to wait above its high-water mark and tells when everything has gone out', () => {
    const { world, server, client, dial } = bench();
    dial();
    drain(world);
    expect(client.connection?.send([Buffer.alloc(10)])).toBe(true);
    expect(client.connection?.send([Buffer.alloc(1_000_000)])).toBe(false);
    expect(client.drains).toBe(0);
    drain(world);
    expect(client.drains).toBe(1);
    expect(server.bytes.byteLength).toBe(1_000_010);
  });

  it('stops the sender when the receiver does not take', () => {
    const { world, server, client, dial } = bench();
    dial();
    drain(world);
    server.connection?.pauseReceiving();
    client.connection?.send([Buffer.alloc(10_000_000)]);
    drain(world);
    expect({ drains: client.drains, received: server.bytes.byteLength }).toEqual({ drains: 0, received: 0 });
    server.connection?.resumeReceiving();
    drain(world);
    expect({ drains: client.drains, received: server.bytes.byteLength }).toEqual({
      drains: 1,
      received: 1e7,
    });
  });

  it('finds out who queues without bound', () => {
    const { world, client, dial } = bench();
    dial();
    drain(world);
    expect(() => client.connection?.send([Buffer.alloc(65 << 20)])).toThrow(/I16/);
  });

  it('refuses where nobody listens and times out where the path is cut', () => {
    const { world, network, eve, client, dial } = bench();
    network.block('eve', 'adam');
    dial();
    drain(world);
    expect(client.failed).toMatch(/ETIMEDOUT/);
    network.healAll();
    eve.kill();
    dial();
    drain(world);
    expect(client.failed).toMatch(/ECONNREFUSED/);
  });

  it('delivers late what a cut path held back, and says nothing meanwhile', () => {
    const { world, network, server, client, dial } = bench();
    dial();
    drain(world);
    network.block('adam', 'eve');
    client.connection?.send([Buffer.from('one')]);
    drain(world);
    client.connection?.send([Buffer.from('two')]);
    server.connection?.send([Buffer.from('other way')]);
    drain(world);
    expect(server.bytes.toString()).toBe('');
    expect(client.bytes.toString()).toBe('other way');
    network.heal('adam', 'eve');
    drain(world);
    expect(server.bytes.toString()).toBe('onetwo');
    expect([server.closed, client.closed]).toEqual([null, null]);
  });

  it('delivers everything that was sent before the end, then the end', () => {
    const { world, server, client, dial } = bench();
    dial();
    drain(world);
    client.connection?.send([Buffer.from('last words')]);
    world.after(5, () => client.connection?.destroy());
    drain(world);
    expect(server.bytes.toString()).toBe('last words');
    expect([server.closed, client.closed]).toEqual(['end', 'end']);
  });

  it('closes the connections of a killed process', () => {
    const { world, eve, client, dial } = bench();
    dial();
    drain(world);
    eve.kill();
    drain(world);
    expect(client.closed).toBe('end');
  });

  it('leaves a connection half-open when a host loses power, until it speaks to it again', () => {
    const { world, network, eve, client, dial } = bench();
    dial();
    drain(world);
    network.powerOff('eve');
    eve.kill();
    drain(world);
    client.connection?.send([Buffer.from('anybody there?')]);
    drain(world);
    expect(client.closed).toBe(null);
    network.powerOn('eve');
    client.connection?.send([Buffer.from('and now?')]);
    drain(world);
    expect(client.closed).toMatch(/ECONNRESET/);
  });

  it('holds everything for a stopped process', () => {
    const { world, eve, server, client, dial } = bench();
    dial();
    drain(world);
    eve.stop();
    client.connection?.send([Buffer.from('wake')]);
    drain(world);
    expect(server.bytes.toString()).toBe('');
    eve.proceed();
    drain(world);
    expect(server.bytes.toString()).toBe('wake');
  });

  it('flips bits, one per piece hit, and counts them', () => {
    const { world, server, client, dial } = bench(1, { bitFlip: 1 });
    dial();
    drain(world);
    const sent = Buffer.alloc(100_000);
    client.connection?.send([sent]);
    drain(world);
    const flipped = [...server.bytes].filter((byte) => byte !== 0);
    expect(flipped.length).toBeGreaterThan(0);
    expect(flipped).toHaveLength(world.counts.get('bit flipped on the link') ?? 0);
    for (const byte of flipped) expect(byte & (byte - 1)).toBe(0);
  });

  it('sends chunks as they are when they leave: who changes them too early is found out', () => {
    const { world, server, client, dial } = bench();
    dial();
    drain(world);
    const chunk = Buffer.from('before');
    client.connection?.send([chunk]);
    chunk.write('after!');
    drain(world);
    expect(server.bytes.toString()).toBe('after!');
  });

  it('resets both ends at once', () => {
    const { world, network, server, client, dial } = bench();
    dial();
    drain(world);
    network.reset('adam', 'eve');
    drain(world);
    expect(server.closed).toMatch(/ECONNRESET/);
    expect(client.closed).toMatch(/ECONNRESET/);
  });
});
