import { describe, expect, it } from 'vitest';
import { whyNotEligible } from '../../domain/eligibility.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { ReplicaFact } from '../../domain/facts.ts';
import type { RefusalCode } from '../../domain/refusals.ts';
import {
  adam,
  command,
  eve,
  facts,
  given,
  lost,
  mirrored,
  past,
  resyncStarted,
  sophocles,
  tag,
} from './given.ts';

const pair = { source: eve, target: adam };
const trouble: readonly (readonly [string, RefusalCode, readonly AnyEvent[]])[] = [
  ['resyncing', 'target-resyncing', [resyncStarted(eve, adam, 'partial')]],
  [
    'whose resync was interrupted',
    'target-resyncing',
    [resyncStarted(eve, adam, 'partial'), past('resync.interrupted', { ...pair, why: 'link' })],
  ],
  ['paused', 'target-paused', [past('mirror.paused', { ...pair, by: 'operator', reason: 'backup' })]],
  [
    'out of sync',
    'target-out-of-sync',
    [past('mirror.lost-sync', { ...pair, generation: null, why: 'lost', known: true })],
  ],
  [
    'that began anew and has not met the source since',
    'target-out-of-sync',
    [past('mirror.disconnected', { ...pair, why: 'restarted', away: true }, { node: adam })],
  ],
  [
    'whose disk failed',
    'target-inconsistent',
    [past('disk.failed', { node: adam, volume: null, error: 'EIO' })],
  ],
];

const record: ReplicaFact = {
  epoch: 1,
  promised: 1,
  inSync: true,
  consistent: true,
  paused: false,
  rewound: false,
  related: true,
  behind: null,
  dirtyBytes: {},
};

describe('rule 4: no failover and no switchover to a target', () => {
  it.each(trouble)('%s', (_, code, events) => {
    const world = given(...mirrored(), ...events);
    expect(world.when(command('switchover', { node: adam })).refusal()).toBe(code);
    const cut = given(...mirrored(), ...events, lost(eve));
    const known = facts({ self: adam, reachable: [adam, sophocles] });
    expect(cut.when(command('failover', { node: adam }), known).refusal()).toBe(code);
  });

  it('that never completed a resync', () => {
    const { state } = given(...mirrored(adam));
    const resource = { ...state.resources[tag] } as never as Parameters<typeof whyNotEligible>[0];
    const replica = resource.replicas[adam];
    const inconsistent = {
      ...resource,
      replicas: { ...resource.replicas, adam: { ...replica, data: 'inconsistent' } },
    } as typeof resource;
    expect(whyNotEligible(inconsistent, adam)?.code).toBe('target-inconsistent');
    const rewound = {
      ...resource,
      replicas: { ...resource.replicas, adam: { ...replica, data: 'rewound' } },
    } as typeof resource;
    expect(whyNotEligible(rewound, adam)?.code).toBe('target-rewound');
  });

  it('that is unreachable, or whose link is down', () => {
    const world = given(...mirrored());
    const known = facts({ reachable: [eve, sophocles] });
    expect(world.when(command('switchover', { node: adam }), known).refusal()).toBe('target-unreachable');
    const down = given(
      ...mirrored(),
      past('mirror.disconnected', { ...pair, why: 'timed-out', away: false }),
    );
    expect(down.when(command('switchover', { node: adam })).refusal()).toBe('target-unreachable');
  });

  it.each([
    ['inconsistent', { consistent: false }],
    ['out of sync', { inSync: false }],
    ['paused', { paused: true }],
    ['rewound', { rewound: true }],
    ['at a later epoch', { epoch: 7 }],
  ] as const)('whose own record says that it is %s (rule 13: it can only veto)', (_, said) => {
    const known = facts({ replicas: { adam: { ...record, ...said } } });
    expect(
      given(...mirrored())
        .when(command('switchover', { node: adam }), known)
        .refusal(),
    ).toBe('history-mismatch');
  });

  it('but to one that is in sync', () => {
    const known = facts({ replicas: { adam: record } });
    expect(
      given(...mirrored())
        .when(command('switchover', { node: adam }), known)
        .types(),
    ).toEqual(['switchover.started']);
  });
});
