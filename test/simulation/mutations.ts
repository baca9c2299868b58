import type { Mutation } from './mutant.ts';

/** Each must be caught within so many seeds from where it begins. */
export const mutationSeeds = 200;

/** Safety rules broken on purpose; each text occurs once, so that a change of the source cannot switch one off. */
export const mutations: readonly Mutation[] = [
  {
    name: 'acknowledge-before-target',
    rule: 'a write is acknowledged without waiting for the sync target (2.2)',
    changes: [
      { file: 'adapters/engine/mirror-stream.ts', find: 'if (isWaitedFor) operation.waiting += 1;', put: '' },
    ],
  },
  {
    name: 'clear-too-early',
    rule: 'regions are cleared before the target has them on stable storage (2.6)',
    changes: [
      {
        file: 'adapters/engine/clearing.ts',
        find: `mirror.stream.barrier(volume, (ok) => {
              if (!ok) holding.delete(mirror);
              next(null);
            });`,
        put: 'next(null);',
      },
    ],
  },
  {
    name: 'skip-inconsistent',
    rule: 'a target does not record that it is inconsistent before the first copy (I6)',
    changes: [
      {
        file: 'adapters/engine/target.ts',
        find: 'isCopied ? resyncTargetStarted(record, start.mark) : recordOutOfSync(record)',
        put: 'recordOutOfSync(record)',
      },
      {
        file: 'adapters/engine/target.ts',
        find: 'const { consistent } = this.#replica.record;',
        put: 'const consistent = false;',
      },
    ],
  },
  {
    name: 'ignore-overlap',
    rule: 'overlapping writes in flight are not serialised (2.4)',
    changes: [{ file: 'adapters/engine/range-lock.ts', find: 'range.blockers += 1;', put: '' }],
  },
  {
    name: 'acknowledge-alone-too-early',
    rule: 'the source acknowledges alone before "out of sync" is durable beside its replica (2.3)',
    changes: [
      {
        file: 'adapters/engine/mirror.ts',
        find: '(next) => replica.observe(observation, (record) => losePeer(record, node), next),',
        put: `(next) => {
        replica.observe(observation, (record) => losePeer(record, node), ignore);
        next(null);
      },`,
      },
    ],
  },
  {
    name: 'target-marks-for-one',
    rule: 'a target does not mark for the other targets what the source sends it (2.6)',
    changes: [
      {
        file: 'adapters/engine/apply-queue.ts',
        find: 'const isMarked = markRegions(volume, message.offset,',
        put: `const one = { markable: volume.markable.slice(0, 1) } as unknown as Volume;
    const isMarked = markRegions(one, message.offset,`,
      },
    ],
  },
  {
    name: 'clear-for-absent',
    rule: 'targets clear their marks for each other although one of them does not have the write (2.6)',
    changes: [
      {
        file: 'adapters/engine/clearing.ts',
        find: 'for (const other of holding) {',
        put: 'for (const other of this.#mirrors.values()) {',
      },
    ],
  },
  {
    name: 'ignore-bits-of-target',
    rule: 'a resync copies what the source has marked, without what the target has (2.7)',
    from: 105,
    changes: [
      {
        file: 'adapters/engine/mirror-resync.ts',
        find: 'bits.set(payload, at);',
        put: '',
      },
    ],
  },
  {
    name: 'clear-by-one-volume',
    rule: 'regions of all volumes are cleared when the first volume is on stable storage (2.6)',
    changes: [
      {
        file: 'adapters/engine/clearing.ts',
        find: 'const steps = volumes.flatMap(',
        put: 'const steps = volumes.slice(0, 1).flatMap(',
      },
    ],
  },
];
