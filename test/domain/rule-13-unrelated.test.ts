import { describe, expect, it } from 'vitest';
import { react, standing } from '../../domain/react.ts';
import { adam, command, eve, facts, given, mirrored, past, tag } from './given.ts';

const pair = { source: eve, target: adam };
const paused = past('mirror.paused', { ...pair, by: 'operator', reason: 'disk shipped' });
const unrelated = past('mirror.disconnected', { ...pair, why: 'unrelated-data', away: false });

describe('rule 13: replicas with no common past', () => {
  it('are not resynced by resume: unrelated-data', () => {
    const asked = command('resume', { targets: [adam] });
    expect(
      given(...mirrored(), paused, unrelated)
        .when(asked)
        .refusal(),
    ).toBe('unrelated-data');
    const known = facts({ replicas: { adam: { related: false, epoch: 1, promised: 1 } } as never });
    expect(
      given(...mirrored(), paused)
        .when(asked, known)
        .refusal(),
    ).toBe('unrelated-data');
  });

  it('are resynced by an explicit full-resync, once the loss is accepted', () => {
    const world = given(...mirrored(), paused, unrelated);
    const asked = world.when(command('full-resync', { targets: [adam] }));
    expect(asked.refusal()).toBe('loss-not-accepted');
    const token = asked.decision.kind === 'refused' ? (asked.decision.token ?? '') : '';
    expect(world.when(command('full-resync', { targets: [adam], acceptLoss: token })).types()).toEqual([
      'mirror.resumed',
      'bitmap.marked-dirty',
      'command.completed',
    ]);
    const { state } = given(...mirrored(), unrelated, past('bitmap.marked-dirty', { node: eve, peer: adam }));
    expect(standing(state, state.resources[tag], eve)).toContainEqual({
      do: 'resync',
      tag,
      epoch: 1,
      peer: adam,
      kind: 'full',
      ordered: state.resources[tag]?.mirrors[adam]?.fullResyncOrdered,
    });
  });

  it('are resynced by each full-resync anew: what the engine found void, because adam had got other data, is no order', () => {
    const ordered = past('bitmap.marked-dirty', { node: eve, peer: adam });
    const before = given(...mirrored(), unrelated, ordered).state;
    const after = given(...mirrored(), unrelated, ordered, ordered).state;
    const [again, ...others] = react(before, after, eve);
    expect(again).toMatchObject({ do: 'resync', peer: adam, kind: 'full' });
    expect(others).toEqual([]);
  });
});
