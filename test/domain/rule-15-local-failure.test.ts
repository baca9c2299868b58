import { describe, expect, it } from 'vitest';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, eve, facts, given, mirrored, past, sophocles, tag } from './given.ts';

const broken = past('local-recovery.started', { node: eve, what: 'the engine died' });
const blocks = past('node.settings-changed', {
  node: eve,
  peer: null,
  key: 'block-resource-failover',
  value: true,
});
const ended = (ok: boolean) => command('local-recovery-ended', { what: 'the engine died', ok });
const left = past('resource.left-service', { node: eve, epoch: 1, why: 'local-failure', handedTo: null });

describe('rule 15: a local failure', () => {
  it('is repaired in place first', () => {
    const world = given(...mirrored(), broken);
    expect(
      given(...mirrored())
        .when(command('local-failure', { what: 'the engine died' }))
        .types(),
    ).toEqual(['local-recovery.started']);
    expect(standing(world.state, world.state.resources[tag], eve)).toContainEqual({
      do: 'recover',
      tag,
      what: 'the engine died',
    });
    expect(world.when(ended(true)).types()).toEqual(['local-recovery.succeeded']);
  });

  it('fails over where that failed', () => {
    expect(
      given(...mirrored(), broken)
        .when(ended(false))
        .types(),
    ).toEqual(['local-recovery.failed', 'resource.left-service']);
    const { state, when } = given(...mirrored(), broken, left);
    expect(violations(state)).toEqual([]);
    expect(standing(state, state.resources[tag], adam)).toContainEqual({
      do: 'propose',
      tag,
      command: 'failover',
    });
    expect(when(command('failover'), facts({ self: adam })).types()).toEqual(['failover.started']);
  });

  it('moves nothing where the node blocks it, and says so in the words of the guide', () => {
    const then = given(...mirrored(), blocks, broken).when(ended(false));
    expect(then.types()).toEqual(['local-recovery.failed', 'failover.blocked']);
    expect(then.events()[1]?.data).toMatchObject({
      code: 'local-recovery-failed',
      text: 'Local recovery failure, failover blocked, MANUAL INTERVENTION REQUIRED',
    });
  });

  it('that is blocked refuses with local-recovery-failed, but for an operator who moves it', () => {
    const blocked = past('failover.blocked', {
      lost: eve,
      candidate: null,
      code: 'local-recovery-failed',
      text: 'MANUAL INTERVENTION REQUIRED',
    });
    const world = given(...mirrored(), blocks, broken, blocked);
    expect(violations(world.state)).toEqual([]);
    expect(world.when(command('switchover', { node: adam })).refusal()).toBe('local-recovery-failed');
    expect(world.when(command('failover', { node: adam }), facts({ self: adam })).types()).toEqual([
      'failover.started',
    ]);
  });

  it('of a target, or a failure of the whole node, is not affected', () => {
    const ofTarget = given(...mirrored(), blocks).when(ended(false), facts({ self: adam }));
    expect(ofTarget.types()).toEqual(['local-recovery.failed']);
    const gone = given(
      ...mirrored(),
      blocks,
      past('node.lost', { node: eve, silentMs: 5000 }, { node: adam }),
    );
    const known = facts({ self: adam, reachable: [adam, sophocles] });
    expect(gone.when(command('failover'), known).types()).toEqual(['failover.started']);
  });
});
