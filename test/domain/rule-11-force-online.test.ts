import { describe, expect, it } from 'vitest';
import type { Facts } from '../../domain/facts.ts';
import { adam, command, eve, facts, given, lost, mirrored, past, sophocles } from './given.ts';

const alone = facts({ self: adam, reachable: [adam] });
const outOfSync = past('mirror.lost-sync', {
  source: eve,
  target: adam,
  generation: null,
  why: 'lost',
  known: true,
});

function forced(world: ReturnType<typeof given>, node: typeof eve, known: Facts) {
  const asked = world.when(command('force-online', { node }), known);
  const token = asked.decision.kind === 'refused' ? (asked.decision.token ?? '') : '';
  return { asked, accepted: world.when(command('force-online', { node, acceptLoss: token }), known) };
}

describe('rule 11: force-online', () => {
  it('says how old the copy is and what it misses, then goes in service, durable before it serves (I2, I19)', () => {
    const world = given(...mirrored(), outOfSync, lost(eve));
    const replicas = {
      adam: { behind: { writes: 212, bytes: 1_700_000, ms: 4000 }, epoch: 1, promised: 1 },
    } as never;
    const { asked, accepted } = forced(world, adam, { ...alone, now: alone.now + 7_200_000, replicas });
    expect(asked.refusal()).toBe('loss-not-accepted');
    expect(asked.decision).toMatchObject({
      loss: { writes: 212, bytes: 1_700_000, text: expect.stringMatching(/outdated.*2 h ago.*212 writes/) },
    });
    expect(accepted.types()).toEqual(['resource.forced-online', 'resource.entered-service']);
    expect(accepted.events()[0]?.data).toMatchObject({ node: adam, epoch: 2, lost: { writes: 212 } });
  });

  it('clears the data-corrupt flag', () => {
    const world = given(
      ...mirrored(),
      past('data-corrupt.flagged', { node: eve, missing: [adam] }),
      past('resource.left-service', { node: eve, epoch: 1, why: 'cannot-tell', handedTo: null }),
    );
    expect(forced(world, eve, facts({ reachable: [eve] })).accepted.types()).toEqual([
      'resource.forced-online',
      'data-corrupt.cleared',
      'resource.entered-service',
    ]);
  });

  it('is refused with already-in-service where another reachable node serves, or the same', () => {
    const world = given(...mirrored());
    expect(world.when(command('force-online', { node: adam }), facts({ self: adam })).refusal()).toBe(
      'already-in-service',
    );
    expect(world.when(command('force-online', { node: eve })).refusal()).toBe('already-in-service');
  });

  it('ends what was under way: its command fails', () => {
    const waits = past(
      'failover.confirmation-requested',
      { lost: eve, candidate: sophocles, seconds: 600, default: 'proceed' },
      { node: sophocles, command: 'f', digest: 'd' },
    );
    const world = given(...mirrored(), lost(eve), waits);
    const known = facts({ self: sophocles, reachable: [sophocles] });
    expect(forced(world, sophocles, known).accepted.types()).toEqual([
      'command.failed',
      'resource.forced-online',
      'resource.entered-service',
    ]);
  });
});
