import { describe, expect, it } from 'vitest';
import { dryRun } from '../../domain/dry-run.ts';
import { adam, command, eve, facts, given, mirrored, past, sophocles } from './given.ts';

const started = past(
  'switchover.started',
  { from: eve, to: adam, epoch: 2 },
  { command: 'once', digest: 'body' },
);

describe('rule 22: commands', () => {
  it('with an id that was another command are refused with command-id-reused', () => {
    const world = given(...mirrored(), started);
    const other = command('pause', { id: 'once', digest: 'other body' });
    expect(world.when(other).refusal()).toBe('command-id-reused');
    const ended = past('command.completed', { commandId: 'once', digest: 'body', device: null });
    expect(
      given(...mirrored(), ended)
        .when(other)
        .refusal(),
    ).toBe('command-id-reused');
  });

  it('past their deadline are refused with stale-command', () => {
    const late = command('pause', { deadline: facts().now - 1 });
    expect(
      given(...mirrored())
        .when(late)
        .refusal(),
    ).toBe('stale-command');
    const inTime = command('pause', { deadline: facts().now });
    expect(
      given(...mirrored())
        .when(inTime)
        .types(),
    ).toContain('mirror.paused');
  });

  it('as a dry run tell events, intents, and direction, kind and size of each resync', () => {
    const replicas = {
      eve: {
        epoch: 1,
        promised: 1,
        consistent: true,
        inSync: true,
        dirtyBytes: { adam: 65_536, sophocles: null },
      },
      adam: {
        epoch: 1,
        promised: 1,
        consistent: true,
        inSync: true,
        dirtyBytes: { eve: 0, sophocles: 131_072 },
      },
    } as never;
    const { state } = given(...mirrored());
    const plan = dryRun(state, command('switchover', { node: adam }), facts({ replicas }));
    expect(plan).toMatchObject({
      kind: 'planned',
      events: [{ type: 'switchover.started' }],
      resyncs: [
        { source: adam, target: eve, kind: 'partial', bytes: 65_536 },
        { source: adam, target: sophocles, kind: 'partial', bytes: 131_072 },
      ],
      loss: null,
    });
  });

  it('as a dry run tell what would be lost and the token, and are refused as the command would be', () => {
    const { state } = given(...mirrored());
    const plan = dryRun(state, command('full-resync', { targets: [adam] }), facts());
    expect(plan).toMatchObject({ kind: 'planned', loss: { text: expect.stringContaining('adam') } });
    expect(plan.kind === 'planned' && plan.resyncs).toContainEqual({
      source: eve,
      target: adam,
      kind: 'full',
      bytes: 1024 ** 3,
    });
    expect(dryRun(state, command('resume', { targets: [adam] }), facts()).kind).toBe('refused');
  });
});
