import { describe, expect, it } from 'vitest';
import { decide } from '../../domain/decide.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { Facts } from '../../domain/facts.ts';
import { whatWouldAllow } from '../../domain/what-would-allow.ts';
import { adam, command, eve, facts, fold, lost, mirrored, past, sophocles } from './given.ts';

function ifOnly(events: readonly AnyEvent[], asked: ReturnType<typeof command>, known: Facts = facts()) {
  const situation = { state: fold(events), command: asked, facts: known };
  expect(decide(situation.state, asked, known).kind).toBe('refused');
  return whatWouldAllow(situation);
}

const pausedAdam = past('mirror.paused', { source: eve, target: adam, by: 'operator', reason: 'backup' });

describe('what would make a refused command allowed', () => {
  it('one thing where one is enough', () => {
    expect(ifOnly([...mirrored(), pausedAdam], command('switchover', { node: adam }))).toEqual([
      ['adam were connected and in sync'],
    ]);
    const failover = command('failover', { node: adam });
    expect(ifOnly(mirrored(), failover, facts({ self: adam }))).toEqual([
      ['eve were lost (silent to every reachable node)'],
    ]);
    expect(ifOnly(mirrored(), command('switchover', { node: adam, deadline: 1 as never }))).toEqual([
      ['it had no deadline'],
    ]);
    expect(ifOnly(mirrored(), command('delete'))).toEqual([['the loss were accepted (--accept-loss TOKEN)']]);
  });

  it('two where none is enough alone', () => {
    const known = facts({ self: adam, reachable: [adam, eve] });
    expect(ifOnly([...mirrored(), lost(sophocles)], command('failover', { node: sophocles }), known)).toEqual(
      [['eve were lost (silent to every reachable node)', 'sophocles could be reached']],
    );
  });

  it('a record of the replica that vetoes is part of its being in sync', () => {
    const record = { epoch: 1, promised: 0, inSync: false, consistent: true, paused: false, rewound: false };
    const replicas = { [adam]: { ...record, related: true, behind: null, dirtyBytes: {} } };
    expect(ifOnly(mirrored(), command('switchover', { node: adam }), facts({ replicas }))).toEqual([
      ['adam were connected and in sync'],
    ]);
  });

  it('nothing, where no such thing helps', () => {
    expect(ifOnly(mirrored(), command('failover', { node: 'nobody' as never }))).toEqual([]);
  });
});
