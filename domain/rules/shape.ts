import type { Command, CommandOf } from '../commands.ts';
import { refuse } from '../refusals.ts';
import { type ResourceState, reigns, replicaNodes, sourceOf } from '../state.ts';
import { type NodeName, targetsMax } from '../vocabulary.ts';
import {
  noReplica,
  phaseRefusal,
  type Question,
  type ResourceQuestion,
  type Rule,
  type Verdict,
} from './question.ts';

export const tagExists = ({ resource, command }: Question): Verdict =>
  resource && resource.phase !== 'deleted'
    ? refuse('tag-exists', `${resource.tag} (command ${command.id} wanted to create it)`, {
        because: [resource.id],
      })
    : undefined;

export type WithPaths = CommandOf<'create'> | CommandOf<'extend'>;

export const pathMissing = ({ command, facts }: Question<WithPaths>): Verdict => {
  const missing = command.volumes.find(({ path }) => facts.paths?.[path]?.exists !== true);
  return missing ? refuse('path-missing', `${missing.path} on ${command.node}`) : undefined;
};

/** `existing-filesystem` names its own mounted path, which is unmounted, mirrored and remounted. */
export const pathInUse = ({ command, facts }: Question<WithPaths>): Verdict => {
  const named = command.volumes.map(({ path }) => path);
  const twice = named.find((path, index) => named.indexOf(path) !== index);
  if (twice) return refuse('path-in-use', `${twice} is named twice`);
  const existing = command.command === 'create' && command.content === 'existing-filesystem';
  for (const path of named) {
    const fact = facts.paths?.[path];
    if (!fact?.usedBy) continue;
    if (existing && fact.mountedAt && fact.usedBy === 'mounted') continue;
    return refuse('path-in-use', `${path} on ${command.node}: ${fact.usedBy}`, {
      allowed: ['a path that nothing else uses'],
    });
  }
  return undefined;
};

export const alreadyExtended: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  resource.replicas[command.node]
    ? refuse(
        'already-extended',
        `${command.node} has one since ${resource.replicas[command.node]?.because}`,
        {
          because: [resource.replicas[command.node]?.because],
        },
      )
    : undefined;

export const volumeCountMismatch: Rule<CommandOf<'extend'>> = ({ resource, command }) => {
  const names = sourceVolumes(resource).map(({ name }) => name);
  const asked = command.volumes.map(({ name }) => name);
  if (asked.length === names.length && names.every((name) => asked.includes(name))) return undefined;
  return refuse(
    'volume-count-mismatch',
    `${resource.tag} has ${names.join(', ')}, named were ${asked.join(', ')}`,
    {
      allowed: [`one path for each of ${names.join(', ')}`],
    },
  );
};

export const targetTooSmall: Rule<CommandOf<'extend'>> = ({ resource, command, facts }) => {
  for (const volume of sourceVolumes(resource)) {
    const path = command.volumes.find(({ name }) => name === volume.name)?.path;
    const size = path === undefined ? 0 : (facts.paths?.[path]?.byteSize ?? 0);
    if (size < volume.byteSize) {
      return refuse('target-too-small', `${path} has ${size} bytes, ${volume.name} has ${volume.byteSize}`);
    }
  }
  return undefined;
};

export const tooManyTargets: Rule = ({ resource }) =>
  replicaNodes(resource).length > targetsMax
    ? refuse('too-many-targets', `${resource.tag} has ${replicaNodes(resource).length - 1}`)
    : undefined;

export const priorityTaken: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  priorityOfOther(resource, command.node, command.priority);

export function priorityOfOther(
  resource: ResourceState,
  node: NodeName,
  priority: number | undefined,
): Verdict {
  const other = Object.values(resource.replicas).find(
    (replica) => replica.node !== node && replica.priority === priority,
  );
  return other && priority !== undefined
    ? refuse('priority-taken', `${other.node} has priority ${priority}`, { because: [other.because] })
    : undefined;
}

