import { describe, expect, it } from 'vitest';
import type { Command } from '../../domain/commands.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { Facts } from '../../domain/facts.ts';
import {
  adam,
  command,
  created,
  entered,
  eve,
  facts,
  gibibyte,
  given,
  joined,
  lost,
  mirrored,
  past,
} from './given.ts';

const path = '/srv/data.img';
const filled = facts({ paths: { [path]: { exists: true, usedBy: null, byteSize: gibibyte, blank: false } } });
const volumes = [{ name: 'data', path }] as never;
const split = past('split-brain.detected', {
  reigns: [
    { node: eve, epoch: 1 },
    { node: adam, epoch: 2 },
  ],
});
const alone = facts({ self: adam, reachable: [adam] });

/** Every command that may destroy data. */
const destroys: readonly (readonly [string, readonly AnyEvent[], Command, Facts])[] = [
  ['force-online', [...mirrored(), lost(eve)], command('force-online', { node: adam }), alone],
  ['resolve-split-brain', [...mirrored(), split], command('resolve-split-brain', { victim: adam }), facts()],
  ['out-of-service of a victim', [...mirrored(), split], command('out-of-service', { node: adam }), facts()],
  ['delete', mirrored(), command('delete'), facts()],
  [
    'an overwriting extend',
    [...joined(), created(), entered(eve, 1)],
    command('extend', { node: adam, volumes, mode: 'sync', pair: {}, compress: 0, fullSync: true }),
    filled,
  ],
  [
    'create of a new file system on paths that are not blank',
    joined(),
    command('create', {
      node: eve,
      volumes,
      content: 'new-filesystem',
      mount: '/mnt/data',
      allowAsync: false,
      priority: 1,
    }),
    filled,
  ],
  ['full-resync', mirrored(), command('full-resync', { targets: [adam] }), facts()],
  ['bitmap mark-clean', mirrored(), command('bitmap-mark-clean', { node: eve, peer: adam }), facts()],
];

describe('rule 23: accepting a loss', () => {
  it.each(destroys)(
    '%s says first what would be lost, and runs with the token alone',
    (_, events, asked, known) => {
      const world = given(...events);
      const first = world.when(asked, known);
      expect(first.refusal()).toBe('loss-not-accepted');
      if (first.decision.kind !== 'refused') return;
      const { loss, token, refusal } = first.decision;
      expect(loss?.text).not.toBe('');
      expect(refusal.allowed.join()).toContain(token);
      expect(world.when({ ...asked, acceptLoss: token ?? '' }, known).events().length).toBeGreaterThan(0);
      expect(world.when({ ...asked, acceptLoss: 'made-up' }, known).refusal()).toBe('stale-command');
    },
  );

  it.each(destroys.filter(([name]) => !name.startsWith('create')))(
    '%s: the token is stale once things have moved on',
    (_, events, asked, known) => {
      const first = given(...events).when(asked, known).decision;
      const token = first.kind === 'refused' ? (first.token ?? '') : '';
      const moved = past('resource.settings-changed', { node: null, peer: null, key: 'compress', value: 1 });
      const again = given(...events, moved).when({ ...asked, acceptLoss: token }, known);
      expect(again.refusal()).toBe('stale-command');
      expect(again.decision).toMatchObject({ loss: { text: expect.any(String) }, token: expect.any(String) });
    },
  );

  it('is not asked for by what destroys nothing', () => {
    const blank = facts({
      paths: { [path]: { exists: true, usedBy: null, byteSize: gibibyte, blank: true } },
    });
    const create = command('create', {
      node: eve,
      volumes,
      content: 'new-filesystem',
      mount: '/mnt/data',
      allowAsync: false,
      priority: 1,
    });
    expect(
      given(...joined())
        .when(create, blank)
        .types(),
    ).toContain('resource.created');
    expect(
      given(...joined())
        .when({ ...create, content: 'raw', mount: undefined }, filled)
        .types(),
    ).toContain('resource.created');
  });

  it('is asked last: other refusals come first', () => {
    const asked = command('force-online', { node: adam });
    expect(
      given(...mirrored())
        .when(asked, facts({ self: adam }))
        .refusal(),
    ).toBe('already-in-service');
  });

  it('of mark-clean without a peer starts a baseline', () => {
    const clean = past('bitmap.marked-clean', { node: eve, peer: null });
    expect(given(...mirrored(), clean).state.resources['datarep-ext3']?.replicas[eve]?.baseline).toBe(true);
  });
});
