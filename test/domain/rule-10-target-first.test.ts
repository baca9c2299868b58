import { describe, expect, it } from 'vitest';
import { standing } from '../../domain/react.ts';
import { adam, command, eve, facts, given, lost, mirrored, past, tag } from './given.ts';

const restarted = past(
  'mirror.disconnected',
  { source: eve, target: adam, why: 'restarted', away: true },
  { node: adam },
);
const alone = facts({ self: adam, reachable: [adam] });

describe('rule 10: both were down and a target comes up first', () => {
  const world = given(...mirrored(adam), restarted, lost(eve));

  it('stays out of service: not-last-owner', () => {
    expect(world.when(command('in-service', { node: adam }), alone).refusal()).toBe('not-last-owner');
    expect(world.when(command('return'), alone).refusal()).toBe('not-last-owner');
  });

  it('does not take over by itself', () => {
    const intents = standing(world.state, world.state.resources[tag], adam);
    expect(intents.some((intent) => intent.do === 'propose')).toBe(false);
    expect(world.when(command('failover'), alone).refusal()).toBe('target-out-of-sync');
  });

  it('promises the last owner, which then goes in service by itself', () => {
    const back = facts({ self: adam });
    expect(world.when(command('promise', { candidate: eve, epoch: 2 }), back).types()).toEqual([
      'takeover.promised',
    ]);
    const answers = [{ node: adam, answer: 'promised', outOfSync: false, highestEpoch: 2 } as const];
    const then = world.when(command('return'), facts({ promises: { epoch: 2, answers } }));
    expect(then.types()).toEqual(['resource.entered-service']);
  });
});
