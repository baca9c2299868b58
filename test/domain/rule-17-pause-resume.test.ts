import { describe, expect, it } from 'vitest';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { modeOf } from '../../domain/state.ts';
import {
  adam,
  command,
  created,
  entered,
  eve,
  extended,
  type fold,
  given,
  joined,
  mirrored,
  past,
  sophocles,
  tag,
} from './given.ts';

const paused = past('mirror.paused', { source: eve, target: adam, by: 'operator', reason: 'backup' });

describe('rule 17: pause, resume, full-resync', () => {
  it('pauses the targets that are named, or all, with the reason', () => {
    const world = given(...mirrored());
    const then = world.when(command('pause', { targets: [adam], reason: 'backup' }));
    expect(then.events()[0]?.data).toEqual({ source: eve, target: adam, by: 'operator', reason: 'backup' });
    expect(world.when(command('pause')).types()).toEqual([
      'mirror.paused',
      'mirror.paused',
      'command.completed',
    ]);
  });

  it('holds a paused target for outdated, and it stays paused over a change of the source', () => {
    const { state } = given(...mirrored(), paused);
    expect(state.resources[tag]?.mirrors[adam]).toMatchObject({
      status: 'paused',
      paused: { reason: 'backup' },
    });
    expect(state.resources[tag]?.replicas[adam]?.data).toBe('outdated');
    const moved = given(
      ...mirrored(),
      paused,
      entered(sophocles, 2, 'failover', { node: eve, epoch: 1 }),
    ).state;
    expect(standing(moved, moved.resources[tag], sophocles)).toContainEqual(
      expect.objectContaining({ do: 'pause', peer: adam, reason: 'backup' }),
    );
    expect(violations(moved)).toEqual([]);
  });

  it('is refused with already-paused and not-paused', () => {
    expect(
      given(...mirrored(), paused)
        .when(command('pause', { targets: [adam] }))
        .refusal(),
    ).toBe('already-paused');
    expect(
      given(...mirrored(), paused)
        .when(command('resume', { targets: [sophocles] }))
        .refusal(),
    ).toBe('not-paused');
  });

  it('resumes', () => {
    const then = given(...mirrored(), paused).when(command('resume', { targets: [adam] }));
    expect(then.types()).toEqual(['mirror.resumed', 'command.completed']);
  });

  it('is refused with not-in-service where nobody serves', () => {
    const left = past('resource.left-service', {
      node: eve,
      epoch: 1,
      why: 'out-of-service',
      handedTo: null,
    });
    for (const name of ['pause', 'resume', 'full-resync'] as const)
      expect(
        given(...mirrored(), left)
          .when(command(name))
          .refusal(),
      ).toBe('not-in-service');
  });
});

describe('verify (REQUIREMENTS 2.9)', () => {
  const pair = { source: eve, target: adam };

  it('is begun for the targets in sync that are named, and ends by what the engine says', () => {
    const world = given(...mirrored(adam, sophocles));
    expect(world.when(command('verify', {})).types()).toEqual([
      'verify.started',
      'verify.started',
      'command.completed',
    ]);
    expect(world.when(command('verify', { targets: [adam] })).events()[0]?.data).toEqual(pair);
    const verifying = (...more: Parameters<typeof fold>[0]) => {
      const { state } = given(...mirrored(), past('verify.started', pair), ...more);
      return standing(state, state.resources[tag], eve).some((intent) => intent.do === 'verify');
    };
    expect(verifying()).toBe(true);
    expect(verifying(past('verify.interrupted', { ...pair, why: 'at 3%' }))).toBe(false);
    expect(verifying(past('verify.completed', { ...pair, bytes: 1, differing: 0, ranges: [] }))).toBe(false);
    expect(verifying(past('mirror.disconnected', { ...pair, why: 'silence', away: false }))).toBe(false);
  });

  it('is refused while the target is paused, out of sync or away', () => {
    const refusal = (...events: Parameters<typeof fold>[0]) =>
      given(...mirrored(), ...events)
        .when(command('verify', {}))
        .refusal();
    const lostSync = { ...pair, generation: null, why: 'lost', known: true };
    expect(refusal(paused)).toBe('target-paused');
    expect(refusal(past('mirror.lost-sync', lostSync))).toBe('target-out-of-sync');
    expect(refusal(past('mirror.disconnected', { ...pair, why: 'silence', away: false }))).toBe(
      'target-unreachable',
    );
  });
});

