import { describe, expect, it } from 'vitest';
import type { PromiseAnswer } from '../../domain/facts.ts';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, entered, eve, facts, given, lost, mirrored, past, sophocles, tag } from './given.ts';

const both = facts({ self: adam, reachable: [adam, sophocles] });
const policy = { actor: { id: 'adam', via: 'policy', verified: true } } as never;
const began = past(
  'failover.started',
  { lost: eve, candidate: adam, epoch: 2, order: [adam, sophocles] },
  { node: adam, command: 'f', digest: 'd' },
);
const answer = (node: typeof eve, its: PromiseAnswer['answer'], highestEpoch = 2): PromiseAnswer => ({
  node,
  answer: its,
  outOfSync: false,
  highestEpoch,
});
const collected = (...answers: readonly PromiseAnswer[]) =>
  command('promises-collected', { epoch: 2, answers: [...answers] });
const promised = (by: typeof eve, candidate: typeof eve, epoch: number) =>
  past('takeover.promised', { by, candidate, epoch, outOfSync: false }, { node: by });

describe('rule 7: failover', () => {
  it('goes to the best priority, with 1 + the highest epoch or promise that it knows', () => {
    const world = given(...mirrored(), promised(sophocles, eve, 4), lost(eve));
    expect(world.when(command('failover'), both).events()[0]?.data).toEqual({
      lost: eve,
      candidate: adam,
      epoch: 5,
      order: [adam, sophocles],
    });
  });

  it('goes to the one that an operator names', () => {
    const world = given(...mirrored(), lost(eve));
    const known = facts({ self: sophocles, reachable: [adam, sophocles] });
    expect(world.when(command('failover', { node: sophocles }), known).events()[0]?.data).toMatchObject({
      candidate: sophocles,
    });
  });

  it('is proposed by the best eligible node alone; policy elsewhere is refused with no-eligible-target', () => {
    const world = given(...mirrored(), lost(eve));
    const proposals = [adam, sophocles].map((node) =>
      standing(world.state, world.state.resources[tag], node).some((intent) => intent.do === 'propose'),
    );
    expect(proposals).toEqual([true, false]);
    const known = facts({ self: sophocles, reachable: [adam, sophocles] });
    expect(world.when(command('failover', policy), known).refusal()).toBe('no-eligible-target');
  });

  it('is refused with no-eligible-target, naming what each of them lacks', () => {
    const paused = [adam, sophocles].map((target) =>
      past('mirror.paused', { source: eve, target, by: 'operator', reason: 'backup' }),
    );
    const { decision } = given(...mirrored(), ...paused, lost(eve)).when(command('failover'), both);
    expect(decision).toMatchObject({
      refusal: { code: 'no-eligible-target', message: expect.stringMatching(/adam.*sophocles/) },
    });
  });

  it('is refused with source-alive while anybody hears the source', () => {
    const heard = facts({ self: adam, reachable: [adam, sophocles], heardBy: { eve: [sophocles] } });
    expect(
      given(...mirrored())
        .when(command('failover'), heard)
        .refusal(),
    ).toBe('source-alive');
    expect(
      given(...mirrored())
        .when(command('failover'), facts({ self: adam }))
        .refusal(),
    ).toBe('source-alive');
  });

  it('goes on with the next one where the candidate is lost too', () => {
    const world = given(...mirrored(), lost(eve), began, lost(adam, sophocles));
    const known = facts({ self: sophocles, reachable: [sophocles] });
    expect(world.when(command('failover', policy), known).events()[0]?.data).toMatchObject({
      candidate: sophocles,
    });
    expect(standing(world.state, world.state.resources[tag], sophocles)).toContainEqual({
      do: 'propose',
      tag,
      command: 'failover',
    });
    const alive = facts({ self: sophocles, reachable: [adam, sophocles] });
    expect(world.when(command('failover', policy), alive).refusal()).toBe('not-in-service');
  });
});

