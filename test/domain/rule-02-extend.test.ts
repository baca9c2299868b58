import { describe, expect, it } from 'vitest';
import type { CommandOf } from '../../domain/commands.ts';
import type { PathFact } from '../../domain/facts.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import {
  adam,
  command,
  created,
  entered,
  eve,
  extended,
  facts,
  gibibyte,
  given,
  joined,
  past,
} from './given.ts';

const path = '/srv/data.img';
const there = (fact: Partial<PathFact> = {}) =>
  facts({ paths: { [path]: { exists: true, usedBy: null, byteSize: gibibyte, blank: true, ...fact } } });
const extend = (more: Partial<CommandOf<'extend'>> = {}) =>
  command('extend', {
    node: adam,
    volumes: [{ name: 'data', path }] as never,
    mode: 'sync',
    compress: 0,
    pair: {},
    fullSync: true,
    ...more,
  });
const served = [...joined(), created(), entered(eve, 1)];

describe('rule 2: extend', () => {
  it('adds a target with the next priority, mode sync and a fixed replication endpoint', () => {
    const [event] = given(...served)
      .when(extend(), there({ byteSize: 2 * gibibyte }))
      .events();
    expect(event).toMatchObject({
      type: 'resource.extended',
      data: {
        priority: 2,
        mode: 'sync',
        replication: { host: '127.0.0.1', port: 7801 },
        volumes: [{ byteSize: gibibyte }],
      },
    });
  });

  it('takes the priority and the mode per pair that are asked for', () => {
    const [event] = given(...served, extended('sophocles' as NodeName))
      .when(extend({ priority: 9, pair: { sophocles: 'memory-sync' } as never }), there())
      .events();
    expect(event?.data).toMatchObject({ priority: 9, pairs: { eve: 'sync', sophocles: 'memory-sync' } });
  });

  it('is refused with not-in-service', () => {
    const left = past('resource.left-service', {
      node: eve,
      epoch: 1,
      why: 'out-of-service',
      handedTo: null,
    });
    expect(
      given(...served, left)
        .when(extend(), there())
        .refusal(),
    ).toBe('not-in-service');
  });

  it('is refused with already-extended', () => {
    expect(
      given(...served, extended(adam))
        .when(extend(), there())
        .refusal(),
    ).toBe('already-extended');
  });

  it('is refused with volume-count-mismatch: fewer, more or other volumes', () => {
    const named = (...names: string[]) => names.map((name) => ({ name, path })) as never;
    for (const volumes of [named('log'), named('data', 'log')]) {
      expect(
        given(...served)
          .when(extend({ volumes }), there())
          .refusal(),
      ).toBe('volume-count-mismatch');
    }
  });

  it('is refused with target-too-small', () => {
    expect(
      given(...served)
        .when(extend(), there({ byteSize: gibibyte - 1 }))
        .refusal(),
    ).toBe('target-too-small');
  });

  it('is refused with too-many-targets: the eighth', () => {
    const names = ['b', 'c', 'd', 'e', 'f', 'g', 'h'] as NodeName[];
    const seven = names.map((node, index) => extended(node, { priority: 10 + index }));
    expect(
      given(...served, ...seven.slice(1))
        .when(extend(), there())
        .types(),
    ).toContain('resource.extended');
    expect(
      given(...served, ...seven)
        .when(extend(), there())
        .refusal(),
    ).toBe('too-many-targets');
  });

  it('is refused with priority-taken', () => {
    expect(
      given(...served)
        .when(extend({ priority: 1 }), there())
        .refusal(),
    ).toBe('priority-taken');
  });

  it('is refused with async-not-enabled, unless the resource allows it', () => {
    const world = given(...served);
    expect(world.when(extend({ mode: 'async' }), there()).refusal()).toBe('async-not-enabled');
    expect(world.when(extend({ pair: { eve: 'async' } as never }), there()).refusal()).toBe(
      'async-not-enabled',
    );
    const allowed = given(
      ...served,
      past('resource.settings-changed', { node: null, peer: null, key: 'allow-async', value: true }),
    );
    expect(allowed.when(extend({ mode: 'async' }), there()).types()).toContain('resource.extended');
  });

  it('is refused with path-in-use and path-missing', () => {
    const world = given(...served);
    expect(world.when(extend(), there({ usedBy: 'a volume of mail' })).refusal()).toBe('path-in-use');
    expect(world.when(extend(), there({ exists: false })).refusal()).toBe('path-missing');
  });

  it('is refused with no-baseline without a full resync, unless changes are tracked', () => {
    expect(
      given(...served)
        .when(extend({ fullSync: false }), there({ blank: false }))
        .refusal(),
    ).toBe('no-baseline');
    const baseline = past('bitmap.marked-clean', { node: eve, peer: null });
    const tracked = { ...there({ blank: false }), baseline: '00000000000000aa' as never };
    const [event] = given(...served, baseline)
      .when(extend({ fullSync: false }), tracked)
      .events();
    expect(event).toMatchObject({
      type: 'resource.extended',
      data: { fullSync: false, baseline: '00000000000000aa' },
    });
    // The history says so, but the engine has lost it.
    expect(
      given(...served, baseline)
        .when(extend({ fullSync: false }), there({ blank: false }))
        .refusal(),
    ).toBe('no-baseline');
  });

  it('overwrites what is not blank only with acceptance (rule 23)', () => {
    const then = given(...served).when(extend(), there({ blank: false }));
    expect(then.refusal()).toBe('loss-not-accepted');
    expect(then.decision).toMatchObject({ loss: { bytes: gibibyte, text: expect.stringContaining(path) } });
  });
});
