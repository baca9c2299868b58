import type { CommandOf } from '../commands.ts';
import { mountOfSource } from '../file-systems.ts';
import { refuse } from '../refusals.ts';
import type { Question, Rule, Verdict } from './question.ts';
import type { WithPaths } from './shape.ts';

/** Rule 1: what is asked of the file system fits the content; raw volumes have none. */
export const fileSystemNamed = ({ command, facts }: Question<CommandOf<'create'>>): Verdict => {
  const { content, fstype, mount, volumes } = command;
  switch (content) {
    case 'raw':
      return fstype === undefined && mount === undefined
        ? undefined
        : refuse(
            'invalid-request',
            'raw volumes are not mounted: --fstype and --mount need another --content',
          );
    case 'new-filesystem':
      return mount === undefined
        ? refuse('invalid-request', 'a new file system needs --mount DIR')
        : undefined;
    case 'existing-filesystem': {
      const unmounted = volumes.find(({ path }) => facts.paths?.[path]?.mountedAt == null);
      if (unmounted && (mount === undefined || fstype === undefined))
        return refuse(
          'invalid-request',
          `${unmounted.path} is not mounted: it needs --mount DIR and --fstype`,
        );
      return volumes.length > 1 && mount === undefined
        ? refuse('invalid-request', 'several file systems need --mount DIR: each is mounted at DIR/NAME')
        : undefined;
    }
    default:
      return content satisfies never;
  }
};

/** Rule 2: a target is mounted only where there is a file system. */
export const mountableContent: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  resource.content === 'raw' && command.mount !== undefined
    ? refuse('invalid-request', `${resource.tag} has raw volumes, which are not mounted`)
    : undefined;

/** The folder belongs to one file system of the node, and nothing is mounted there yet. */
export const mountPointInUse = ({ state, resource, command, facts }: Question<WithPaths>): Verdict => {
  const { node, tag } = command;
  const byDefault = command.command === 'extend' && resource ? mountOfSource(resource) : undefined;
  const mount = command.mount ?? byDefault;
  if (mount === undefined) return undefined;
  const other = Object.values(state.resources).find(
    (resource) =>
      resource.phase !== 'deleted' && resource.tag !== tag && resource.replicas[node]?.mount === mount,
  );
  if (other)
    return refuse('path-in-use', `${other.tag} is mounted at ${mount} of ${node}`, { because: [other.id] });
  return facts.mountPointUsedBy
    ? refuse('path-in-use', `${mount} of ${node}: ${facts.mountPointUsedBy} is mounted there`, {
        allowed: ['--mount of another folder'],
      })
    : undefined;
};

/** `--size` names how much of each path is used. */
export const sizeFits = ({ command, facts }: Question<CommandOf<'create'>>): Verdict => {
  const { size, volumes } = command;
  const small = volumes.find(({ path }) => (facts.paths?.[path]?.byteSize ?? 0) < (size ?? 0));
  return (
    small &&
    refuse(
      'target-too-small',
      `${small.path} has ${facts.paths?.[small.path]?.byteSize} bytes, asked for were ${size}`,
    )
  );
};

/** An existing file system is unmounted before it is mirrored: whatever uses it stands in the way. */
export const existingInUse = ({ command, facts }: Question<CommandOf<'create'>>): Verdict =>
  facts.deviceInUse ? refuse('device-in-use', `${command.node}: ${facts.deviceInUse}`) : undefined;
