import { describe, expect, it } from 'vitest';
import type { AnyEvent } from '../../domain/events.ts';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, entered, eve, facts, given, lost, mirrored, past, sophocles, tag } from './given.ts';

const started = past('switchover.started', { from: eve, to: adam, epoch: 2 }, { command: 'c', digest: 'd' });
const left = past('resource.left-service', {
  node: eve,
  epoch: 1,
  why: 'switchover',
  handedTo: { node: adam, epoch: 2 },
});
const inService = entered(adam, 2, 'switchover', { node: eve, epoch: 1 });
const answers = (answer: 'promised' | 'promised-other' | 'unreachable') => ({
  epoch: 3,
  answers: [adam, sophocles].map((node) => ({ node, answer, outOfSync: false, highestEpoch: 0 }) as const),
});
const doing = (events: readonly AnyEvent[], node: typeof eve) => {
  const { state } = given(...events);
  return standing(state, state.resources[tag], node).map((intent) =>
    intent.do === 'propose' ? `propose ${intent.command}` : intent.do,
  );
};

describe('rule 6: switchover, step by step', () => {
  it('1: starts on the source with the next epoch; in-service on a target means the same', () => {
    const world = given(...mirrored());
    const event = { type: 'switchover.started', data: { from: eve, to: adam, epoch: 2 } };
    expect(world.when(command('switchover', { node: adam })).events()).toEqual([
      expect.objectContaining(event),
    ]);
    expect(world.when(command('in-service', { node: adam })).events()).toEqual([
      expect.objectContaining(event),
    ]);
  });

  it('2 and 3: the source hands over; nobody else does anything', () => {
    expect(doing([...mirrored(), started], eve)).toContain('hand-over');
    expect(doing([...mirrored(), started], adam)).not.toContain('propose take-handover');
  });

  it('4: it says to whom it handed over, and leaves', () => {
    const then = given(...mirrored(), started).when(command('handed-over', { to: adam, epoch: 2 }));
    expect(then.events()[0]?.data).toEqual(left.data);
    const { state } = given(...mirrored(), started, left);
    expect(state.resources[tag]).toMatchObject({ phase: 'switching-over', reigns: [] });
    expect(violations(state)).toEqual([]);
  });

  it('5: the new source enters with that epoch, and no other node does', () => {
    const world = given(...mirrored(), started, left);
    expect(world.when(command('take-handover'), facts({ self: adam })).events()[0]?.data).toEqual(
      inService.data,
    );
    expect(world.when(command('take-handover'), facts({ self: sophocles })).refusal()).toBe('stale-command');
    expect(doing([...mirrored(), started, left], adam)).toContain('propose take-handover');
  });

  it('5: not where it has promised that epoch to another meanwhile', () => {
    const promise = past('takeover.promised', { by: adam, candidate: eve, epoch: 3, outOfSync: false });
    const world = given(...mirrored(), started, left, promise);
    expect(world.when(command('take-handover'), facts({ self: adam })).refusal()).toBe('stale-command');
  });

  it('6: it is complete when the device answers, with the device', () => {
    const device = [{ volume: 'data', uri: 'nbd+unix:///data@2' }] as never;
    const then = given(...mirrored(), started, left, inService).when(
      command('served', { epoch: 2, device }),
      facts({ self: adam }),
    );
    expect(then.types()).toEqual(['switchover.completed', 'command.completed']);
    expect(then.events()[0]?.data).toMatchObject({ from: eve, to: adam, device });
  });

  it('7: every resulting mirror is fed by the new source, the old one included', () => {
    const { state } = given(...mirrored(), started, left, inService);
    expect(
      Object.values(state.resources[tag]?.mirrors ?? {}).map(({ source, target }) => `${source} → ${target}`),
    ).toEqual(['adam → eve', 'adam → sophocles']);
    expect(violations(state)).toEqual([]);
  });
});

