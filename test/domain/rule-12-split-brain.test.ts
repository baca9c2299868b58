import { describe, expect, it } from 'vitest';
import type { AnyEvent } from '../../domain/events.ts';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, entered, eve, facts, given, lost, mirrored, past, sophocles, tag } from './given.ts';

const wrote = (node: typeof eve, without: typeof eve, generation: string) =>
  past(
    'generation.started',
    { node, generation: generation as never, parent: null, epoch: 1, absent: [without] },
    { node },
  );
const conflict = past('takeover.conflicted', {
  reigns: [
    { node: eve, epoch: 1 },
    { node: adam, epoch: 2 },
  ],
});
const apart = [...mirrored(adam), lost(eve), entered(adam, 2, 'failover', { node: eve, epoch: 1 })];
const eveWrote = wrote(eve, adam, '00000000000000ee');
const adamWrote = wrote(adam, eve, '00000000000000ad');
const split = past('split-brain.detected', conflict.data as never);
const at = (self: typeof eve) => facts({ self, serving: { node: self, epoch: self === eve ? 1 : 2 } });
const settle = (events: readonly AnyEvent[], self: typeof eve) => {
  const { state, when } = given(...events);
  const intent = standing(state, state.resources[tag], self).find((one) => one.do === 'compare');
  if (intent?.do !== 'compare') throw new Error('nothing to compare');
  return when(command('settle-conflict', { wrote: [...intent.wrote], related: true }), at(self));
};

describe('rule 12: two takeovers that had not seen each other', () => {
  it('are journaled as takeover.conflicted by the one that finds itself superseded', () => {
    const then = given(...apart).when(command('superseded'), at(eve));
    expect(then.events()).toEqual([
      expect.objectContaining({ type: 'takeover.conflicted', data: conflict.data }),
    ]);
    expect(
      given(...apart)
        .when(command('superseded'), at(adam))
        .refusal(),
    ).toBe('stale-command');
  });

  it('are conflicted in whatever order their events are folded', () => {
    const back = entered(eve, 2, 'forced', { node: eve, epoch: 1 });
    const over = entered(adam, 2, 'failover', { node: eve, epoch: 1 });
    for (const order of [
      [back, over],
      [over, back],
    ]) {
      const { state } = given(...mirrored(adam), ...order);
      expect(state.resources[tag]?.phase).toBe('conflicted');
      expect(state.resources[tag]?.reigns.map(({ node }) => node).sort()).toEqual([adam, eve]);
      expect(violations(state)).toEqual([]);
    }
  });

  it('with one epoch are journaled by the one that leaves, and the other goes on at a new epoch (FAULTS 36)', () => {
    const both = [
      ...mirrored(adam, sophocles),
      lost(eve),
      entered(adam, 2, 'failover', { node: eve, epoch: 1 }),
      entered(sophocles, 2, 'failover', { node: eve, epoch: 1 }),
    ];
    const leaving = settle(both, sophocles);
    expect(leaving.types()).toEqual(['takeover.conflicted', 'resource.left-service']);
    const [said, left] = leaving.events().map(({ type, data }) => past(type, data, { node: sophocles }));
    if (!said || !left) throw new Error('two events');
    const { state } = given(...both, said, left);
    expect(state.resources[tag]?.reigns).toEqual([{ node: adam, epoch: 2 }]);
    expect(standing(state, state.resources[tag], adam)).toContainEqual({
      do: 'propose',
      tag,
      command: 'return',
    });
  });

  it('are over once they were resolved, though the other side tells of the split only then', () => {
    const lostThen = { text: 'adam', writes: null, bytes: null, since: null };
    const resolved = past('split-brain.resolved', { victim: adam, survivor: eve, lost: lostThen });
    const { state } = given(...apart, eveWrote, adamWrote, split, resolved, split, conflict);
    expect(state.resources[tag]).toMatchObject({ phase: 'in-service', reigns: [{ node: eve, epoch: 1 }] });
  });

  it('are a split brain where both wrote, and the machine refuses all but its resolution', () => {
    expect(settle([...apart, eveWrote, adamWrote, conflict], eve).types()).toEqual(['split-brain.detected']);
    const world = given(...apart, eveWrote, adamWrote, conflict, split);
    expect(violations(world.state)).toEqual([]);
    for (const asked of [
      command('switchover', { node: adam }),
      command('failover'),
      command('out-of-service'),
    ])
      expect(world.when(asked).refusal()).toBe('split-brain');
  });

  it('end with the one that wrote, where one did: the other leaves by itself', () => {
    expect(settle([...apart, eveWrote, conflict], adam).events()[0]?.data).toMatchObject({
      node: adam,
      why: 'conflict-settled',
      handedTo: { node: eve },
    });
    expect(settle([...apart, eveWrote, conflict], eve).events()).toEqual([]);
    expect(settle([...apart, adamWrote, conflict], eve).events()[0]?.data).toMatchObject({ node: eve });
  });

  it('end with the better priority, where none wrote', () => {
    expect(settle([...apart, conflict], adam).events()[0]?.data).toMatchObject({ node: adam });
    expect(settle([...apart, conflict], eve).events()).toEqual([]);
  });

  it('are a split brain where the replicas have no common past', () => {
    const then = given(...apart, conflict).when(
      command('settle-conflict', { wrote: [], related: false }),
      at(eve),
    );
    expect(then.types()).toEqual(['split-brain.detected']);
  });

  it('end at an epoch above both, which the other can follow', () => {
    const settled = past(
      'resource.left-service',
      { node: adam, epoch: 2, why: 'conflict-settled', handedTo: { node: eve, epoch: 1 } },
      { node: adam },
    );
    const world = given(...apart, conflict, settled);
    expect(standing(world.state, world.state.resources[tag], eve)).toContainEqual({
      do: 'propose',
      tag,
      command: 'return',
    });
    expect(world.when(command('return'), at(eve)).events()[0]?.data).toMatchObject({ node: eve, epoch: 3 });
  });
});

