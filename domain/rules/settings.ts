import type { CommandOf } from '../commands.ts';
import { refuse } from '../refusals.ts';
import { settingSchemas } from '../settings.ts';
import { noReplica, type Question, unknownNode, type Verdict } from './question.ts';
import { priorityOfOther } from './shape.ts';

export const settings = ({ state, resource, command }: Question<CommandOf<'settings'>>): Verdict => {
  if (command.tag !== undefined && !resource) return refuse('unknown-tag', command.tag);
  const parsed = settingSchemas[command.key].safeParse(command.value);
  if (!parsed.success)
    return refuse('invalid-request', `${command.key}: ${parsed.error.issues[0]?.message ?? 'no such value'}`);
  for (const node of [command.node, command.peer]) {
    const refusal =
      node === undefined
        ? undefined
        : (unknownNode(state, node) ?? (resource ? noReplica(resource, node) : undefined));
    if (refusal) return refusal;
  }
  if (command.key === 'path') return pathOfPair(command);
  if (!resource) {
    return command.key === 'mode'
      ? refuse('invalid-request', 'mode belongs to the pairs of a resource: name it', {
          allowed: ['settings --tag TAG --node NODE --peer NODE mode sync|memory-sync|async'],
        })
      : undefined;
  }
  if (command.key === 'mode' && command.value === 'async' && !resource.allowAsync) {
    return refuse('async-not-enabled', `${resource.tag} does not allow it`, {
      allowed: [`settings --tag ${resource.tag} allow-async on`],
    });
  }
  if (command.key === 'priority' && command.node !== undefined)
    return priorityOfOther(resource, command.node, command.value as number);
  return undefined;
};

/** A path leads from the node that dials to the other; of a pair that is the one whose name comes first. */
function pathOfPair({ tag, node, peer }: CommandOf<'settings'>): Verdict {
  if (tag !== undefined && node !== undefined && peer !== undefined && node < peer) return undefined;
  const [dials, listens] =
    node !== undefined && peer !== undefined && peer < node ? [peer, node] : ['NODE', 'PEER'];
  return refuse(
    'invalid-request',
    'a path leads from one replica of a resource to another, and the first by name dials',
    {
      allowed: [`settings --tag ${tag ?? 'TAG'} --node ${dials} --peer ${listens} path HOST:PORT`],
    },
  );
}