export const asyncNotEnabled: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  !resource.allowAsync && [command.mode, ...Object.values(command.pair)].includes('async')
    ? refuse('async-not-enabled', `${resource.tag} was created without --allow-async`, {
        allowed: [`settings --tag ${resource.tag} allow-async on`, '--mode sync'],
      })
    : undefined;

/** The named node has to say what its paths are and where its replica will be reached. */
export const targetAnswers = ({ command, facts }: Question<WithPaths>): Verdict =>
  facts.replication && facts.paths
    ? undefined
    : refuse('target-unreachable', `${command.node} did not answer`);

export const noBaseline: Rule<CommandOf<'extend'>> = ({ resource, command, facts }) => {
  const source = sourceOf(resource);
  const isTracked = source !== null && resource.replicas[source]?.baseline === true && facts.baseline != null;
  if (command.fullSync || isTracked) return undefined;
  return refuse('no-baseline', `changes of ${resource.tag} are not tracked on ${source}`, {
    allowed: [`bitmap mark-clean ${resource.tag} ${source}, then copy, then extend --no-full-sync`],
  });
};

export function sourceVolumes(resource: ResourceState) {
  const node = sourceOf(resource) ?? resource.lastOwner?.node ?? Object.keys(resource.replicas)[0];
  return (node === undefined ? undefined : resource.replicas[node]?.volumes) ?? [];
}

export const nodeIsSource: Rule<CommandOf<'unextend'>> = ({ resource, command }) =>
  reigns(resource, command.node)
    ? refuse('node-is-source', `${resource.tag} is in service on ${command.node}`, {
        because: [resource.because],
        allowed: [`switchover ${resource.tag} NODE first`, `delete ${resource.tag}`],
      })
    : undefined;

export const deviceInUse: Rule = ({ resource, command, facts }) =>
  facts.deviceInUse
    ? refuse('device-in-use', `${resource.tag} on ${facts.self}: ${facts.deviceInUse}`, {
        because: [resource.because],
        allowed: [
          command.command === 'delete' && resource.reigns.length > 0
            ? `out-of-service ${resource.tag} first`
            : 'the same command, once nothing uses it any more',
        ],
      })
    : undefined;

export const onReplica: Rule<CommandOf<'bitmap-mark-clean'> | CommandOf<'bitmap-mark-dirty'>> = ({
  resource,
  command,
}) =>
  noReplica(resource, command.node) ??
  (command.peer === undefined ? undefined : noReplica(resource, command.peer));

export const replicaOfNode: Rule<{ node: NodeName } & Command> = ({ resource, command }) =>
  noReplica(resource, command.node);

export const selfHasReplica: Rule = ({ resource, facts }) => noReplica(resource, facts.self);
/** A conflict of data is resolved, not deleted away; of two creations (rule 1) each is deleted on a node that has it. */
export function deletableConflict({ resource, facts }: ResourceQuestion): Verdict {
  if (resource.phase !== 'conflicted') return undefined;
  if (resource.rivals.length === 0) return phaseRefusal(resource);
  const both = [resource, ...resource.rivals];
  if (both.some(({ replicas }) => replicas[facts.self])) return undefined;
  const creators = both.flatMap(({ replicas }) => Object.keys(replicas));
  return refuse('tag-exists', `${facts.self} has a replica of neither ${resource.tag}`, {
    because: both.map(({ id }) => id),
    allowed: creators.map((node) => `delete ${resource.tag}, on ${node}`),
  });
}

/** While somebody serves, the deletion is the source's to decide: another may not know who serves. */
export const deletedBySource: Rule = ({ resource, facts }) =>
  resource.reigns.length === 0 || resource.rivals.length > 0 || reigns(resource, facts.self)
    ? undefined
    : refuse('stale-command', `${sourceOf(resource)} serves ${resource.tag} and decides that`, {
        because: [resource.because],
        allowed: [`delete ${resource.tag}, on ${sourceOf(resource)}`],
      });
