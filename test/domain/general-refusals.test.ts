import { describe, expect, it } from 'vitest';
import type { UnknownEvent } from '../../domain/events.ts';
import { violations } from '../../domain/invariants.ts';
import { adam, command, created, entered, eve, facts, given, joined, mirrored, past, tag } from './given.ts';

const strange: UnknownEvent = {
  ...(past('node.joined', { node: eve, host: null }) as object),
  type: 'unknown',
  originalType: 'mirrorkeeper.resource.painted.v1',
  resource: tag,
} as unknown as UnknownEvent;

describe('every command', () => {
  it('is refused with unknown-tag where no resource of that tag is, or it was deleted', () => {
    const deleted = past('resource.deleted', { created: 'eve/1/4' });
    expect(
      given(...joined())
        .when(command('switchover', { node: adam }))
        .refusal(),
    ).toBe('unknown-tag');
    const world = given(...joined(), created(), entered(eve, 1), deleted);
    expect(world.when(command('switchover', { node: adam })).refusal()).toBe('unknown-tag');
    expect(violations(world.state)).toEqual([]);
  });

  it('is refused with unknown-node where the node is none, or has no replica', () => {
    const plato = 'plato' as never;
    expect(
      given(...mirrored())
        .when(command('switchover', { node: plato }))
        .refusal(),
    ).toBe('unknown-node');
    const alone = given(...joined(), created(), entered(eve, 1));
    expect(alone.when(command('switchover', { node: adam })).refusal()).toBe('unknown-node');
    expect(alone.when(command('pause', { targets: [adam] })).refusal()).toBe('unknown-node');
    expect(alone.when(command('pause')).refusal()).toBe('unknown-node');
  });

  it('is refused with invalid-request where a setting has no such value', () => {
    const asked = command('settings', { key: 'compress', value: 11 });
    expect(
      given(...mirrored())
        .when(asked)
        .refusal(),
    ).toBe('invalid-request');
  });

  it('is refused with journal-damaged by a node whose journal is damaged, whatever it asks', () => {
    const world = given(...mirrored());
    expect(world.when(command('pause'), facts({ journalDamaged: true })).refusal()).toBe('journal-damaged');
    const observed = command('peer-connected', { source: eve, target: adam, inSync: true });
    expect(world.when(observed, facts({ journalDamaged: true })).refusal()).toBe('journal-damaged');
  });

  it('is refused with unknown-event where the history holds what this version does not know; data goes on', () => {
    const world = given(...mirrored(), strange);
    const then = world.when(command('pause'));
    expect(then.refusal()).toBe('unknown-event');
    expect(
      world.when(command('peer-connected', { source: eve, target: adam, inSync: true })).types(),
    ).toEqual(['mirror.connected']);
  });

  it('says why, what would be allowed, and which events led there', () => {
    const { decision } = given(...mirrored()).when(command('resume', { targets: [adam] }));
    expect(decision).toMatchObject({
      kind: 'refused',
      refusal: {
        code: 'not-paused',
        message: expect.stringContaining('adam'),
        because: [expect.any(String)],
      },
    });
  });
});
