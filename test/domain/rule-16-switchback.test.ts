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
  resynced,
  sophocles,
  tag,
} from './given.ts';

const back = [
  ...mirrored(),
  lost(eve),
  entered(adam, 2, 'failover', { node: eve, epoch: 1 }),
  past('node.returned', { node: eve, restarted: true }, { node: eve }),
  ...resynced(adam, eve, 'partial'),
  ...resynced(adam, sophocles, 'partial'),
];

describe('rule 16: moving back', () => {
  it('is never proposed by any node, though the old source has the better priority', () => {
    const { state } = given(...back);
    for (const node of [eve, adam, sophocles])
      expect(standing(state, state.resources[tag], node).some((intent) => intent.do === 'propose')).toBe(
        false,
      );
  });

  it('is an operator’s switchover', () => {
    const connected = past('mirror.connected', { source: adam, target: eve, inSync: true }, { node: adam });
    expect(
      given(...back, connected)
        .when(command('switchover', { node: eve }), facts({ self: adam }))
        .events()[0]?.data,
    ).toMatchObject({ from: adam, to: eve, epoch: 3 });
  });
});
