import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { monotonicClock } from '../../adapters/engine/real-ports.ts';
import { FaultDevice, type FaultRule } from '../block/fault-device.ts';
import { Lab, type NodeUnderTest } from './engine-under-test.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const volumeBytes = 4 * MiB;
const page = (label: number) => Buffer.alloc(4 * KiB, label);

describe('disks that fail (FAULTS 15, 27, 31)', () => {
  let lab: Lab;
  let faults: Map<string, FaultDevice>;
  beforeEach(() => {
    lab = new Lab({ writeTimeoutMs: 400 });
    faults = new Map();
  });
  afterEach(async () => {
    for (const device of faults.values()) device.setRules([]);
    await lab.close();
  });

  const options = {
    volumeBytes,
    wrap: (device: ConstructorParameters<typeof FaultDevice>[0], path: string) => {
      const wrapped = new FaultDevice(device, monotonicClock);
      faults.set(path, wrapped);
      return wrapped;
    },
  };
  const fault = (node: NodeUnderTest, ...rules: FaultRule[]) => faults.get(node.volumePath)?.setRules(rules);
  const eio = (operations: FaultRule['operations']): FaultRule => ({
    operations,
    fault: { kind: 'error', code: 'EIO' },
  });

  it('FAULTS 31: the target’s disk fails: it says so durably, never acknowledges; the source goes on alone', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    fault(eve, eio(['write']));
    await adam.write(0, page(1));
    expect(eve.replica).toMatchObject({ inSync: false, consistent: false, failed: 'EIO' });
    expect(adam.observations).toContainEqual(
      expect.objectContaining({ type: 'peer-out-of-sync', peer: 'eve', because: 'failed' }),
    );
    expect(eve.observations).toContainEqual(
      expect.objectContaining({ type: 'disk-failed', during: 'write' }),
    );
    expect(await eve.order({ order: 'serve', epoch: 2 })).toMatchObject({ ok: false, code: 'device-failed' });
    await adam.write(64 * KiB, page(2));
    expect(adam.peer(eve).status).not.toBe('fully-operational');
  });

  it('FAULTS 31: the source’s disk fails: EIO to the application, and nothing is acknowledged after it', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    await adam.write(0, page(1));
    fault(adam, eio(['write']));
    await expect(adam.write(0, page(2))).rejects.toMatchObject({ code: 'EIO' });
    fault(adam);
    await expect(adam.write(0, page(3))).rejects.toMatchObject({ code: 'EIO' });
    expect(adam.replica.failed).toBe('EIO');
    await adam.until('the news', () => adam.observations.some(({ type }) => type === 'disk-failed'));
    expect(adam.peer(eve).dirtyRegions).toBeGreaterThan(0);
  });

  it('FAULTS 31: a source whose disk failed is no measure: a verify is interrupted by it, and the next one refused', async () => {
    const [adam] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    await adam.write(0, page(1));
    const frozenReads: FaultRule = { operations: ['read'], fault: { kind: 'freeze' } };
    fault(adam, frozenReads);
    await adam.ordered({ order: 'verify', peer: 'eve' });
    await adam.until('its reads', () => (faults.get(adam.volumePath)?.frozenCount ?? 0) > 0);
    fault(adam, frozenReads, eio(['write']));
    await expect(adam.write(3 * MiB, page(2))).rejects.toMatchObject({ code: 'EIO' });
    fault(adam);
    await adam.until('the end', () => adam.observations.some(({ type }) => type === 'verify-interrupted'));
    expect(adam.observations.some(({ type }) => type === 'verify-completed')).toBe(false);
    expect(await adam.order({ order: 'verify', peer: 'eve' })).toMatchObject({
      ok: false,
      code: 'device-failed',
    });
  });

  it('FAULTS 31: a failed flush is an error to the application, not a success at the second try', async () => {
    const [adam] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    await adam.write(0, page(1));
    fault(adam, eio(['flush']));
    await expect(adam.flush()).rejects.toMatchObject({ code: 'EIO' });
    fault(adam);
    await expect(adam.flush()).rejects.toMatchObject({ code: 'EIO' });
  });

  it('FAULTS 27: a target that answers pings but no write is asked to record itself out of sync', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    fault(eve, { operations: ['write'], fault: { kind: 'freeze' } });
    await adam.write(0, page(1));
    expect(eve.replica.inSync).toBe(false);
    expect(adam.notices).toContainEqual({ notice: 'stalled', peer: 'eve', because: 'write-timeout' });
    fault(eve);
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('a target whose disk hangs in a comparison of a resync does not hold writes back for longer than write-timeout', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    await adam.ordered({ order: 'settings', settings: { resyncChecksums: true } });
    fault(eve, { operations: ['read'], fault: { kind: 'freeze' } });
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await eve.until('a comparison', () => (faults.get(eve.volumePath)?.frozenCount ?? 0) > 0);
    await adam.write(0, page(1));
    fault(eve);
    await adam.inSync(eve);
    expect(eve.image().equals(adam.image())).toBe(true);
  });

  it('a flush waits for the disk of an in-sync sync target, not for that of an asynchronous one (I14)', async () => {
    const [adam, eve, mia] = await lab.mirror({ adam: 'sync', eve: 'sync', mia: 'async' }, options);
    await adam.write(0, page(1));
    fault(mia, { operations: ['flush'], fault: { kind: 'freeze' } });
    await adam.flush();
    fault(eve, { operations: ['flush'], fault: { kind: 'freeze' } });
    let isFlushed = false;
    const flush = adam.flush().then(() => {
      isFlushed = true;
    });
    await eve.until('a flush on its disk', () => (faults.get(eve.volumePath)?.frozenCount ?? 0) > 0);
    expect(isFlushed).toBe(false);
    fault(eve);
    await flush;
  });

  it('a slow target keeps its writes in order and ends equal', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'async' }, options);
    fault(eve, { operations: ['write'], fault: { kind: 'delay', ms: 2 } });
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(
        [1, 2, 3, 4].map((at) => adam.write(((round + at) % 5) * 2048, page(round * 4 + at))),
      );
    }
    await adam.until('an empty queue', () => adam.peer(eve).queuedWrites === 0);
    await eve.until('equal images', () => eve.image().equals(adam.image()));
  });
});

