import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Done } from '../../adapters/block/block-device.ts';
import { CorruptingProxy } from '../link/corrupting-proxy.ts';
import { Lab, type NodeUnderTest } from './engine-under-test.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const region = 64 * KiB;
const volumeBytes = 8 * MiB;
const page = (label: number) => Buffer.alloc(4 * KiB, label);

/** Settled says whether the write has been acknowledged. */
function pending(write: Promise<void>): { readonly settled: () => boolean; readonly write: Promise<void> } {
  let isSettled = false;
  void write.then(
    () => {
      isSettled = true;
    },
    () => {
      isSettled = true;
    },
  );
  return { settled: () => isSettled, write };
}

const types = (node: NodeUnderTest) => node.observations.map(({ type }) => type);
const clean = (source: NodeUnderTest, target: NodeUnderTest) =>
  source.until(
    'clean logs on both sides',
    () => source.peer(target).dirtyRegions === 0 && target.peer(source).dirtyRegions === 0,
  );

describe('losing a target (REQUIREMENTS 2.3, FAULTS 3, 27)', () => {
  let lab: Lab;
  let proxy: CorruptingProxy | null;
  beforeEach(() => {
    lab = new Lab();
    proxy = null;
  });
  afterEach(async () => {
    await proxy?.close();
    await lab.close();
  });

  /** adam dials eve through the proxy. */
  async function proxied(alone: boolean, mode = 'sync'): Promise<readonly [NodeUnderTest, NodeUnderTest]> {
    const adam = lab.node('adam', { volumeBytes, alone });
    const eve = lab.node('eve', { volumeBytes, alone });
    await adam.open({ isFirst: true });
    await eve.open();
    proxy = await CorruptingProxy.start({ host: '127.0.0.1', port: eve.port });
    eve.dialedPort = proxy.endpoint.port;
    await adam.ordered({ order: 'serve', epoch: 1 });
    await adam.connect(eve, { mode });
    await eve.connect(adam, { mode });
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.inSync(eve);
    await clean(adam, eve);
    return [adam, eve];
  }

  it('FAULTS 3: without a controller the links decide; "out of sync since g" is durable before the write is acknowledged', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes, alone: true });
    await clean(adam, eve);
    const before = adam.replica.generation;
    await eve.crash();
    const write = pending(adam.write(0, page(1)));
    expect(adam.engine.node?.replica.record.generation.peers).toMatchObject({ eve: { outOfSync: false } });
    await write.write;
    expect(adam.engine.node?.replica.record.generation.peers).toMatchObject({
      eve: { outOfSync: true, base: before },
    });
    expect(types(adam).slice(-2)).toEqual(['peer-out-of-sync', 'generation-started']);
    expect(adam.observations.at(-2)).toMatchObject({ peer: 'eve', since: before, because: 'lost' });
    expect(adam.replica.generation).not.toBe(before);
  });

  it('FAULTS 3: with a controller nothing is acknowledged until it says that the target is lost', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await eve.crash();
    const write = pending(adam.write(0, page(1)));
    await adam.until('the news of the stall', () => adam.notices.some(({ notice }) => notice === 'stalled'));
    await adam.until('silence beyond heartbeat × lost-after', () => (adam.peer(eve).heardMsAgo ?? 0) > 700);
    expect(write.settled()).toBe(false);
    await adam.ordered({ order: 'peer-lost', peer: 'eve' });
    await write.write;
  });

  it('FAULTS 3, variant: the link breaks, the bus works: the target records itself out of sync first', async () => {
    const [adam, eve] = await proxied(false);
    proxy?.swallow();
    const write = pending(adam.write(0, page(1)));
    await adam.until('the end of the session', () => !adam.peer(eve).connected);
    expect(write.settled()).toBe(false);
    expect(eve.replica.inSync).toBe(true);
    await eve.ordered({ order: 'record-out-of-sync', source: 'adam', epoch: 1 });
    expect(eve.replica.inSync).toBe(false);
    await adam.ordered({ order: 'peer-recorded-out-of-sync', peer: 'eve' });
    await write.write;
    const refused = await eve.order({ order: 'serve', epoch: 2 });
    expect(refused).toMatchObject({ ok: false, code: 'target-out-of-sync' });
  });

  it('a returning target is resynced partially: exactly the dirty regions', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes, alone: true });
    await clean(adam, eve);
    await eve.crash();
    for (const at of [0, 1, 5, 5, 77]) await adam.write(at * region, page(at + 1));
    expect(adam.peer(eve).dirtyRegions).toBe(4);
    await eve.open({ create: false });
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.connect(eve);
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
    const completed = adam.observations.findLast(({ type }) => type === 'resync-completed');
    expect(completed).toMatchObject({ kind: 'partial', bytes: 4 * region });
    expect(eve.replica.generation).toBe(adam.replica.generation);
  });

  it('a break of the link makes the target out of sync until it is resynced, and the stalled write is acknowledged', async () => {
    const [adam, eve] = await proxied(false);
    proxy?.swallow();
    const write = pending(adam.write(3 * region, page(9)));
    await adam.until('the end of the session', () => !adam.peer(eve).connected);
    expect(write.settled()).toBe(false);
    proxy?.passOn();
    await write.write;
    await adam.inSync(eve);
    expect(types(eve)).toContain('out-of-sync');
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('FAULTS 28: a flipped bit is never applied; the link is re-established and the mirror heals', async () => {
    const [adam, eve] = await proxied(true);
    for (let round = 0; round < 5; round += 1) {
      proxy?.flip('to-target', 300 * round, round);
      await adam.write(round * region, page(round + 1));
      await adam.inSync(eve);
    }
    expect(proxy?.flips).toBe(5);
    expect(eve.image().equals(adam.image())).toBe(true);
    const { corruptFrames } = eve.peer(adam);
    expect(corruptFrames).toBeGreaterThan(0);
    expect(eve.notices.some(({ notice }) => notice === 'link-corruption')).toBe(true);
  });

  it('FAULTS 12: a full queue makes an asynchronous mirror synchronous, drops nothing and shows', async () => {
    const [adam, eve] = await proxied(false, 'async');
    await adam.ordered({ order: 'settings', peer: 'eve', settings: { asyncLimit: 8 } });
    proxy?.swallow();
    const writes = Array.from({ length: 12 }, (_, at) => pending(adam.write(at * region, page(at + 1))));
    await adam.until('a full queue', () => writes.filter(({ settled }) => settled()).length === 8);
    await adam.until('the end of the session', () => !adam.peer(eve).connected);
    expect(adam.peer(eve)).toMatchObject({ queuedWrites: 8, congested: true });
    expect(writes.filter(({ settled }) => settled())).toHaveLength(8);
    expect(adam.notices).toContainEqual({ notice: 'congested', peer: 'eve', congested: true });
    await adam.ordered({ order: 'peer-lost', peer: 'eve' });
    await Promise.all(writes.map(({ write }) => write));
    proxy?.passOn();
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('memory-sync counts as sync: nothing is acknowledged that the target has not got', async () => {
    const [adam, eve] = await proxied(false, 'memory-sync');
    await adam.write(0, page(1));
    proxy?.swallow();
    const write = pending(adam.write(region, page(2)));
    await adam.until('the end of the session', () => !adam.peer(eve).connected);
    expect(write.settled()).toBe(false);
    await adam.ordered({ order: 'peer-lost', peer: 'eve' });
    await write.write;
  });

  it('in a new session a target says nothing of itself while its record is being written: it may become "in sync"', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    const { node } = eve.engine;
    if (node === null) throw new Error('eve is not open');
    const beginnings: Done[] = [];
    const settled = vi.spyOn(node.replica, 'settled').mockImplementation((done) => beginnings.push(done));
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'partial', force: true });
    await eve.until('a new session', () => beginnings.length > 0);
    await adam.until('a new session', () => adam.peer(eve).connected);
    // Changes that it would tell otherwise; the second is answered after the first would have been told.
    const [peer] = node.peers.values();
    if (peer === undefined) throw new Error('eve knows nobody');
    const told = vi.spyOn(peer.link, 'send');
    await eve.ordered({ order: 'flags', lastOwner: true });
    await eve.ordered({ order: 'flags', lastOwner: false });
    expect(told).not.toHaveBeenCalled();
    const write = pending(adam.write(0, page(1)));
    expect(write.settled()).toBe(false);
    settled.mockRestore();
    for (const begin of beginnings) begin(null);
    await write.write;
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('a target that leaves in order says so: no stall', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await eve.ordered({ order: 'leave-service' });
    await adam.write(0, page(1));
    expect(eve.replica).toMatchObject({ role: 'none', inSync: false });
  });
});