describe('rule 6: what stands in the way', () => {
  it('is device-in-use, already-in-service, not-in-service', () => {
    const world = given(...mirrored());
    const used = facts({ deviceInUse: 'mounted at /srv' });
    expect(world.when(command('switchover', { node: adam }), used).refusal()).toBe('device-in-use');
    expect(world.when(command('switchover', { node: eve })).refusal()).toBe('already-in-service');
    const gone = facts({ self: adam, reachable: [adam] });
    expect(world.when(command('switchover', { node: adam }), gone).refusal()).toBe('not-in-service');
  });

  it('is another switchover: the loser gets a conflict (FAULTS 29)', () => {
    const world = given(...mirrored(), started);
    expect(world.when(command('switchover', { node: sophocles })).refusal()).toBe('stale-command');
  });

  it('stops it at step 2, and the source stays', () => {
    const then = given(...mirrored(), started).when(command('switchover-stopped', { step: 2, why: 'busy' }));
    expect(then.types()).toEqual(['switchover.failed', 'command.failed']);
    const failed = past('switchover.failed', { from: eve, to: adam, epoch: 2, step: 2, why: 'busy' });
    const { state } = given(...mirrored(), started, failed);
    expect(state.resources[tag]).toMatchObject({ phase: 'in-service', reigns: [{ node: eve, epoch: 1 }] });
  });
});

describe('rule 6: a new source whose engine refuses to serve', () => {
  const refused = command('serve-failed', { epoch: 2, why: 'target-out-of-sync' });
  const begun = [...mirrored(), started, left, inService];
  const gaveBack = past(
    'resource.left-service',
    { node: adam, epoch: 2, why: 'never-served', handedTo: { node: adam, epoch: 2 } },
    { node: adam },
  );

  it('ends the command at once and says that it has not started', () => {
    const then = given(...begun).when(refused, facts({ self: adam }));
    expect(then.types()).toEqual(['switchover.failed', 'command.failed', 'resource.left-service']);
    expect(then.events()[2]?.data).toEqual(gaveBack.data);
  });

  it('gives the resource back: the old source goes on with the promise of the new one, and nothing is outdated', () => {
    const { state } = given(...begun, gaveBack);
    expect(state.resources[tag]).toMatchObject({
      phase: 'out-of-service',
      lastOwner: { node: eve, epoch: 1 },
      replicas: {
        [eve]: { data: 'up-to-date' },
        [adam]: { data: 'outdated' },
        [sophocles]: { data: 'up-to-date' },
      },
    });
    expect(violations(state)).toEqual([]);
    expect(doing([...begun, gaveBack], eve)).toContain('propose return');
    const world = given(...begun, gaveBack);
    expect(world.when(command('return'), facts({ promises: answers('promised') })).types()).toEqual([
      'resource.entered-service',
    ]);
    expect(world.when(command('return'), facts({ promises: answers('unreachable') })).refusal()).toBe(
      'not-last-owner',
    );
  });
});

describe('rule 6: after a crash of the old source', () => {
  it('before step 4 it resumes, with the promises of all', () => {
    const then = given(...mirrored(), started).when(
      command('return'),
      facts({ promises: answers('promised') }),
    );
    expect(then.types()).toEqual(['switchover.failed', 'command.failed', 'resource.entered-service']);
  });

  it('after step 4 it serves only where the other says that it has not started and promises not to', () => {
    const world = given(...mirrored(), started, left);
    expect(world.when(command('return'), facts({ promises: answers('promised') })).types()).toContain(
      'resource.entered-service',
    );
    for (const answer of ['promised-other', 'unreachable'] as const) {
      expect(world.when(command('return'), facts({ promises: answers(answer) })).refusal()).toBe(
        'not-last-owner',
      );
    }
  });

  it('after step 4 nobody else takes over, but an operator can force', () => {
    const world = given(...mirrored(), started, left, lost(eve), lost(adam));
    const known = facts({ self: sophocles, reachable: [sophocles] });
    expect(world.when(command('failover'), known).refusal()).toBe('stale-command');
    expect(world.when(command('force-online', { node: sophocles }), known).refusal()).toBe(
      'loss-not-accepted',
    );
  });

  it('before step 4 a target takes over where it is lost', () => {
    const world = given(...mirrored(), started, lost(eve));
    const known = facts({ self: adam, reachable: [adam, sophocles] });
    expect(world.when(command('failover'), known).types()).toEqual(['switchover.failed', 'failover.started']);
    expect(doing([...mirrored(), started, lost(eve)], adam)).toContain('propose failover');
  });
});
