import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, type NodeUnderTest } from './engine-under-test.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const region = 64 * KiB;
const volumeBytes = 4 * MiB;
const page = (label: number) => Buffer.alloc(4 * KiB, label);
/** No replica has a mark for any other. */
const quiet = async (...nodes: readonly NodeUnderTest[]) => {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node);
    await node.until('clean logs', () => others.every((other) => node.peer(other).dirtyRegions === 0));
  }
};
const lastResync = async (source: NodeUnderTest, target: NodeUnderTest) => {
  await source.inSync(target);
  return source.observations.findLast(
    (observation) => observation.type === 'resync-completed' && observation.peer === target.name,
  );
};

describe('roles', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab();
  });
  afterEach(() => lab.close());

  it('FAULTS 1: the source dies; an in-sync target serves without force; the old source returns by a partial resync', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await quiet(adam, eve);
    for (const at of [0, 1, 2]) await adam.write(at * region, page(at + 1));
    const image = adam.image();
    await adam.crash();
    const before = eve.replica.generation;
    await eve.ordered({ order: 'serve', epoch: 2, without: ['adam'] });
    expect(eve.image().equals(image)).toBe(true);
    expect(eve.replica.generation).toBe(before);
    await eve.write(9 * region, page(10));
    expect(eve.replica.generation).not.toBe(before);

    await adam.open({ create: false });
    expect(adam.replica).toMatchObject({ role: 'none', lastOwner: true });
    await adam.connect(eve);
    await adam.ordered({ order: 'become-target', epoch: 2 });
    await eve.inSync(adam);
    expect(adam.image().equals(eve.image())).toBe(true);
    expect(await lastResync(eve, adam)).toMatchObject({ kind: 'partial' });
    expect(adam.replica).toMatchObject({
      lastOwner: false,
      inSync: true,
      generation: eve.replica.generation,
    });
  });

  it('a returning source is refused an epoch that was served elsewhere, and follows nobody with a lower one', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await adam.crash();
    await eve.ordered({ order: 'serve', epoch: 2, without: ['adam'] });
    await eve.write(0, page(1));
    await adam.open({ create: false });
    await adam.connect(eve);
    await adam.ordered({ order: 'become-target', epoch: 2 });
    await eve.inSync(adam);
    expect(await adam.order({ order: 'serve', epoch: 1 })).toMatchObject({ ok: false, code: 'stale-epoch' });
    expect(await adam.order({ order: 'serve', epoch: 2 })).toMatchObject({ ok: false, code: 'stale-epoch' });
  });

  it('FAULTS 10: both wrote: split brain on both sides, no byte copied; the victim is resynced partially on demand', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await quiet(adam, eve);
    await adam.crash();
    await eve.ordered({ order: 'serve', epoch: 2, without: ['adam'] });
    await eve.write(0, page(1));
    await adam.open({ create: false });
    await adam.ordered({ order: 'serve', epoch: 3, without: ['eve'] });
    await adam.write(region, page(2));
    const images = [adam.image(), eve.image()];
    await adam.connect(eve);
    await eve.connect(adam);
    await adam.until('split brain', () => adam.observations.some(({ type }) => type === 'split-brain'));
    await eve.until('split brain', () => eve.observations.some(({ type }) => type === 'split-brain'));
    expect([adam, eve].every((node, index) => node.image().equals(images[index] ?? Buffer.of()))).toBe(true);

    await eve.ordered({ order: 'leave-service' });
    await eve.ordered({ order: 'become-target', epoch: 3 });
    await adam.until('a refusal', () => adam.peer(eve).status === 'split-brain');
    expect(eve.image().equals(images[1] ?? Buffer.alloc(0))).toBe(true);
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'partial', force: true });
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
    expect(await lastResync(adam, eve)).toMatchObject({ kind: 'partial', bytes: 2 * region });
  });

  it('I4: a source that becomes split by its own first write says so, though the other one says nothing new', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await quiet(adam, eve);
    await eve.crash();
    await adam.ordered({ order: 'peer-lost', peer: 'eve' });
    await adam.write(0, page(1));
    await adam.crash();
    await eve.open({ create: false });
    await eve.ordered({ order: 'serve', epoch: 2, force: true, without: ['adam'] });
    await adam.open({ create: false });
    await adam.ordered({ order: 'become-target', epoch: 2 });
    await adam.connect(eve);
    await eve.connect(adam);
    await eve.until('a refusal', () => eve.peer(adam).refusal === 'target-out-of-sync');
    await eve.write(region, page(2));
    await eve.until('split brain', () => eve.peer(adam).refusal === 'split-brain');
    await eve.until('word of it', () => eve.observations.some(({ type }) => type === 'split-brain'));
  });

  it('two sources with one epoch: who follows the one is not taken by the other', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    const mia = lab.node('mia', { volumeBytes });
    await mia.open({ isFirst: true });
    await mia.ordered({ order: 'serve', epoch: 1 });
    await mia.connect(eve);
    await eve.connect(mia);
    await mia.until('a refusal', () => mia.peer(eve).refusal === 'unrelated-data');
    await mia.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await mia.until('another refusal', () => mia.peer(eve).refusal === 'stale-epoch');
    // Nothing was given up by an order that eve did not take.
    expect(mia.engine.node?.replica.record.generation.history).not.toContain(adam.replica.generation);
    await adam.write(0, page(1));
    expect(adam.peer(eve).status).toBe('fully-operational');
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('I4: a new reign acknowledges nothing without an asynchronous target that knows nothing of it', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'async' }, { volumeBytes });
    await quiet(adam, eve);
    await adam.ordered({ order: 'leave-service' });
    await eve.crash();
    await adam.ordered({ order: 'serve', epoch: 2 });
    let isAcknowledged = false;
    const write = adam.write(0, page(1)).then(() => {
      isAcknowledged = true;
    });
    await adam.until('the local write', () => adam.image().subarray(0, page(1).length).equals(page(1)));
    expect(isAcknowledged).toBe(false);
    await adam.ordered({ order: 'peer-lost', peer: 'eve' });
    await write;
    expect(adam.engine.node?.replica.record.generation.peers).toMatchObject({ eve: { moved: true } });
  });

  it('FAULTS 11: both served, one wrote: no split brain, the writer is the source', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await quiet(adam, eve);
    await adam.crash();
    await eve.ordered({ order: 'serve', epoch: 2, without: ['adam'] });
    await eve.write(0, page(1));
    await adam.open({ create: false });
    await adam.ordered({ order: 'serve', epoch: 3, without: ['eve'] });
    await adam.ordered({ order: 'leave-service' });
    await adam.ordered({ order: 'become-target', epoch: 3 });
    await eve.ordered({ order: 'leave-service' });
    await eve.ordered({ order: 'serve', epoch: 4 });
    await eve.connect(adam);
    await adam.connect(eve);
    await eve.inSync(adam);
    expect(adam.observations.some(({ type }) => type === 'split-brain')).toBe(false);
    expect(adam.image().equals(eve.image())).toBe(true);
  });

  it('rule 6: a switchover with a third replica: every resulting mirror is a partial resync', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'sync' }, { volumeBytes });
    await quiet(adam, eve, mia);
    await mia.crash();
    await adam.ordered({ order: 'peer-lost', peer: 'mia' });
    for (const at of [3, 4]) await adam.write(at * region, page(at));
    await adam.ordered({ order: 'hand-over', to: 'eve', epoch: 2 });
    expect(adam.replica).toMatchObject({ role: 'none', serving: false, handedTo: { node: 'eve', epoch: 2 } });
    expect(await adam.order({ order: 'serve', epoch: 3 })).toMatchObject({ ok: false, code: 'handed-over' });
    await adam.ordered({ order: 'become-target', epoch: 2 });
    await eve.ordered({ order: 'serve', epoch: 2, without: ['mia'] });
    await eve.inSync(adam);
    await eve.write(7 * region, page(7));
    await mia.open({ create: false });
    await mia.ordered({ order: 'become-target', epoch: 2 });
    await eve.connect(mia);
    await mia.connect(eve);
    await eve.inSync(mia);
    expect(mia.image().equals(eve.image())).toBe(true);
    expect(adam.image().equals(eve.image())).toBe(true);
    expect(await lastResync(eve, adam)).toMatchObject({ kind: 'partial' });
    expect(await lastResync(eve, mia)).toMatchObject({ kind: 'partial', bytes: 3 * region });
  });

  it('cascade: the source of three dies; what the targets do not share is resynced partially among them', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'async' }, { volumeBytes });
    for (let at = 0; at < 20; at += 1) await adam.write(at * region, page(at + 1));
    await adam.crash();
    await eve.ordered({ order: 'serve', epoch: 2, without: ['adam'] });
    await mia.ordered({ order: 'become-target', epoch: 2 });
    await eve.inSync(mia);
    await eve.write(30 * region, page(99));
    await eve.until('an empty queue', () => eve.peer(mia).queuedWrites === 0);
    expect(mia.image().equals(eve.image())).toBe(true);
    expect(await lastResync(eve, mia)).toMatchObject({ kind: 'partial' });
  });

  it('FAULTS 4, 5: a target in the middle of a resync is refused, also after a restart; the resync goes on', async () => {
    const slow = new Lab({ resyncMin: 65_536, resyncMax: 131_072 });
    try {
      const adam = slow.node('adam', { volumeBytes });
      const eve = slow.node('eve', { volumeBytes });
      await adam.open({ isFirst: true });
      await eve.open();
      await adam.ordered({ order: 'serve', epoch: 1 });
      await adam.write(0, Buffer.alloc(volumeBytes / 2, 1));
      await adam.connect(eve);
      await eve.connect(adam);
      await eve.ordered({ order: 'become-target', epoch: 1 });
      for (const [node, peer] of [
        [adam, eve],
        [eve, adam],
      ] as const) {
        await node.until('some cleared regions', () => node.peer(peer).dirtyRegions < volumeBytes / region);
      }
      expect(await eve.order({ order: 'serve', epoch: 2 })).toMatchObject({
        ok: false,
        code: 'target-resyncing',
      });
      await eve.crash();
      await eve.open({ create: false });
      expect(eve.replica).toMatchObject({ consistent: false, inSync: false, resyncing: { source: 'adam' } });
      expect(await eve.order({ order: 'serve', epoch: 2 })).toMatchObject({
        ok: false,
        code: 'target-resyncing',
      });
      await adam.ordered({ order: 'settings', settings: { resyncMax: 0 } });
      await adam.connect(eve);
      await eve.ordered({ order: 'become-target', epoch: 1 });
      await adam.inSync(eve);
      expect(eve.image().equals(adam.image())).toBe(true);
      const bytes = adam.observations.flatMap((seen) => (seen.type === 'resync-started' ? [seen.bytes] : []));
      expect(bytes.at(-1)).toBeLessThan(volumeBytes);
    } finally {
      await slow.close();
    }
  });

  it('pause: durable on the target, writes go on; resume: partial resync', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await quiet(adam, eve);
    await adam.ordered({ order: 'pause', peer: 'eve', reason: 'backup' });
    expect(eve.replica).toMatchObject({ paused: 'backup', inSync: false, consistent: true });
    await adam.until('a paused mirror', () => adam.peer(eve).status === 'paused');
    const image = eve.image();
    await adam.write(region, page(5));
    expect(eve.image().equals(image)).toBe(true);
    expect(await eve.order({ order: 'serve', epoch: 2 })).toMatchObject({ ok: false, code: 'target-paused' });
    await adam.ordered({ order: 'resume', peer: 'eve' });
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
    expect(await lastResync(adam, eve)).toMatchObject({ kind: 'partial', bytes: region });
  });

  it('pause, asked for twice at once: both replies come when the target has recorded it', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    const pause = { order: 'pause', peer: 'eve', reason: 'backup' } as const;
    const replies = [adam.order(pause), adam.order(pause)];
    for (const reply of replies) {
      expect(await reply).toMatchObject({ ok: true });
      expect(eve.replica).toMatchObject({ paused: 'backup', inSync: false });
    }
  });

  it('rule 7: a promise is refused while the source is heard, and then binds', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'sync' }, { volumeBytes });
    const early = await eve.order({ order: 'promise', epoch: 2, to: 'mia' });
    expect(early).toMatchObject({ ok: false, code: 'source-alive' });
    await adam.crash();
    await eve.until('silence', () => (eve.peer(adam).heardMsAgo ?? 0) > 600);
    const asked = await mia.ordered({ order: 'ask-promise', peer: 'eve', epoch: 2 });
    expect(asked).toMatchObject({ promised: true });
    expect(await eve.order({ order: 'promise', epoch: 2, to: 'adam' })).toMatchObject({
      code: 'stale-epoch',
    });
    expect(await eve.order({ order: 'serve', epoch: 2 })).toMatchObject({ code: 'stale-epoch' });
    await mia.ordered({ order: 'serve', epoch: 2, without: ['adam'] });
    await mia.inSync(eve);
  });

  it('FAULTS 35: who leaves after a conflict waits for no write in flight, and acknowledges none of them', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await quiet(adam, eve);
    await eve.crash();
    const refused = expect(adam.write(0, page(1))).rejects.toThrow('not the source any more');
    await adam.until('a write that waits for eve', () => adam.replica.writesInFlight === 1);
    await adam.ordered({ order: 'leave-service', abandon: true });
    await refused;
    expect(adam.replica).toMatchObject({ role: 'none', serving: false });
    expect(adam.peer(eve).dirtyRegions).toBe(1);
    expect(adam.engine.node?.replica.record.crashedSource).toBe(true);
  });

  it('FAULTS 35: nor does it wait for a hand-over that waits for such a write', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'sync' }, { volumeBytes });
    await mia.crash();
    const write = adam.write(0, page(1)).then(
      () => 'acknowledged',
      () => 'refused',
    );
    const handOver = adam.order({ order: 'hand-over', to: 'eve', epoch: 2 });
    await adam.ordered({ order: 'leave-service', abandon: true });
    expect(await handOver).toMatchObject({ ok: false });
    expect(await write).toBe('refused');
    expect(eve.replica.role).toBe('target');
    expect(adam.replica.handedTo).toBeNull();
  });

  it('leaves service in order and serves again: nothing is copied', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, { volumeBytes });
    await adam.write(0, page(1));
    await adam.ordered({ order: 'leave-service' });
    expect(adam.replica).toMatchObject({ role: 'none', serving: false });
    expect(eve.image().equals(adam.image())).toBe(true);
    await adam.ordered({ order: 'serve', epoch: 2 });
    await adam.inSync(eve);
    expect(await lastResync(adam, eve)).toMatchObject({ bytes: 0 });
  });

  it('rule 13: unrelated data is never overwritten without being told to', async () => {
    const adam = lab.node('adam', { volumeBytes });
    const eve = lab.node('eve', { volumeBytes });
    await adam.open({ isFirst: true });
    await eve.open({ isFirst: true });
    await adam.ordered({ order: 'serve', epoch: 1 });
    await adam.connect(eve);
    await eve.connect(adam);
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.until('a refusal', () => adam.peer(eve).refusal === 'unrelated-data');
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await adam.inSync(eve);
  });

  it('FAULTS 26: a smaller target is refused before a byte is written', async () => {
    const adam = lab.node('adam', { volumeBytes });
    const eve = lab.node('eve', { volumeBytes: volumeBytes / 2 });
    await adam.open({ isFirst: true });
    await eve.open();
    await adam.ordered({ order: 'serve', epoch: 1 });
    await adam.write(0, page(1));
    await adam.connect(eve);
    await eve.connect(adam);
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.until('a refusal', () => adam.peer(eve).refusal === 'target-too-small');
    expect(eve.image().every((byte) => byte === 0)).toBe(true);
    const sized = { volumes: [{ name: 'v0', path: eve.volumePath, byteSize: volumeBytes }] };
    const mia = lab.node('mia', { volumeBytes: volumeBytes / 2 });
    await expect(
      mia.open({ ...sized, volumes: [{ ...sized.volumes[0], path: mia.volumePath }] }),
    ).rejects.toThrow('target-too-small');
  });
});
