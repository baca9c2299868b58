import type { MirrorState, ReplicaState, ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import type { Of } from './recipe.ts';

export function created(event: Of<'resource.created'>): ResourceState {
  const { data } = event;
  return {
    tag: event.resource as ResourceState['tag'],
    id: event.id,
    phase: 'out-of-service',
    version: event.id,
    because: event.id,
    content: data.content,
    fstype: data.fstype,
    hasFileSystem: data.content === 'existing-filesystem',
    allowAsync: data.allowAsync,
    srl: data.srl,
    epoch: 0,
    reigns: [],
    lastOwner: null,
    left: null,
    devices: {},
    entering: null,
    replicas: {
      [data.node]: replicaOf({
        ...data,
        pairs: {},
        compress: 0,
        fullSync: true,
        data: 'up-to-date',
        because: event.id,
        since: event.time,
      }),
    },
    removed: {},
    mirrors: {},
    switchover: null,
    takeover: null,
    confirmation: null,
    blocked: null,
    unsettled: {},
    promises: {},
    rivals: [],
    conflictJournaled: false,
    unknownEvent: null,
  };
}

export type ReplicaFields = Pick<
  ReplicaState,
  | 'node'
  | 'volumes'
  | 'priority'
  | 'mount'
  | 'bitmap'
  | 'replication'
  | 'compress'
  | 'pairs'
  | 'fullSync'
  | 'data'
  | 'because'
  | 'since'
>;

export function replicaOf(fields: ReplicaFields): ReplicaState {
  const {
    node,
    volumes,
    priority,
    mount,
    bitmap,
    replication,
    compress,
    pairs,
    fullSync,
    data,
    because,
    since,
  } = fields;
  return {
    node,
    volumes: volumes.map((volume) => ({ ...volume })),
    priority,
    mount,
    bitmap,
    replication: { ...replication },
    compress,
    pairs,
    fullSync,
    adopts: null,
    data,
    away: false,
    knowsOutOfSync: data === 'inconsistent',
    dataCorrupt: null,
    generation: null,
    wroteWithout: [],
    leftEpoch: 0,
    baseline: false,
    failed: null,
    mounted: null,
    mountFailure: null,
    observed: null,
    victimOf: null,
    because,
    since,
  };
}

export function mirrorOf(source: NodeName, target: NodeName, because: string): MirrorState {
  return {
    source,
    target,
    status: 'out-of-sync',
    connected: false,
    congested: false,
    paused: null,
    resync: null,
    fullResyncOrdered: null,
    unrelated: false,
    lastResync: null,
    verify: null,
    differing: 0,
    because,
  };
}

/** Two that did not know of each other may have given one number away: the later one in order takes the next. */
export function freePriority(resource: ResourceState, node: NodeName, asked: number): number {
  const taken = new Set(
    Object.values(resource.replicas)
      .filter((replica) => replica.node !== node)
      .map(({ priority }) => priority),
  );
  let free = asked;
  while (taken.has(free)) free += 1;
  return free;
}