describe('rule 12: resolve-split-brain', () => {
  const world = given(...apart, eveWrote, adamWrote, conflict, split);
  const replicas = { adam: { dirtyBytes: { eve: 131_072 }, epoch: 2, promised: 2 } } as never;

  it('says first what the victim loses, then makes it a target', () => {
    const known = facts({ replicas });
    const asked = world.when(command('resolve-split-brain', { victim: adam }), known);
    expect(asked.refusal()).toBe('loss-not-accepted');
    expect(asked.decision).toMatchObject({
      loss: { bytes: 131_072, text: expect.stringContaining('adam wrote') },
    });
    const token = asked.decision.kind === 'refused' ? (asked.decision.token ?? '') : '';
    const then = world.when(command('resolve-split-brain', { victim: adam, acceptLoss: token }), known);
    expect(then.events()[0]).toMatchObject({
      type: 'split-brain.resolved',
      data: { victim: adam, survivor: eve },
    });
  });

  it('is what out-of-service on the victim means, as the guide says', () => {
    const asked = world.when(command('out-of-service', { node: eve }), facts({ self: adam }));
    expect(asked.refusal()).toBe('loss-not-accepted');
    const token = asked.decision.kind === 'refused' ? (asked.decision.token ?? '') : '';
    const then = world.when(
      command('out-of-service', { node: eve, acceptLoss: token }),
      facts({ self: adam }),
    );
    expect(then.events()[0]).toMatchObject({
      type: 'split-brain.resolved',
      data: { victim: eve, survivor: adam },
    });
  });

  it('leaves one source, which resyncs the victim against the generations', () => {
    const resolved = past('split-brain.resolved', {
      victim: adam,
      survivor: eve,
      lost: { text: '', writes: null, bytes: null, since: null },
    });
    const after = given(...apart, eveWrote, adamWrote, conflict, split, resolved);
    expect(violations(after.state)).toEqual([]);
    expect(after.state.resources[tag]?.reigns.map(({ node }) => node)).toEqual([eve]);
    const order = { do: 'resync', tag, peer: adam, kind: 'partial', ordered: null };
    expect(standing(after.state, after.state.resources[tag], eve)).toContainEqual({ ...order, epoch: 1 });
    // A renewed reign is told anew: what was left of the order ended with the reign that had it.
    const renewed = entered(eve, 3, 'returned');
    const { state } = given(...apart, eveWrote, adamWrote, conflict, split, resolved, renewed);
    expect(standing(state, state.resources[tag], eve)).toContainEqual({ ...order, epoch: 3 });
    const again = command('split-brain-seen', { reigns: (split.data as { reigns: [] }).reigns });
    expect(after.when(again).refusal()).toBe('no-split-brain');
  });

  it('is refused with no-split-brain where there is none, or not with that node', () => {
    expect(
      given(...mirrored())
        .when(command('resolve-split-brain', { victim: adam }))
        .refusal(),
    ).toBe('no-split-brain');
    expect(world.when(command('resolve-split-brain', { victim: 'sophocles' as never })).refusal()).toBe(
      'no-split-brain',
    );
  });
});
