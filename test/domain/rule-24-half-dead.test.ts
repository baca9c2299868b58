import { describe, expect, it } from 'vitest';
import { standing } from '../../domain/react.ts';
import { adam, command, eve, facts, given, lost, mirrored, past, sophocles, tag } from './given.ts';

describe('rule 24: a half-dead node is not a lost node', () => {
  it('agent dead, engine alive: its links are heard, and a failover is refused with source-alive', () => {
    const links = facts({ self: adam, reachable: [adam, sophocles], heardBy: { eve: [adam] } });
    expect(
      given(...mirrored())
        .when(command('failover'), links)
        .refusal(),
    ).toBe('source-alive');
  });

  it('engine dead, agent alive: repaired in place, nobody else moves', () => {
    const { state, when } = given(
      ...mirrored(),
      past('local-recovery.started', { node: eve, what: 'engine' }),
    );
    expect(standing(state, state.resources[tag], adam).some((intent) => intent.do === 'propose')).toBe(false);
    expect(when(command('failover'), facts({ self: adam })).refusal()).toBe('source-alive');
  });

  it('both dead: lost, and a target takes over', () => {
    const then = given(...mirrored(), lost(eve)).when(
      command('failover'),
      facts({ self: adam, reachable: [adam, sophocles] }),
    );
    expect(then.types()).toEqual(['failover.started']);
  });
});
