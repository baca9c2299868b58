import type { CommandOf } from '../commands.ts';
import { event, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';
import { mountOfSource } from '../file-systems.ts';
import { type ResourceState, sourceOf } from '../state.ts';
import type { Mode, NodeName } from '../vocabulary.ts';
import { abandoned, completed, type Outcome } from './outcome.ts';

export function createResource(command: CommandOf<'create'>, facts: Facts): NewEvent[] {
  const { tag, node, content, bitmap, allowAsync, priority, srl, size } = command;
  const volumes = command.volumes.map(({ name, path }) => ({
    name,
    path,
    byteSize: size ?? facts.paths?.[path]?.byteSize ?? 0,
  }));
  return [
    event('resource.created', tag, {
      node,
      volumes,
      content,
      ...fileSystemOf(command, facts),
      bitmap: bitmap ?? null,
      allowAsync,
      priority,
      srl: srl ?? null,
      replication: endpoint(facts),
    }),
    event('resource.entered-service', tag, { node, epoch: 1, why: 'created', after: null }),
  ];
}

/** A new one is ext4 unless another is asked for; an existing one stays what it is, where it is. */
function fileSystemOf(
  { content, fstype, mount, volumes }: CommandOf<'create'>,
  facts: Facts,
): { fstype: string | null; mount: string | null } {
  if (content === 'new-filesystem') return { fstype: fstype ?? 'ext4', mount: mount ?? null };
  const found = facts.paths?.[volumes[0]?.path ?? ''];
  if (content === 'raw') return { fstype: null, mount: null };
  return { fstype: found?.fstype ?? fstype ?? null, mount: mount ?? found?.mountedAt ?? null };
}

/** The rules have made sure that the node told where its replica will be reached. */
export function endpoint({ replication }: Facts): { host: string; port: number } {
  if (!replication) throw new Error('the replication endpoint was not asked for');
  return { ...replication };
}

export const extend: Outcome<'extend'> = ({ resource, command, facts }) => {
  const { node, mode, pair, compress, mount, bitmap, fullSync } = command;
  const highest = Math.max(0, ...Object.values(resource.replicas).map(({ priority }) => priority));
  const pairs: Record<string, Mode> = {};
  for (const other of Object.keys(resource.replicas)) pairs[other] = pair[other as NodeName] ?? mode;
  return [
    event('resource.extended', resource.tag, {
      node,
      // A target may be larger: what counts is the volume's size.
      volumes: command.volumes.map(({ name, path }) => ({
        name,
        path,
        byteSize: volumeSize(resource, name),
      })),
      mode,
      pairs,
      priority: command.priority ?? highest + 1,
      compress,
      mount: mount ?? mountOfSource(resource) ?? null,
      bitmap: bitmap ?? null,
      fullSync,
      ...(fullSync || facts.baseline == null ? {} : { baseline: facts.baseline }),
      replication: endpoint(facts),
    }),
    completed(command, resource),
  ];
};

export function volumeSize(resource: ResourceState, name: string): number {
  const source = sourceOf(resource) ?? resource.lastOwner?.node;
  const volumes = source === undefined ? undefined : resource.replicas[source]?.volumes;
  return volumes?.find((volume) => volume.name === name)?.byteSize ?? 0;
}

export const unextend: Outcome<'unextend'> = ({ resource, command }) => [
  event('resource.unextended', resource.tag, { node: command.node }),
  completed(command, resource),
];

/** Of two creations (rule 1) the one goes whose node decides. */
export const deleteResource: Outcome<'delete'> = ({ state, resource, command, facts }) => {
  const rival = resource.rivals.find(({ replicas }) => replicas[facts.self]);
  return [
    ...abandoned(state, rival ?? resource, facts.self, `${resource.tag} was deleted`),
    event('resource.deleted', resource.tag, { created: rival?.id ?? resource.id }),
    completed(command, resource),
  ];
};
