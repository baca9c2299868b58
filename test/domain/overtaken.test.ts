import { describe, expect, it } from 'vitest';
import type { AnyEvent } from '../../domain/events.ts';
import { standing } from '../../domain/react.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { adam, command, entered, eve, facts, given, lost, mirrored, past, sophocles, tag } from './given.ts';

const ordered = { node: eve, command: 'switch', digest: 'd' } as const;
const started = past('switchover.started', { from: eve, to: adam, epoch: 2 }, ordered);
const left = past('resource.left-service', {
  node: eve,
  epoch: 1,
  why: 'switchover',
  handedTo: { node: adam, epoch: 2 },
});
const began = (candidate: NodeName, its: string) =>
  past(
    'failover.started',
    { lost: eve, candidate, epoch: 2, order: [adam, sophocles] },
    { node: candidate, command: its, digest: 'd' },
  );
const tookOver = (node: NodeName) => entered(node, 2, 'failover', { node: eve, epoch: 1 });

const owners = (...events: readonly AnyEvent[]) => given(...events).state.resources[tag]?.unsettled;
const settling = (self: NodeName, ...events: readonly AnyEvent[]) => {
  const { state } = given(...events);
  return standing(state, state.resources[tag], self).filter(({ do: what }) => what === 'settle');
};

describe('a command that another reign overtakes ends exactly once (I11)', () => {
  it('after step 4 of a switchover the node to which it was handed says how it ended', () => {
    const events = [...mirrored(), started, left, lost(eve), began(adam, 'f'), tookOver(adam)];
    expect(owners(...events)).toEqual({ switch: adam });
    expect(settling(adam, ...events)).toEqual([{ do: 'settle', tag, command: 'switch' }]);
    for (const other of [eve, sophocles]) expect(settling(other, ...events)).toEqual([]);
    const asked = command('settle-command', { settles: 'switch' });
    const then = given(...events).when(asked, facts({ self: adam }));
    expect(then.events().map(({ type, data }) => [type, data])).toEqual([
      [
        'command.failed',
        { commandId: 'switch', digest: 'd', why: `it was overtaken: adam serves ${tag} at epoch 2` },
      ],
    ]);
    expect(
      given(...events)
        .when(asked, facts({ self: eve }))
        .refusal(),
    ).toBe('stale-command');
  });

  it('before step 4 the old source does, also where the takeover comes first in order', () => {
    for (const events of [
      [...mirrored(), started, lost(eve), began(adam, 'f'), tookOver(adam)],
      [...mirrored(), lost(eve), began(adam, 'f'), tookOver(adam), started],
    ])
      expect(owners(...events)).toEqual({ switch: eve });
  });

  it('of two candidates the one that is overtaken ends its own', () => {
    expect(owners(...mirrored(), lost(eve), began(adam, 'f'), began(sophocles, 'g'))).toEqual({ f: adam });
  });

  it('is over with its terminal event', () => {
    const failed = past(
      'command.failed',
      { commandId: 'switch', digest: 'd', why: 'overtaken' },
      { node: adam },
    );
    expect(owners(...mirrored(), started, left, lost(eve), began(adam, 'f'), failed)).toEqual({});
  });

  it('falls to the source where its node leaves the resource', () => {
    const events = [...mirrored(), started, lost(eve), began(adam, 'f'), tookOver(adam)];
    const unextended = past('resource.unextended', { node: eve }, { node: adam });
    expect(owners(...events, unextended)).toEqual({ switch: adam });
  });

  it('a step that carries the command on leaves nothing to settle', () => {
    expect(
      owners(...mirrored(), started, left, entered(adam, 2, 'switchover', { node: eve, epoch: 1 })),
    ).toEqual({});
    expect(owners(...mirrored(), lost(eve), began(adam, 'f'), tookOver(adam))).toEqual({});
  });
});
