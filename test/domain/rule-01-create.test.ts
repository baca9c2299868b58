import { describe, expect, it } from 'vitest';
import type { CommandOf } from '../../domain/commands.ts';
import type { PathFact } from '../../domain/facts.ts';
import { violations } from '../../domain/invariants.ts';
import { standing } from '../../domain/react.ts';
import { adam, command, created, entered, eve, facts, given, joined, past, sophocles, tag } from './given.ts';

const path = '/srv/data.img';
const blank: PathFact = { exists: true, usedBy: null, byteSize: 1024 ** 3, blank: true };
const here = (fact: Partial<PathFact> = {}) => facts({ paths: { [path]: { ...blank, ...fact } } });
const create = (more: Partial<CommandOf<'create'>> = {}) =>
  command('create', {
    node: eve,
    content: 'raw',
    volumes: [{ name: 'data', path }] as never,
    allowAsync: false,
    priority: 1,
    ...more,
  });

describe('rule 1: create', () => {
  it('serves degraded, local only, with priority 1', () => {
    const then = given(...joined()).when(create(), here());
    expect(then.types()).toEqual(['resource.created', 'resource.entered-service']);
    expect(then.events()[0]?.data).toMatchObject({ priority: 1, volumes: [{ byteSize: 1024 ** 3 }] });
  });

  it('takes a tag that was deleted', () => {
    const world = given(
      ...joined(),
      created(),
      entered(eve, 1),
      past('resource.deleted', { created: 'eve/1/4' }),
    );
    expect(world.when(create(), here()).types()).toContain('resource.created');
  });

  it('is refused with tag-exists', () => {
    expect(
      given(...joined(), created(), entered(eve, 1))
        .when(create(), here())
        .refusal(),
    ).toBe('tag-exists');
  });

  it('is refused with path-missing', () => {
    expect(
      given(...joined())
        .when(create(), here({ exists: false }))
        .refusal(),
    ).toBe('path-missing');
  });

  it.each(['swap', 'a volume of mail', 'mounted', 'protected'])(
    'is refused with path-in-use: %s',
    (usedBy) => {
      expect(
        given(...joined())
          .when(create(), here({ usedBy }))
          .refusal(),
      ).toBe('path-in-use');
    },
  );

  it('is refused with path-in-use where one path is named twice', () => {
    const volumes = [
      { name: 'data', path },
      { name: 'log', path },
    ] as never;
    expect(
      given(...joined())
        .when(create({ volumes }), here())
        .refusal(),
    ).toBe('path-in-use');
  });

  it('keeps an existing file system that is mounted at the path it names', () => {
    const asked = create({ content: 'existing-filesystem' });
    const world = given(...joined());
    expect(world.when(asked, here({ usedBy: 'mounted', mountedAt: '/mnt/data' })).types()).toContain(
      'resource.created',
    );
    expect(world.when(asked, here({ usedBy: 'swap' })).refusal()).toBe('path-in-use');
  });

  it('is refused with target-unreachable where the node does not say what its paths are', () => {
    expect(
      given(...joined())
        .when(create(), facts())
        .refusal(),
    ).toBe('target-unreachable');
  });
});

describe('rule 1: two creations of one tag that had not seen each other', () => {
  const both = [
    ...joined(),
    created(),
    entered(eve, 1),
    past('resource.created', { ...created().data, node: adam } as never, { node: adam }),
    entered(adam, 1),
  ];

  it('are conflicted, and nobody stops serving', () => {
    const { state } = given(...both);
    const resource = state.resources[tag];
    expect(resource?.phase).toBe('conflicted');
    expect(violations(state)).toEqual([]);
    for (const node of [eve, adam]) {
      expect(standing(state, resource, node)).toContainEqual(
        expect.objectContaining({ do: 'serve', epoch: 1 }),
      );
    }
  });

  it('refuse every other command with tag-exists', () => {
    expect(
      given(...both)
        .when(command('switchover', { node: adam }))
        .refusal(),
    ).toBe('tag-exists');
  });

  it('end when one is deleted on its node, whichever', () => {
    for (const [self, other] of [
      [eve, adam],
      [adam, eve],
    ] as const) {
      const world = given(...both);
      const asked = world.when(command('delete'), facts({ self }));
      const token = asked.decision.kind === 'refused' ? asked.decision.token : undefined;
      const deleted = world.when(command('delete', { acceptLoss: token ?? '' }), facts({ self })).events()[0];
      const { state } = given(...both, past('resource.deleted', deleted?.data as never, { node: self }));
      expect(state.resources[tag]?.phase).toBe('in-service');
      expect(state.resources[tag]?.reigns).toEqual([{ node: other, epoch: 1 }]);
      expect(violations(state)).toEqual([]);
    }
  });

  it('are not deleted by a node that made neither', () => {
    expect(
      given(...both)
        .when(command('delete'), facts({ self: sophocles }))
        .refusal(),
    ).toBe('tag-exists');
  });
});