describe('bitmaps that cannot be written (FAULTS 15)', () => {
  let lab: Lab;
  let bitmaps: FaultDevice[];
  beforeEach(() => {
    lab = new Lab();
    bitmaps = [];
  });
  afterEach(() => lab.close());

  const options = {
    volumeBytes,
    wrapLog: (device: ConstructorParameters<typeof FaultDevice>[0]) => {
      const wrapped = new FaultDevice(device, monotonicClock);
      bitmaps.push(wrapped);
      return wrapped;
    },
  };

  it('"invalid: full resync" is durable before the write goes on; the next resync is full', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    await adam.until('clean logs', () => adam.peer(eve).dirtyRegions === 0);
    bitmaps[0]?.setRules([{ operations: ['write'], fault: { kind: 'error', code: 'ENOSPC' } }]);
    await adam.write(0, page(1));
    expect(adam.engine.node?.replica.record.generation.peers).toMatchObject({
      eve: { intentLog: 'invalid' },
    });
    expect(adam.observations).toContainEqual(
      expect.objectContaining({ type: 'intent-log-invalid', peer: 'eve' }),
    );
    await adam.write(MiB, page(2));
    expect(eve.image().equals(adam.image())).toBe(true);
    bitmaps[0]?.setRules([]);
    await eve.crash();
    await eve.open({ create: false });
    await adam.connect(eve);
    await eve.ordered({ order: 'become-target', epoch: 1 });
    await adam.inSync(eve);
    expect(adam.observations.findLast(({ type }) => type === 'resync-completed')).toMatchObject({
      kind: 'full',
    });
    expect(adam.engine.node?.replica.record.generation.peers).toMatchObject({ eve: { intentLog: 'kept' } });
  });

  it('a resync in which the bitmap of the target fails does not make that bitmap good again', async () => {
    const [adam, eve] = await lab.mirror({ adam: 'sync', eve: 'sync' }, options);
    await adam.until('clean logs', () => adam.peer(eve).dirtyRegions + eve.peer(adam).dirtyRegions === 0);
    bitmaps[1]?.setRules([{ operations: ['write'], fault: { kind: 'error', code: 'ENOSPC' } }]);
    await adam.ordered({ order: 'resync', peer: 'eve', kind: 'full', force: true });
    await eve.until('an invalid log', () =>
      eve.observations.some(({ type }) => type === 'intent-log-invalid'),
    );
    await adam.inSync(eve);
    expect(eve.engine.node?.replica.record.generation.peers).toMatchObject({
      adam: { intentLog: 'invalid' },
    });
  });
});
