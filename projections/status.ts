import { whyNotEligible } from '../domain/eligibility.ts';
import { mountedBy } from '../domain/file-systems.ts';
import {
  type ClusterState,
  type DataState,
  deviceOf,
  type MirrorState,
  type MirrorStatus,
  modeOf,
  type ResourceState,
  reigns,
  sourceOf,
  totalBytes,
} from '../domain/state.ts';
import { type Mode, type NodeName, regionSize, type Tag } from '../domain/vocabulary.ts';
import { type Projection, resourcesIn, sortedEntries } from './projection.ts';

/** `status TAG --json` without `asOf` (REQUIREMENTS 5). What only a running engine can tell is null. */
export interface StatusView {
  readonly tag: Tag;
  readonly state: ResourceStatus;
  /** null unless exactly one node serves. */
  readonly source: NodeName | null;
  readonly sources: readonly NodeName[];
  readonly lastOwner: NodeName | null;
  readonly epoch: number;
  /** `mount`: where its file system is mounted. */
  readonly device: readonly { readonly volume: string; readonly uri: string; readonly mount?: string }[];
  /** By priority. */
  readonly nodes: readonly StatusNode[];
  /** By priority of the target. */
  readonly mirrors: readonly StatusMirror[];
}

export type ResourceStatus =
  | 'in-service'
  | 'degraded'
  | 'frozen'
  | 'awaiting-confirmation'
  | 'blocked'
  | 'out-of-service'
  | 'conflicted'
  | 'split-brain';

export interface StatusNode {
  readonly node: NodeName;
  readonly role: 'source' | 'target' | 'none';
  readonly flags: readonly ('last-owner' | 'data-corrupt' | 'journal-damaged')[];
  readonly alive: boolean;
  /** Since when the answering agent has not heard it, in milliseconds; not in what is stored or asked of the past. */
  readonly heardMsAgo?: number;
}

export interface StatusMirror {
  readonly source: NodeName;
  readonly target: NodeName;
  readonly mode: Mode;
  readonly status: MirrorStatus;
  readonly connected: boolean;
  readonly data: DataState;
  readonly eligible: boolean;
  /** The code of rule 4. */
  readonly notEligibleBecause: string | null;
  readonly percent: number | null;
  readonly speedBytesPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly dirtyRegions: number | null;
  readonly regions: number;
  readonly queuedWrites: number | null;
  readonly behind: { readonly writes: number; readonly bytes: number; readonly ms: number } | null;
  readonly congested: boolean;
  readonly generation: string | null;
  readonly lastResync: MirrorState['lastResync'];
}

/** What the source's engine says of a mirror at this moment; it goes over what the history knows. */
export type LiveMirror = Partial<
  Pick<
    StatusMirror,
    | 'connected'
    | 'percent'
    | 'speedBytesPerSecond'
    | 'etaSeconds'
    | 'dirtyRegions'
    | 'queuedWrites'
    | 'behind'
    | 'congested'
    | 'generation'
  >
>;

export const status: Projection<null> = {
  name: 'status',
  version: 3,
  initial: () => null,
  remembers: {},
  views: (_, state, scope) =>
    resourcesIn(state, scope).map((resource) => [`status.${resource.tag}`, statusOf(state, resource)]),
};

export function statusOf(
  state: ClusterState,
  resource: ResourceState,
  live: Readonly<Record<string, LiveMirror>> = {},
  heardMsAgo: (node: NodeName) => number | null = () => null,
): StatusView {
  return {
    tag: resource.tag,
    state: stateOf(resource),
    source: sourceOf(resource),
    sources: [resource, ...resource.rivals].flatMap((one) => one.reigns.map(({ node }) => node)),
    lastOwner: resource.lastOwner?.node ?? null,
    epoch: resource.epoch,
    device: devicesOf(resource),
    nodes: byPriority(resource).map((node) => {
      const heard = heardMsAgo(node);
      return { ...nodeOf(state, resource, node), ...(heard === null ? {} : { heardMsAgo: heard }) };
    }),
    mirrors: byPriority(resource).flatMap((node) => {
      const mirror = resource.mirrors[node];
      return mirror === undefined ? [] : [mirrorOf(state, resource, mirror, live[node])];
    }),
  };
}

function devicesOf(resource: ResourceState): StatusView['device'] {
  const source = sourceOf(resource);
  const mounts = source === null ? [] : mountedBy(resource, source);
  return deviceOf(resource).map(({ volume, uri }) => {
    const mount = mounts.find((one) => one.volume === volume)?.at;
    return mount === undefined ? { volume, uri } : { volume, uri, mount };
  });
}

export const isAlive = (state: ClusterState, node: string) => state.nodes[node]?.alive ?? true;

function byPriority(resource: ResourceState): NodeName[] {
  return sortedEntries(resource.replicas)
    .map(([, replica]) => replica)
    .sort((a, b) => a.priority - b.priority)
    .map(({ node }) => node);
}

function stateOf(resource: ResourceState): ResourceStatus {
  switch (resource.phase) {
    case 'in-service':
    case 'switching-over':
      if (sourceOf(resource) === null) return 'out-of-service';
      return isProtected(resource) ? 'in-service' : 'degraded';
    case 'failing-over':
    case 'deleted':
      return 'out-of-service';
    case 'out-of-service':
    case 'awaiting-confirmation':
    case 'blocked':
    case 'conflicted':
    case 'split-brain':
      return resource.phase;
    default:
      return resource.phase satisfies never;
  }
}

/** At least one other node has every acknowledged write (rules 1 and 7: else it is degraded). */
const isProtected = (resource: ResourceState) =>
  Object.values(resource.mirrors).some(
    ({ status, connected }) => connected && status === 'fully-operational',
  );

function roleOf(resource: ResourceState, node: NodeName): StatusNode['role'] {
  if (reigns(resource, node)) return 'source';
  return sourceOf(resource) !== null && resource.mirrors[node] !== undefined ? 'target' : 'none';
}

function nodeOf(state: ClusterState, resource: ResourceState, node: NodeName): StatusNode {
  const flags: StatusNode['flags'][number][] = [];
  if (resource.lastOwner?.node === node) flags.push('last-owner');
  if (resource.replicas[node]?.dataCorrupt) flags.push('data-corrupt');
  if (state.nodes[node]?.damaged) flags.push('journal-damaged');
  return {
    node,
    role: roleOf(resource, node),
    flags,
    alive: isAlive(state, node),
  };
}

function mirrorOf(
  state: ClusterState,
  resource: ResourceState,
  mirror: MirrorState,
  live: LiveMirror = {},
): StatusMirror {
  const { source, target, resync } = mirror;
  const replica = resource.replicas[target];
  const refusal = isAlive(state, target) ? whyNotEligible(resource, target)?.code : 'target-unreachable';
  const inSync = mirror.status === 'fully-operational';
  return {
    source,
    target,
    mode: modeOf(resource, source, target),
    status: mirror.status,
    connected: mirror.connected,
    data: replica?.data ?? 'inconsistent',
    eligible: refusal === undefined,
    notEligibleBecause: refusal ?? null,
    percent: inSync ? 100 : (resync?.percent ?? null),
    speedBytesPerSecond: resync?.speedBytesPerSecond ?? null,
    etaSeconds: resync?.etaSeconds ?? null,
    dirtyRegions: inSync ? 0 : (resync?.dirtyRegions ?? null),
    regions: Math.ceil(totalBytes(resource, target) / regionSize),
    queuedWrites: null,
    behind: null,
    congested: mirror.congested,
    generation: replica?.generation ?? null,
    lastResync: mirror.lastResync,
    ...live,
  };
}
