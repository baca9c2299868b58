import { describe, expect, it } from 'vitest';
import { dryRun } from '../../domain/dry-run.ts';
import type { ReplicaFact } from '../../domain/facts.ts';
import { adam, command, eve, facts, given, mirrored, past } from './given.ts';

const region = 65_536;
const connected = past('mirror.connected', { source: eve, target: adam, inSync: true });
const replica = (dirtyBytes: Record<string, number | null>): ReplicaFact => ({
  epoch: 1,
  promised: 0,
  inSync: true,
  consistent: true,
  paused: false,
  rewound: false,
  related: true,
  behind: null,
  dirtyBytes,
});

describe('the size of a resync that would follow', () => {
  /** eve is to hand over to adam; each side says how many bytes it has marked for the other. */
  const planned = (eves: number | null, adams: number | null) => {
    const { state } = given(...mirrored(adam), connected);
    const replicas = { [eve]: replica({ [adam]: eves }), [adam]: replica({ [eve]: adams }) };
    const plan = dryRun(state, command('switchover', { node: adam }), facts({ replicas }));
    if (plan.kind !== 'planned') throw new Error(plan.refusal.message);
    return plan.resyncs[0];
  };

  it('is the larger of what the two sides have marked: most of it lies in the same regions', () => {
    expect(planned(3 * region, 2 * region)).toMatchObject({ kind: 'partial', bytes: 3 * region });
    expect(planned(0, 2 * region)).toMatchObject({ kind: 'partial', bytes: 2 * region });
  });

  it('is all of it where a side keeps no intent log', () => {
    expect(planned(null, region)).toMatchObject({ kind: 'full' });
  });
});
