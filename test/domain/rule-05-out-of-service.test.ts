import { describe, expect, it } from 'vitest';
import { violations } from '../../domain/invariants.ts';
import { adam, command, eve, facts, given, mirrored, past, resyncStarted, sophocles, tag } from './given.ts';

const left = past('resource.left-service', { node: eve, epoch: 1, why: 'out-of-service', handedTo: null });
const stopped = [...mirrored(), resyncStarted(eve, adam, 'partial'), left];
const promised = (...nodes: readonly (typeof eve)[]) => ({
  epoch: 2,
  answers: nodes.map((node) => ({ node, answer: 'promised', outOfSync: false, highestEpoch: 2 }) as const),
});

describe('rule 5: taken out of service during a resync', () => {
  it('stays out until an operator says so, and the resync is interrupted', () => {
    const { state } = given(...stopped);
    expect(state.resources[tag]).toMatchObject({
      phase: 'out-of-service',
      mirrors: { adam: { status: 'out-of-sync', lastResync: { result: 'interrupted' } } },
    });
    expect(violations(state)).toEqual([]);
    expect(
      given(...stopped)
        .when(command('return'))
        .refusal(),
    ).toBe('not-in-service');
  });

  it('comes back on the same node, and the resync can go on', () => {
    const then = given(...stopped).when(
      command('in-service'),
      facts({ promises: promised(adam, sophocles) }),
    );
    expect(then.events()).toEqual([
      expect.objectContaining({
        type: 'resource.entered-service',
        data: { node: eve, epoch: 2, why: 'in-service', after: { node: eve, epoch: 1 } },
      }),
    ]);
  });

  it('comes back on another target that is in sync, not on the one that was resyncing', () => {
    const world = given(...stopped);
    const at = (self: typeof eve) =>
      facts({ self, promises: promised(eve, self === adam ? sophocles : adam) });
    expect(world.when(command('in-service', { node: adam }), at(adam)).refusal()).toBe('target-resyncing');
    expect(world.when(command('in-service', { node: sophocles }), at(sophocles)).types()).toEqual([
      'resource.entered-service',
    ]);
  });

  it('comes back elsewhere only with the promises of all that can be reached', () => {
    const answers = [{ node: eve, answer: 'source-alive', outOfSync: false, highestEpoch: 1 } as const];
    const known = facts({ self: sophocles, promises: { epoch: 2, answers } });
    expect(
      given(...stopped)
        .when(command('in-service', { node: sophocles }), known)
        .refusal(),
    ).toBe('already-in-service');
    const other = [{ node: eve, answer: 'promised-other', outOfSync: false, highestEpoch: 3 } as const];
    expect(
      given(...stopped)
        .when(command('in-service', { node: sophocles }), {
          ...known,
          promises: { epoch: 2, answers: other },
        })
        .refusal(),
    ).toBe('stale-command');
  });

  it('is refused with not-in-service where nobody serves, and already-in-service where somebody does', () => {
    expect(
      given(...stopped)
        .when(command('out-of-service'))
        .refusal(),
    ).toBe('not-in-service');
    const world = given(...mirrored());
    expect(world.when(command('in-service', { node: eve })).refusal()).toBe('already-in-service');
    expect(world.when(command('out-of-service', { node: adam })).refusal()).toBe('not-in-service');
    expect(world.when(command('out-of-service')).types()).toEqual([
      'resource.left-service',
      'command.completed',
    ]);
  });
});