describe('rule 17: settings', () => {
  it('take effect at once, for the resource, a node or a pair', () => {
    const world = given(...mirrored());
    expect(world.when(command('settings', { key: 'compress', value: '3' })).events()[0]?.data).toEqual({
      node: null,
      peer: null,
      key: 'compress',
      value: 3,
    });
    const ofNode = { tag: undefined, node: eve, key: 'block-resource-failover', value: 'on' } as never;
    expect(world.when(command('settings', ofNode)).events()[0]).toMatchObject({
      type: 'node.settings-changed',
      data: { node: eve, value: true },
    });
    const { state } = given(
      ...mirrored(),
      past('resource.settings-changed', { node: adam, peer: eve, key: 'mode', value: 'async' }),
    );
    expect(standing(state, state.resources[tag], eve)).toContainEqual(
      expect.objectContaining({ do: 'connect', peer: adam, mode: 'async' }),
    );
  });

  it('the mode of a node is that of all its pairs, that of a resource of all pairs at all', () => {
    const modesAfter = (node: typeof adam | null) => {
      const change = { node, peer: null, key: 'mode', value: 'memory-sync' } as const;
      const { state } = given(...mirrored(adam, sophocles), past('resource.settings-changed', change));
      const resource = state.resources[tag];
      if (!resource) throw new Error('it is created');
      return [
        modeOf(resource, eve, adam),
        modeOf(resource, sophocles, adam),
        modeOf(resource, eve, sophocles),
      ];
    };
    expect(modesAfter(adam)).toEqual(['memory-sync', 'memory-sync', 'sync']);
    expect(modesAfter(null)).toEqual(['memory-sync', 'memory-sync', 'memory-sync']);
  });

  it('compression is that of the pair, else what the target was extended with', () => {
    const compressions = (...events: Parameters<typeof fold>[0]) => {
      const { state } = given(...mirrored(), extended(sophocles, { compress: 6, priority: 3 }), ...events);
      return [eve, sophocles].flatMap((self) =>
        standing(state, state.resources[tag], self).flatMap((intent) =>
          intent.do === 'connect' ? [[self, intent.peer, intent.compress]] : [],
        ),
      );
    };
    expect(compressions()).toEqual([
      [eve, adam, 0],
      [eve, sophocles, 6],
      [sophocles, eve, 6],
      [sophocles, adam, 6],
    ]);
    const change = { node: eve, peer: sophocles, key: 'compress', value: 0 } as const;
    expect(compressions(past('resource.settings-changed', change))).toEqual([
      [eve, adam, 0],
      [eve, sophocles, 0],
      [sophocles, eve, 0],
      [sophocles, adam, 6],
    ]);
  });

  it('mode is refused where no resource is named', () => {
    const pair = command('settings', { node: adam, peer: eve, key: 'mode', value: 'sync' });
    const { tag: _, ...clusterWide } = pair as typeof pair & { tag?: unknown };
    expect(
      given(...mirrored())
        .when(clusterWide as never)
        .refusal(),
    ).toBe('invalid-request');
  });

  it('are refused with priority-taken and async-not-enabled', () => {
    const taken = command('settings', { node: adam, key: 'priority', value: 1 });
    expect(
      given(...mirrored())
        .when(taken)
        .refusal(),
    ).toBe('priority-taken');
    const async = command('settings', { node: adam, peer: eve, key: 'mode', value: 'async' });
    expect(
      given(...joined(), created(), entered(eve, 1))
        .when(async)
        .refusal(),
    ).toBe('unknown-node');
    const strict = given(
      ...mirrored(),
      past('resource.settings-changed', { node: null, peer: null, key: 'allow-async', value: false }),
    );
    expect(strict.when(async).refusal()).toBe('async-not-enabled');
  });

  it('are refused with unknown-tag where there is no such resource', () => {
    expect(
      given(...joined())
        .when(command('settings', { key: 'compress', value: 1 }))
        .refusal(),
    ).toBe('unknown-tag');
  });
});
