import { describe, expect, it } from 'vitest';
import { standing } from '../../domain/react.ts';
import {
  adam,
  command,
  entered,
  eve,
  facts,
  given,
  lost,
  mirrored,
  past,
  resyncStarted,
  tag,
} from './given.ts';

const resyncing = [
  ...mirrored(adam),
  lost(eve),
  entered(adam, 2, 'failover', { node: eve, epoch: 1 }),
  past('node.returned', { node: eve, restarted: true }, { node: eve }),
  resyncStarted(adam, eve, 'partial'),
  lost(adam, eve),
];
const alone = facts({ self: eve, reachable: [eve] });

describe('rule 8: the new source dies while the old one is being resynced', () => {
  it('nobody takes over: target-resyncing', () => {
    const world = given(...resyncing);
    expect(world.when(command('failover'), alone).refusal()).toBe('target-resyncing');
    expect(world.when(command('failover', { node: eve }), alone).refusal()).toBe('target-resyncing');
    expect(
      standing(world.state, world.state.resources[tag], eve).some((intent) => intent.do === 'propose'),
    ).toBe(false);
  });

  it('nor before the resync has begun', () => {
    const world = given(...resyncing.filter(({ type }) => type !== 'resync.started'));
    expect(world.when(command('failover'), alone).refusal()).toBe('target-out-of-sync');
  });

  it('the new source goes on when it is back, with the word of the other', () => {
    const promises = {
      epoch: 3,
      answers: [{ node: eve, answer: 'promised', outOfSync: true, highestEpoch: 3 } as const],
    };
    const then = given(...resyncing).when(command('return'), facts({ self: adam, promises }));
    expect(then.events()[0]?.data).toMatchObject({ node: adam, epoch: 3, why: 'returned' });
  });
});
