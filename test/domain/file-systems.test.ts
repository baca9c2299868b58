import { describe, expect, it } from 'vitest';
import type { CommandOf } from '../../domain/commands.ts';
import type { Facts, PathFact } from '../../domain/facts.ts';
import { mountPoints } from '../../domain/file-systems.ts';
import { standing } from '../../domain/react.ts';
import { Tag, VolumeName } from '../../domain/vocabulary.ts';
import {
  adam,
  command,
  created,
  entered,
  eve,
  extended,
  facts,
  given,
  joined,
  past,
  tag,
  volume,
} from './given.ts';

const path = '/srv/data.img';
const blank: PathFact = { exists: true, usedBy: null, byteSize: 1024 ** 3, blank: true };
const here = (fact: Partial<PathFact> = {}, more: Partial<Facts> = {}) =>
  facts({ paths: { [path]: { ...blank, ...fact } }, ...more });
const mountedAlready = { usedBy: 'mounted', mountedAt: '/home', fstype: 'xfs' } as const;
const create = (more: Partial<CommandOf<'create'>>) =>
  command('create', { node: eve, volumes: [{ name: 'data', path }] as never, priority: 1, ...more });
const refusalOf = (asked: CommandOf<'create'>, known: Facts) =>
  given(...joined())
    .when(asked, known)
    .refusal();

describe('rule 1: a resource with a file system', () => {
  it('is ext4 unless another type is asked for, and mounted where it is asked for', () => {
    const asked = create({ content: 'new-filesystem', mount: '/srv/web' });
    const [event] = given(...joined())
      .when(asked, here())
      .events();
    expect(event?.data).toMatchObject({ content: 'new-filesystem', fstype: 'ext4', mount: '/srv/web' });
  });

  it('that is mounted already keeps its type and its folder', () => {
    const asked = create({ content: 'existing-filesystem' });
    const [event] = given(...joined())
      .when(asked, here(mountedAlready))
      .events();
    expect(event?.data).toMatchObject({ fstype: 'xfs', mount: '/home' });
  });

  it.each([
    ['raw volumes with a folder', create({ content: 'raw', mount: '/srv/web' })],
    ['raw volumes with a type', create({ content: 'raw', fstype: 'xfs' })],
    ['a new one without a folder', create({ content: 'new-filesystem' })],
    [
      'an existing one that is not mounted, of no type',
      create({ content: 'existing-filesystem', mount: '/m' }),
    ],
  ])('is refused with invalid-request: %s', (_, asked) => {
    expect(refusalOf(asked, here())).toBe('invalid-request');
  });

  it('is refused with path-in-use where something is mounted at its folder', () => {
    const asked = create({ content: 'new-filesystem', mount: '/srv/web' });
    expect(refusalOf(asked, here({}, { mountPointUsedBy: 'tmpfs (tmpfs)' }))).toBe('path-in-use');
  });

  it('is refused with path-in-use where another resource of the node is mounted at its folder', () => {
    const other = { ...created(withFileSystem), resource: Tag.parse('other') };
    const asked = create({ content: 'new-filesystem', mount: '/srv/web' });
    expect(
      given(...joined(), other)
        .when(asked, here())
        .refusal(),
    ).toBe('path-in-use');
  });

  it('is refused with device-in-use while somebody uses the existing one', () => {
    const asked = create({ content: 'existing-filesystem' });
    expect(refusalOf(asked, here(mountedAlready, { deviceInUse: '/home is used by bash' }))).toBe(
      'device-in-use',
    );
  });

  it('uses as much of its paths as --size says, and is refused with target-too-small where they have less', () => {
    const [event] = given(...joined())
      .when(create({ content: 'raw', size: 65_536 }), here())
      .events();
    expect(event?.data).toMatchObject({ volumes: [{ byteSize: 65_536 }] });
    expect(refusalOf(create({ content: 'raw', size: 2 * 1024 ** 3 }), here())).toBe('target-too-small');
  });
});

const withFileSystem = { content: 'new-filesystem', fstype: 'ext4', mount: '/srv/web' } as const;
const born = () => [...joined(), created(withFileSystem), entered(eve, 1)];
const made = () => past('file-system.made', { node: eve, fstype: 'ext4', volumes: [volume.name] });
const doing = (world: ReturnType<typeof given>, node = eve) =>
  standing(world.state, world.state.resources[tag], node).filter((intent) =>
    ['mount', 'unmount', 'hand-over', 'follow', 'stand-by'].includes(intent.do),
  );

describe('what a node owes to a file system', () => {
  it('the source makes it once, then mounts it', () => {
    const mount = {
      do: 'mount',
      tag,
      epoch: 1,
      fstype: 'ext4',
      mounts: [{ volume: 'data', at: '/srv/web' }],
    };
    expect(doing(given(...born()))).toEqual([{ ...mount, make: true }]);
    expect(doing(given(...born(), made()))).toEqual([{ ...mount, make: false }]);
  });

  it('who hands over unmounts in order, before anything is frozen', () => {
    const started = past('switchover.started', { from: eve, to: adam, epoch: 2 });
    expect(doing(given(...born(), made(), extended(adam, { mount: '/srv/web' }), started))).toEqual([
      { do: 'unmount', tag, orderly: true },
      { do: 'hand-over', tag, to: adam, epoch: 2 },
    ]);
  });

  it('who was taken over from unmounts whatever uses it, before it follows', () => {
    const taken = entered(adam, 2, 'failover', { node: eve, epoch: 1 });
    expect(doing(given(...born(), made(), extended(adam, { mount: '/srv/web' }), taken))).toEqual([
      { do: 'unmount', tag, orderly: false },
      { do: 'follow', tag, source: adam, epoch: 2 },
    ]);
  });

  it('who was taken out of service by an operator unmounts in order', () => {
    const left = past('resource.left-service', {
      node: eve,
      epoch: 1,
      why: 'out-of-service',
      handedTo: null,
    });
    expect(doing(given(...born(), made(), left))).toEqual([
      { do: 'unmount', tag, orderly: true },
      { do: 'stand-by', tag },
    ]);
  });
});

describe('where volumes are mounted', () => {
  const volumes = (...names: string[]) => names.map((name) => ({ name: VolumeName.parse(name) }));

  it('one at the folder, of several each below it', () => {
    expect(mountPoints({ volumes: volumes('data'), mount: '/pg' })).toEqual([{ volume: 'data', at: '/pg' }]);
    expect(mountPoints({ volumes: volumes('data', 'wal'), mount: '/pg/' })).toEqual([
      { volume: 'data', at: '/pg/data' },
      { volume: 'wal', at: '/pg/wal' },
    ]);
    expect(mountPoints({ volumes: volumes('data'), mount: null })).toEqual([]);
  });
});
