import { describe, expect, it } from 'vitest';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, eve, facts, given, lost, mirrored, past, sophocles, tag } from './given.ts';

const setting = (key: 'confirm-failover' | 'confirm-failover-default', value: unknown) =>
  past('resource.settings-changed', { node: adam, peer: eve, key, value });
const alone = facts({ self: adam, reachable: [adam, sophocles] });
const policy = { actor: { id: 'adam', via: 'policy', verified: true } } as never;
const waits = past(
  'failover.confirmation-requested',
  { lost: eve, candidate: adam, seconds: 600, default: 'proceed' },
  { node: adam, command: 'f', digest: 'd' },
);

describe('rule 14: confirm failover', () => {
  it('waits where it is set for the pair, and not elsewhere', () => {
    const world = given(...mirrored(), setting('confirm-failover', 600), lost(eve));
    expect(world.when(command('failover', policy), alone).events()[0]).toMatchObject({
      type: 'failover.confirmation-requested',
      data: { seconds: 600, default: 'proceed' },
    });
    const other = past('resource.settings-changed', {
      node: sophocles,
      peer: eve,
      key: 'confirm-failover',
      value: 600,
    });
    expect(
      given(...mirrored(), other, lost(eve))
        .when(command('failover', policy), alone)
        .types(),
    ).toEqual(['failover.started']);
  });

  it("does not wait for an operator's own order", () => {
    const world = given(...mirrored(), setting('confirm-failover', 600), lost(eve));
    expect(world.when(command('failover'), alone).types()).toEqual(['failover.started']);
  });

  it('decides at once with 0 s: proceeds, or blocks', () => {
    const proceed = given(...mirrored(), setting('confirm-failover', 0), lost(eve));
    expect(proceed.when(command('failover', policy), alone).types()).toEqual([
      'failover.confirmed',
      'failover.started',
    ]);
    const block = given(
      ...mirrored(),
      setting('confirm-failover', 0),
      setting('confirm-failover-default', 'block'),
      lost(eve),
    );
    expect(block.when(command('failover', policy), alone).types()).toEqual([
      'failover.blocked',
      'command.failed',
    ]);
  });

  it('proceeds when confirmed, blocks when told to', () => {
    const world = given(...mirrored(), lost(eve), waits);
    expect(world.when(command('confirm-failover', { block: false }), alone).types()).toEqual([
      'failover.confirmed',
      'failover.started',
      'command.completed',
    ]);
    expect(world.when(command('confirm-failover', { block: true }), alone).types()).toEqual([
      'failover.confirmed',
      'failover.blocked',
      'command.failed',
      'command.completed',
    ]);
  });

  it('does its default when nobody confirms in time', () => {
    const timedOut = command('confirmation-timed-out');
    expect(
      given(...mirrored(), lost(eve), waits)
        .when(timedOut, alone)
        .types(),
    ).toEqual(['failover.confirmed', 'failover.started']);
    const blocking = past('failover.confirmation-requested', {
      ...(waits.data as object),
      default: 'block',
    } as never);
    expect(
      given(...mirrored(), lost(eve), blocking)
        .when(timedOut, alone)
        .types(),
    ).toContain('failover.blocked');
  });

  it('begins the wait anew after a restart of the waiting agent, and of no other', () => {
    const { state } = given(...mirrored(), lost(eve), waits);
    const intent = { do: 'await-confirmation', tag, seconds: 600 };
    expect(standing(state, state.resources[tag], adam)).toContainEqual(intent);
    expect(standing(state, state.resources[tag], sophocles)).not.toContainEqual(intent);
  });

  it('refuses what would go round it with failover-not-confirmed', () => {
    const world = given(...mirrored(), lost(eve), waits);
    expect(world.when(command('failover'), alone).refusal()).toBe('failover-not-confirmed');
    expect(world.when(command('pause'), alone).refusal()).toBe('failover-not-confirmed');
  });

  it('is blocked until an operator orders the failover, or the source is heard again', () => {
    const blocked = past('failover.blocked', {
      lost: eve,
      candidate: adam,
      code: 'failover-not-confirmed',
      text: 'not confirmed',
    });
    const world = given(...mirrored(), lost(eve), waits, blocked);
    expect(world.state.resources[tag]?.phase).toBe('blocked');
    expect(violations(world.state)).toEqual([]);
    expect(world.when(command('pause'), alone).refusal()).toBe('failover-not-confirmed');
    expect(world.when(command('failover'), alone).types()).toEqual(['failover.started']);
    const heard = past('node.returned', { node: eve, restarted: false });
    expect(given(...mirrored(), lost(eve), waits, blocked, heard).state.resources[tag]?.phase).toBe(
      'in-service',
    );
  });

  it('is confirmed by the waiting candidate alone, while it waits: else stale-command', () => {
    const world = given(...mirrored(), lost(eve), waits);
    const elsewhere = facts({ self: sophocles, reachable: [sophocles] });
    expect(world.when(command('confirm-failover'), elsewhere).refusal()).toBe('stale-command');
    expect(
      given(...mirrored())
        .when(command('confirm-failover'))
        .refusal(),
    ).toBe('stale-command');
  });
});