describe('rule 7: promises', () => {
  const world = given(...mirrored(), lost(eve), began);
  const asked = command('promise', { candidate: adam, epoch: 2 });
  const at = (self: typeof eve, reachable: readonly (typeof eve)[]) => facts({ self, reachable });

  it('are given by a node that does not hear the source', () => {
    expect(world.when(asked, at(sophocles, [adam, sophocles])).events()[0]?.data).toEqual({
      by: sophocles,
      candidate: adam,
      epoch: 2,
      outOfSync: false,
    });
  });

  it('are refused with source-alive by a node that hears it, and by the source itself', () => {
    expect(world.when(asked, at(sophocles, [eve, adam, sophocles])).refusal()).toBe('source-alive');
    expect(world.when(asked, at(eve, [eve])).refusal()).toBe('source-alive');
  });

  it('are refused by a source that has begun and whose device does not answer yet', () => {
    const serving = given(...mirrored(), lost(eve), entered(adam, 2, 'failover', { node: eve, epoch: 1 }));
    const late = command('promise', { candidate: sophocles, epoch: 3 });
    expect(serving.when(late, at(adam, [adam, sophocles])).refusal()).toBe('source-alive');
  });

  it('are refused with stale-command for any epoch that was promised to another, or is served', () => {
    const given1 = given(...mirrored(), lost(eve), promised(sophocles, adam, 2));
    const other = command('promise', { candidate: eve, epoch: 2 });
    expect(given1.when(other, at(sophocles, [adam, sophocles])).refusal()).toBe('stale-command');
    const old = command('promise', { candidate: adam, epoch: 1 });
    expect(world.when(old, at(sophocles, [adam, sophocles])).refusal()).toBe('stale-command');
  });

  it('are given by a candidate only to a better priority', () => {
    const other = (candidate: typeof eve, epoch: number) =>
      given(
        ...mirrored(),
        lost(eve),
        past(
          'failover.started',
          { lost: eve, candidate, epoch, order: [adam, sophocles] },
          { node: candidate },
        ),
      );
    expect(
      other(sophocles, 2)
        .when(command('promise', { candidate: adam, epoch: 2 }), at(sophocles, [adam, sophocles]))
        .types(),
    ).toEqual(['takeover.promised']);
    expect(
      other(adam, 2)
        .when(command('promise', { candidate: sophocles, epoch: 2 }), at(adam, [adam, sophocles]))
        .refusal(),
    ).toBe('stale-command');
  });

  it('of all that can be reached let the candidate enter service', () => {
    const then = world.when(collected(answer(eve, 'unreachable', 0), answer(sophocles, 'promised')), both);
    expect(then.events()[0]?.data).toEqual({
      node: adam,
      epoch: 2,
      why: 'failover',
      after: { node: eve, epoch: 1 },
    });
  });

  it.each([
    ['somebody hears the source', [answer(sophocles, 'source-alive')], both, 'source-alive'],
    ['the candidate hears it again', [answer(sophocles, 'promised')], facts({ self: adam }), 'source-alive'],
    ['another has the promise', [answer(sophocles, 'promised-other')], both, 'stale-command'],
    ['somebody knows a later epoch', [answer(sophocles, 'promised', 3)], both, 'stale-command'],
    ['somebody refused', [answer(sophocles, 'refused')], both, 'stale-command'],
  ] as const)('%s: the candidate gives way, and says so', (_, answers, known, code) => {
    const then = world.when(collected(...answers), known);
    expect(then.types()).toEqual(['failover.blocked', 'command.failed']);
    expect(then.events()[0]?.data).toMatchObject({ code });
  });

  it('to a better candidate bind the candidate itself', () => {
    const yielded = given(...mirrored(), lost(eve), began, promised(adam, sophocles, 2));
    const then = yielded.when(collected(answer(sophocles, 'promised')), both);
    expect(then.types()).toEqual(['failover.blocked', 'command.failed']);
  });

  it('are collected by the candidate alone, for its own epoch', () => {
    expect(world.when(collected(), facts({ self: sophocles, reachable: [sophocles] })).refusal()).toBe(
      'stale-command',
    );
    expect(world.when(command('promises-collected', { epoch: 3, answers: [] }), both).refusal()).toBe(
      'stale-command',
    );
  });
});

describe('rule 7: the new source', () => {
  const taken = [...mirrored(), lost(eve), began, entered(adam, 2, 'failover', { node: eve, epoch: 1 })];

  it('says so when its device answers, and what an asynchronous mirror may have lost (FAULTS 2)', () => {
    const async = past('resource.settings-changed', { node: eve, peer: adam, key: 'mode', value: 'async' });
    const served = command('served', { epoch: 2, device: [] });
    const then = given(...mirrored(), async, ...taken.slice(-3)).when(served, both);
    expect(then.types()).toEqual(['failover.completed', 'command.completed']);
    expect(then.events()[0]?.data).toMatchObject({
      loss: { text: 'unknown, at most 256 writes', writes: 256 },
    });
    const sync = given(...taken).when(served, both);
    expect(sync.events()[0]?.data).toMatchObject({ lost: eve, loss: null });
  });

  it('a promise that the engine gave is journaled once, in whatever phase', () => {
    const given4 = command('promised', { candidate: adam, epoch: 4 });
    const here = facts({ self: sophocles });
    expect(
      given(...mirrored())
        .when(given4, here)
        .events(),
    ).toEqual([
      expect.objectContaining({
        type: 'takeover.promised',
        data: { by: sophocles, candidate: adam, epoch: 4, outOfSync: false },
      }),
    ]);
    const known = given(...mirrored(), promised(sophocles, adam, 4));
    expect(known.when(given4, here).events()).toEqual([]);
  });

  it('whose engine cannot serve ends its command, leaves service, and the next one takes over', () => {
    const then = given(...taken).when(command('serve-failed', { epoch: 2, why: 'EIO' }), both);
    expect(then.types()).toEqual(['command.failed', 'resource.left-service']);
    const left = past(
      'resource.left-service',
      { node: adam, epoch: 2, why: 'never-served', handedTo: null },
      { node: adam },
    );
    const { state } = given(...taken, left);
    expect(violations(state)).toEqual([]);
    const resource = state.resources[tag];
    expect(resource).toMatchObject({ phase: 'out-of-service', lastOwner: { node: eve, epoch: 1 } });
    expect([adam, sophocles].map((node) => resource?.replicas[node]?.data)).toEqual([
      'outdated',
      'up-to-date',
    ]);
    const next = given(...taken, left).when(
      command('failover', { actor: { id: sophocles, via: 'policy', verified: true } }),
      facts({ self: sophocles, reachable: [adam, sophocles] }),
    );
    expect(next.events()[0]?.data).toMatchObject({ lost: eve, candidate: sophocles });
  });

  it('answers only for its own reign', () => {
    expect(
      given(...taken)
        .when(command('served', { epoch: 1, device: [] }), facts({ self: eve }))
        .refusal(),
    ).toBe('stale-command');
    expect(
      given(...taken)
        .when(command('serve-failed', { epoch: 1, why: 'x' }), facts({ self: eve }))
        .refusal(),
    ).toBe('stale-command');
  });

  it('makes the old source a target when that returns', () => {
    const then = given(...mirrored()).when(
      command('return'),
      facts({
        promises: { epoch: 2, answers: [answer(adam, 'source-alive', 2), answer(sophocles, 'promised')] },
      }),
    );
    expect(then.events().map(({ type, data }) => [type, (data as { why?: string }).why])).toEqual([
      ['resource.left-service', 'taken-over'],
    ]);
  });
});
