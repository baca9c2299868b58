import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createReplicaMetadata,
  openReplicaMetadata,
  type ReplicaMetadata,
  readReplicaMetadata,
} from '../../adapters/block/replica-metadata.ts';
import { metadataByteSize, slotByteSize } from '../../adapters/block/replica-metadata-codec.ts';
import type { ReplicaRecord } from '../../adapters/block/replica-record.ts';
import { withObservation } from '../../adapters/block/replica-record.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import { PowerLossDevice, PowerLossStorage } from './power-loss-device.ts';
import { sampleRecord } from './replica-samples.ts';

type Outcome = { readonly error: Error | null; readonly metadata: ReplicaMetadata | null };

class Disk {
  readonly storage = new PowerLossStorage(metadataByteSize);
  device = new PowerLossDevice(this.storage);

  create(record: ReplicaRecord = sampleRecord): ReplicaMetadata {
    return must(this.outcome((done) => createReplicaMetadata(this.device, record, done)));
  }

  open(expected: ReplicaRecord = sampleRecord): Outcome {
    this.device = new PowerLossDevice(this.storage);
    return this.outcome((done) => openReplicaMetadata(this.device, expected, done));
  }

  /** The process that opens it dies too, after a few steps. */
  openAndDie(steps: number, choose: (count: number) => number): void {
    this.device = new PowerLossDevice(this.storage);
    openReplicaMetadata(this.device, sampleRecord, () => undefined);
    for (let step = 0; step < steps; step += 1) this.device.step(0);
    this.device.kill(choose);
    this.storage.losePower(choose);
  }

  outcome(start: (done: (error: Error | null, metadata: ReplicaMetadata | null) => void) => void): Outcome {
    const outcomes: Outcome[] = [];
    start((error, metadata) => outcomes.push({ error, metadata }));
    this.device.drain();
    const [only] = outcomes;
    if (only === undefined || outcomes.length > 1) throw new Error(`${outcomes.length} answers`);
    return only;
  }
}

function must({ error, metadata }: Outcome): ReplicaMetadata {
  if (metadata === null) throw error ?? new Error('neither metadata nor error');
  return metadata;
}

const atEpoch = (epoch: number) => (record: ReplicaRecord) => ({ ...record, epoch });

/** Changes in every sector of the slot, so that it can be torn anywhere. */
const longAtEpoch = (epoch: number) => (record: ReplicaRecord) => ({
  ...record,
  epoch,
  paused: `${epoch} `.repeat(300),
  journalHead: { incarnation: 1, sequence: epoch, hash: '' },
});

const choices = fc.oneof(
  fc.constantFrom([0], [1], [2]),
  fc.array(fc.nat(3), { minLength: 1, maxLength: 30 }),
);
const actions = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('update' as const) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom('fail-before' as const, 'fail-after' as const) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom('kill' as const, 'power' as const),
        choices,
        openings: fc.array(fc.nat(6), { maxLength: 2 }),
      }),
    },
  ),
  { maxLength: 60 },
);

