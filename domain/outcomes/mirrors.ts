import type { CommandOf } from '../commands.ts';
import { event } from '../events.ts';
import type { MirrorState, ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { completed, type Outcome } from './outcome.ts';

export function chosen(resource: ResourceState, targets: readonly NodeName[] | undefined): MirrorState[] {
  const mirrors = Object.values(resource.mirrors);
  return targets && targets.length > 0 ? mirrors.filter(({ target }) => targets.includes(target)) : mirrors;
}

export const pause: Outcome<'pause'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).map(({ source, target }) =>
    event('mirror.paused', resource.tag, {
      source,
      target,
      by: 'operator',
      reason: command.reason ?? 'no reason given',
    }),
  ),
  completed(command, resource),
];

export const resume: Outcome<'resume'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).map(({ source, target }) =>
    event('mirror.resumed', resource.tag, { source, target, by: 'operator' }),
  ),
  completed(command, resource),
];

/** One that is under way goes on. */
export const verify: Outcome<'verify'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).map(({ source, target }) =>
    event('verify.started', resource.tag, { source, target }),
  ),
  completed(command, resource),
];

/** As the guide's `mirror_action fullresync`: resumes, and takes everything. */
export const fullResync: Outcome<'full-resync'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).flatMap(({ source, target, paused }) => [
    ...(paused ? [event('mirror.resumed', resource.tag, { source, target, by: 'operator' })] : []),
    event('bitmap.marked-dirty', resource.tag, { node: source, peer: target }),
  ]),
  completed(command, resource),
];

export const marked =
  <C extends 'bitmap-mark-clean' | 'bitmap-mark-dirty'>(
    type: 'bitmap.marked-clean' | 'bitmap.marked-dirty',
  ): Outcome<C> =>
  ({ resource, command }) => {
    const { node, peer } = command as CommandOf<'bitmap-mark-clean'>;
    return [
      event(type, resource.tag, { node, peer: peer ?? null }),
      completed(command as CommandOf<'bitmap-mark-clean'>, resource),
    ];
  };
