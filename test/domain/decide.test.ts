import { describe, expect, it } from 'vitest';
import { violations } from '../../domain/invariants.ts';
import { react } from '../../domain/react.ts';
import { emptyState, sourceOf } from '../../domain/state.ts';
import {
  adam,
  command,
  created,
  entered,
  eve,
  facts,
  given,
  joined,
  lost,
  mirrored,
  nodes,
  past,
  sophocles,
  tag,
} from './given.ts';

const paths = { '/srv/data.img': { exists: true, usedBy: null, byteSize: 1024 ** 3, blank: true } };

describe('decide, the main line', () => {
  it('creates, serves, and says so when the device answers', () => {
    const { state, ...first } = given(...joined()).when(
      command('create', {
        node: eve,
        content: 'raw',
        volumes: [{ name: 'data', path: '/srv/data.img' }] as never,
        allowAsync: false,
        priority: 1,
      }),
      facts({ paths }),
    );
    expect(first.types()).toEqual(['resource.created', 'resource.entered-service']);
    const served = given(
      ...joined(),
      created(),
      past(
        'resource.entered-service',
        { node: eve, epoch: 1, why: 'created', after: null },
        { command: 'c1' },
      ),
    ).when(command('served', { epoch: 1, device: [] }));
    expect(served.types()).toEqual(['command.completed']);
    expect(state.resources[tag]).toBeUndefined();
  });

  it('fails over to the best target when the source is lost to everybody', () => {
    const world = given(...mirrored(), lost(eve));
    expect(violations(world.state)).toEqual([]);
    const started = world.when(
      command('failover', { node: undefined } as never),
      facts({ self: adam, reachable: [adam, sophocles] }),
    );
    expect(started.types()).toEqual(['failover.started']);
    expect(react(emptyState(), world.state, adam).map((intent) => intent.do)).toContain('propose');
  });

  it('refuses a failover while anybody hears the source', () => {
    const world = given(...mirrored(), lost(eve));
    const known = facts({ self: adam, reachable: [adam, sophocles], heardBy: { eve: [sophocles] } });
    expect(world.when(command('failover'), known).refusal()).toBe('source-alive');
  });

  it('re-forms the mirrors from the new source', () => {
    const { state } = given(...mirrored(), lost(eve), entered(adam, 2, 'failover', { node: eve, epoch: 1 }));
    const resource = state.resources[tag];
    expect(resource && sourceOf(resource)).toBe(adam);
    expect(Object.values(resource?.mirrors ?? {}).map(({ source, target }) => `${source}→${target}`)).toEqual(
      ['adam→eve', 'adam→sophocles'],
    );
    expect(violations(state)).toEqual([]);
    expect(nodes).toHaveLength(3);
  });
});