describe('replica metadata', () => {
  it('after any crash it is the last record that was answered, or a later one that was asked for', () => {
    fc.assert(
      fc.property(actions, choices, (sequence, left) => {
        const disk = new Disk();
        let metadata = disk.create();
        let answered = 0;
        let asked = 0;
        const crash = (kind: 'kill' | 'power', from: readonly number[], openings: readonly number[]) => {
          let at = 0;
          const choose = (count: number) => (from[at++ % from.length] ?? 0) % count;
          disk.device.kill(choose);
          if (kind === 'power') disk.storage.losePower(choose);
          for (const steps of openings) disk.openAndDie(steps, choose);
          metadata = must(disk.open());
          expect(metadata.value.epoch).toBeGreaterThanOrEqual(answered);
          expect(metadata.value.epoch).toBeLessThanOrEqual(asked);
          answered = metadata.value.epoch;
        };
        for (const action of sequence) {
          switch (action.kind) {
            case 'update': {
              asked += 1;
              const epoch = asked;
              metadata.update(longAtEpoch(epoch), (error) => {
                if (error === null) answered = Math.max(answered, epoch);
                if (error === null) expect(metadata.value.epoch).toBeGreaterThanOrEqual(epoch);
              });
              break;
            }
            case 'step':
              disk.device.step(0);
              break;
            case 'fail-before':
            case 'fail-after':
              disk.device.step(0, action.kind === 'fail-before' ? 'before' : 'after');
              break;
            case 'kill':
            case 'power':
              crash(action.kind, action.choices, action.openings);
              break;
            default:
              action satisfies never;
          }
        }
        crash('power', left, []);
      }),
      { numRuns: 1_000 },
    );
  });

  it('one decayed copy, whichever, loses nothing that was answered, and is told', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.constantFrom(0, 1), fc.nat(300), (updates, slot, at) => {
        const disk = new Disk();
        const metadata = disk.create();
        for (let epoch = 1; epoch <= updates; epoch += 1) {
          metadata.update(atEpoch(epoch), () => undefined);
          disk.device.drain();
        }
        disk.storage.damage(slot * slotByteSize + at, 3);
        const reopened = must(disk.open());
        expect(reopened.value.epoch).toBe(updates);
        expect(reopened.notice).toMatch(/one copy .* torn/);
        expect(must(disk.open()).notice).toBeNull();
      }),
    );
  });

  it('two damaged copies are an error, never a fresh record', () => {
    const disk = new Disk();
    disk.create();
    disk.storage.damage(40, 1);
    disk.storage.damage(slotByteSize + 40, 1);
    expect(disk.open().error).toMatchObject({ code: 'metadata-damaged' });
    expect(
      disk.outcome((done) => createReplicaMetadata(disk.device, sampleRecord, done)).error,
    ).toMatchObject({ code: 'path-in-use' });
  });

  it('a blank device has no metadata; one that has some is not made anew', () => {
    const disk = new Disk();
    expect(disk.open().error).toMatchObject({ code: 'metadata-missing' });
    disk.create();
    expect(
      disk.outcome((done) => createReplicaMetadata(disk.device, sampleRecord, done)).error,
    ).toMatchObject({ code: 'path-in-use' });
  });

  it.each([
    ['other-cluster', { cluster: 'hell' }],
    ['other-resource', { tag: Tag.parse('other') }],
    ['other-resource', { resource: 'eve-1-8' }],
    ['other-node', { node: NodeName.parse('adam') }],
    ['volume-mismatch', { volumes: [] }],
  ])('a replica of someone else is refused: %s', (code, change) => {
    const disk = new Disk();
    disk.create();
    const { error, metadata } = disk.open({ ...sampleRecord, ...change });
    expect(metadata).toBeNull();
    expect(error).toMatchObject({ code });
    expect(error?.message).toMatch(/belongs to datarep-ext3|has the volumes data/);
  });

  it('updates that wait share one flush, apply in order, and show only when durable', () => {
    const disk = new Disk();
    const metadata = disk.create();
    disk.device.drain();
    const before = disk.device.flushCount;
    const done: number[] = [];
    for (let epoch = 1; epoch <= 10; epoch += 1) {
      metadata.update(
        (record) => ({ ...record, epoch, promised: record.promised + 1 }),
        () => done.push(epoch),
      );
    }
    expect(metadata.value.epoch).toBe(0);
    // The first alone, the nine others together, then the copy for quiet times.
    disk.device.drain();
    expect(disk.device.flushCount - before).toBe(3);
    expect(done).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(metadata.value).toMatchObject({ epoch: 10, promised: 10 });
  });

  it('is settled at once when nothing is under way, else when all that was asked for before is durable', () => {
    const disk = new Disk();
    const metadata = disk.create();
    disk.device.drain();
    const epochs: number[] = [];
    const settled = () => metadata.settled(() => epochs.push(metadata.value.epoch));
    settled();
    metadata.update(atEpoch(1), () => undefined);
    settled();
    metadata.update(atEpoch(2), () => undefined);
    settled();
    expect(epochs).toEqual([0]);
    disk.device.drain();
    // The first alone; what came meanwhile together with the second.
    expect(epochs).toEqual([0, 2, 2]);
  });

  it('a change that breaks the schema, or does not fit, fails alone and leaves the record', () => {
    const disk = new Disk();
    const metadata = disk.create();
    const codes: unknown[] = [];
    const update = (change: (record: ReplicaRecord) => ReplicaRecord) =>
      metadata.update(change, (error) => codes.push(error !== null && 'code' in error ? error.code : error));
    update(atEpoch(1));
    update(atEpoch(-1));
    update((record) => ({ ...record, promised: 7 }));
    disk.device.drain();
    update((record) => ({ ...record, paused: 'x'.repeat(slotByteSize) }));
    disk.device.drain();
    expect(codes).toEqual([null, 'metadata-invalid', null, 'metadata-too-large']);
    expect(must(disk.open()).value).toMatchObject({ epoch: 1, promised: 7, paused: null });
  });

  it('numbers observations without a gap', () => {
    const twice = withObservation(withObservation(sampleRecord, { type: 'a' }), { type: 'b', peer: 'adam' });
    expect(twice.observations).toEqual({
      next: 3,
      pending: [
        { observation: 1, type: 'a' },
        { observation: 2, type: 'b', peer: 'adam' },
      ],
    });
  });

  it('closes only after what waits has been written', () => {
    const disk = new Disk();
    const metadata = disk.create();
    const order: string[] = [];
    metadata.update(atEpoch(1), () => order.push('updated'));
    metadata.close(() => order.push('closed'));
    disk.device.drain();
    expect(order).toEqual(['updated', 'closed']);
  });

  it('is read without being written', () => {
    const disk = new Disk();
    disk.create();
    const { version } = disk.storage;
    let epoch: number | undefined;
    readReplicaMetadata(disk.device, (_, content) => {
      epoch = content?.record.epoch;
    });
    disk.device.drain();
    expect(epoch).toBe(0);
    expect(disk.storage.version).toBe(version);
  });
});
