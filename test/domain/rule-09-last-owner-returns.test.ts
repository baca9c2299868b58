import { describe, expect, it } from 'vitest';
import type { PromiseAnswer } from '../../domain/facts.ts';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, eve, facts, given, mirrored, past, sophocles, tag } from './given.ts';

const asked = (...answers: readonly PromiseAnswer[]) => facts({ promises: { epoch: 2, answers } });
const says = (node: typeof eve, answer: PromiseAnswer['answer'], more: Partial<PromiseAnswer> = {}) => ({
  node,
  answer,
  outOfSync: false,
  highestEpoch: 0,
  ...more,
});
const flagged = [
  past('data-corrupt.flagged', { node: eve, missing: [sophocles] }),
  past('resource.left-service', { node: eve, epoch: 1, why: 'cannot-tell', handedTo: null }),
];

describe('rule 9: a returning last owner', () => {
  it('serves with a new epoch when every target has promised it', () => {
    const then = given(...mirrored()).when(
      command('return'),
      asked(says(adam, 'promised'), says(sophocles, 'promised')),
    );
    expect(then.events()[0]?.data).toEqual({
      node: eve,
      epoch: 2,
      why: 'returned',
      after: { node: eve, epoch: 1 },
    });
  });

  it('needs no word of a target that has durably recorded itself out of sync', () => {
    const recorded = past('mirror.lost-sync', {
      source: eve,
      target: adam,
      generation: null,
      why: 'recorded',
      known: true,
    });
    const then = given(...mirrored(), recorded).when(
      command('return'),
      asked(says(adam, 'unreachable'), says(sophocles, 'refused', { outOfSync: true })),
    );
    expect(then.types()).toEqual(['resource.entered-service']);
  });

  it.each([
    ['one is missing', says(sophocles, 'unreachable')],
    ['one promised another', says(sophocles, 'promised-other', { outOfSync: true })],
    ['one knows a later epoch', says(sophocles, 'promised', { highestEpoch: 3 })],
    ['one refused', says(sophocles, 'refused')],
  ] as const)('flags itself and stays out of service: %s', (_, answer) => {
    const then = given(...mirrored()).when(command('return'), asked(says(adam, 'promised'), answer));
    expect(then.types()).toEqual(['data-corrupt.flagged', 'resource.left-service']);
    expect(then.events()[0]?.data).toEqual({ node: eve, missing: [sophocles] });
  });

  it('is refused with data-corrupt until they return', () => {
    const world = given(...mirrored(), ...flagged);
    expect(violations(world.state)).toEqual([]);
    const missing = asked(says(adam, 'promised'), says(sophocles, 'unreachable'));
    expect(world.when(command('in-service'), missing).refusal()).toBe('data-corrupt');
    expect(standing(world.state, world.state.resources[tag], eve)).toContainEqual({
      do: 'propose',
      tag,
      command: 'return',
    });
    const all = asked(says(adam, 'promised'), says(sophocles, 'promised'));
    expect(world.when(command('return'), all).types()).toEqual([
      'data-corrupt.cleared',
      'resource.entered-service',
    ]);
  });

  it('flags itself once', () => {
    const world = given(...mirrored(), ...flagged);
    expect(world.when(command('return'), asked()).events()).toEqual([]);
  });

  it('loses the flag when it follows another (rule 7)', () => {
    const taken = past(
      'resource.entered-service',
      { node: adam, epoch: 2, why: 'failover', after: { node: eve, epoch: 1 } },
      { node: adam },
    );
    const then = given(...mirrored(), ...flagged, taken).when(
      command('peer-connected', { source: adam, target: eve, inSync: false }),
      facts({ self: adam }),
    );
    expect(then.events()[1]).toMatchObject({
      type: 'data-corrupt.cleared',
      data: { node: eve, by: 'taken-over' },
    });
  });
});
