import { describe, expect, it } from 'vitest';
import { violations } from '../../domain/invariants.ts';
import { react } from '../../domain/react.ts';
import { adam, command, entered, eve, facts, given, mirrored, past, sophocles, tag } from './given.ts';

describe('rule 3: unextend', () => {
  it('takes the replica and its mirror away, and the node closes it', () => {
    const world = given(...mirrored());
    expect(world.when(command('unextend', { node: adam })).types()).toEqual([
      'resource.unextended',
      'command.completed',
    ]);
    const after = given(...mirrored(), past('resource.unextended', { node: adam })).state;
    expect(Object.keys(after.resources[tag]?.replicas ?? {})).toEqual([eve, sophocles]);
    expect(Object.keys(after.resources[tag]?.mirrors ?? {})).toEqual([sophocles]);
    expect(react(world.state, after, adam)).toEqual([{ do: 'close', tag }]);
    expect(violations(after)).toEqual([]);
  });

  it('does not undo a takeover that nobody had seen, in whatever order the two are read', () => {
    const unextended = past('resource.unextended', { node: adam });
    const took = entered(adam, 2, 'failover', { node: eve, epoch: 1 });
    for (const events of [
      [unextended, took],
      [took, unextended],
    ]) {
      const { state } = given(...mirrored(), ...events);
      const resource = state.resources[tag];
      expect(resource?.reigns).toEqual([{ node: adam, epoch: 2 }]);
      expect(Object.keys(resource?.replicas ?? {}).sort()).toEqual([adam, eve, sophocles]);
      expect(violations(state)).toEqual([]);
    }
  });

  it('is refused with node-is-source', () => {
    expect(
      given(...mirrored())
        .when(command('unextend', { node: eve }))
        .refusal(),
    ).toBe('node-is-source');
  });

  it('of the last owner, out of service, leaves no mirror that it feeds', () => {
    const left = past('resource.left-service', {
      node: eve,
      epoch: 1,
      why: 'out-of-service',
      handedTo: null,
    });
    const { state } = given(...mirrored(), left, past('resource.unextended', { node: eve }));
    expect(state.resources[tag]?.mirrors).toEqual({});
    expect(violations(state)).toEqual([]);
  });
});

describe('rule 3: delete', () => {
  it('removes it everywhere, once what goes is accepted', () => {
    const world = given(...mirrored());
    const asked = world.when(command('delete'));
    expect(asked.refusal()).toBe('loss-not-accepted');
    const token = asked.decision.kind === 'refused' ? asked.decision.token : undefined;
    expect(world.when(command('delete', { acceptLoss: token ?? '' })).types()).toEqual([
      'resource.deleted',
      'command.completed',
    ]);
  });

  it('is refused with device-in-use while the device is mounted or open', () => {
    const known = facts({ deviceInUse: 'mounted at /srv' });
    expect(
      given(...mirrored())
        .when(command('delete'), known)
        .refusal(),
    ).toBe('device-in-use');
  });

  it('does not undo a takeover that it did not know of', () => {
    const { state } = given(
      ...mirrored(),
      entered(adam, 2, 'failover', { node: eve, epoch: 1 }),
      past('resource.deleted', { created: 'eve/1/4' }),
    );
    expect(state.resources[tag]?.phase).toBe('in-service');
    const revived = given(
      ...mirrored(),
      past('resource.deleted', { created: 'eve/1/4' }),
      entered(adam, 2, 'failover', { node: eve, epoch: 1 }),
    );
    expect(revived.state.resources[tag]?.reigns).toEqual([{ node: adam, epoch: 2 }]);
    expect(violations(revived.state)).toEqual([]);
  });
});
