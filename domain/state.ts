import type { DeviceUris, EndpointOf, EnteredBecause, MountedVolume, Reign, VolumeOf } from './events.ts';
import type { Settings } from './settings.ts';
import type { Content, Generation, Mode, NodeName, Tag } from './vocabulary.ts';

/**
 * What is true, as far as a set of logs tells: the fold of their events (DESIGN 2). Plain JSON, so that it can be
 * stored as a snapshot, drafted by immer and compared.
 */
export interface ClusterState {
  nodes: Record<string, NodeState>;
  resources: Record<string, ResourceState>;
  settings: Settings;
  /** What became of the latest commands, by their ids; of older ones the journal tells (rule 22). */
  commands: Record<string, CommandState>;
  /** How many came since older ones were let go. */
  newCommands: number;
}

export interface NodeState {
  node: NodeName;
  alive: boolean;
  /** The event that says so. */
  because: string;
  damaged: boolean;
  /** Public keys with which it signs its heads; a revoked one is not among them. */
  keys: string[];
}

export interface CommandState {
  digest: string;
  outcome: 'running' | 'completed' | 'failed' | 'refused';
  tag: Tag | null;
}

/** The phases of a resource; the machine in resource-machine.ts says which follow which. */
export const phases = [
  'out-of-service',
  'in-service',
  'switching-over',
  'awaiting-confirmation',
  'failing-over',
  'blocked',
  'conflicted',
  'split-brain',
  'deleted',
] as const;
export type Phase = (typeof phases)[number];

export interface ResourceState {
  tag: Tag;
  /** The id of its `resource.created`: tells it from another of the same tag. */
  id: string;
  phase: Phase;
  /** The id of the last event that changed what is allowed; acceptance tokens are bound to it (rule 23). */
  version: string;
  /** The event that brought the present phase. */
  because: string;
  content: Content;
  fstype: string | null;
  /** The file systems are there: made by the first source, or found (rule 1). */
  hasFileSystem: boolean;
  allowAsync: boolean;
  srl: string | null;
  /** Highest epoch served. */
  epoch: number;
  /** Who serves: none out of service, one in service, more where takeovers did not know of each other. */
  reigns: Reign[];
  /** The reign of the node that was the last source. */
  lastOwner: Reign | null;
  /** Why the last source left, while nobody serves. */
  left: { why: string; handedTo: Reign | null } | null;
  /** By node: what its device was reached at, in the reign with that epoch. */
  devices: Record<string, { epoch: number; uris: DeviceUris }>;
  /** A reign that began and whose device does not answer yet: what is to be said when it does. */
  entering: {
    epoch: number;
    why: EnteredBecause;
    from: NodeName | null;
    /** The reign that this one follows. */
    after: Reign | null;
    /** The event that began it. */
    because: string;
    command: string | null;
  } | null;
  replicas: Record<string, ReplicaState>;
  /** Replicas that were taken away: who took over without having heard of that has one still. */
  removed: Record<string, ReplicaState>;
  /** By target; the source is the only reign, or the last one. */
  mirrors: Record<string, MirrorState>;
  switchover: { from: NodeName; to: NodeName; epoch: number; command: string | null } | null;
  takeover: { lost: NodeName; candidate: NodeName; epoch: number; command: string | null } | null;
  confirmation: {
    lost: NodeName;
    candidate: NodeName;
    seconds: number;
    default: 'proceed' | 'block';
    command: string | null;
  } | null;
  blocked: { code: string; text: string; candidate: NodeName | null } | null;
  /** Commands whose switchover or takeover another reign has overtaken: whose node has to end each of them (I11). */
  unsettled: Record<string, NodeName>;
  /** By node: the highest epoch that it promised, and to whom (rule 7). */
  promises: Record<string, { candidate: NodeName; epoch: number; outOfSync: boolean }>;
  /** Two `create`s of one tag that had not seen each other (rule 1): the others, whole. */
  rivals: ResourceState[];
  /** Somebody has journaled that these reigns are in conflict; else only their events' order tells it. */
  conflictJournaled: boolean;
  /** An event here is of a type that this version does not know: commands are refused, data goes on. */
  unknownEvent: string | null;
}

/** How a replica's data stands, as DRBD names it. */
export type DataState = 'up-to-date' | 'outdated' | 'inconsistent' | 'rewound';

export interface ReplicaState {
  node: NodeName;
  volumes: VolumeOf[];
  priority: number;
  mount: string | null;
  bitmap: string | null;
  replication: EndpointOf;
  compress: number;
  /** Mode of the pair with each other node, whichever of the two is the source. */
  pairs: Record<string, Mode>;
  fullSync: boolean;
  /** Its copy was made since this generation, the source's baseline; until its first resync has completed. */
  adopts: Generation | null;
  data: DataState;
  /** Its agent or engine began anew, and it has not met the source since: it cannot know what it missed. */
  away: boolean;
  /** It has its being out of sync on its own stable storage: it will not take over (rule 9). */
  knowsOutOfSync: boolean;
  dataCorrupt: { missing: NodeName[]; because: string } | null;
  generation: Generation | null;
  /** Nodes without which this one has written: who wrote decides between a split brain and none (rule 12). */
  wroteWithout: NodeName[];
  /** The highest epoch whose reign this node has ended by its own word. */
  leftEpoch: number;
  /** Changes are tracked from here on (`bitmap mark-clean` without a peer). */
  baseline: boolean;
  failed: string | null;
  /** Where its file systems are mounted, and in which reign. */
  mounted: { epoch: number; mounts: MountedVolume[] } | null;
  /** What stands in the way of mounting or unmounting. */
  mountFailure: { what: string; why: string; because: string; since: number } | null;
  /** The last numbered observation of its engine that is in the history: what comes again is not told twice. */
  observed: { number: number; at: number } | null;
  /** The survivor of the split brain in which this replica gives up its writes; until it is in sync again. */
  victimOf: NodeName | null;
  /** The event that made its data state what it is, and when. */
  because: string;
  since: number;
}

export const mirrorStatuses = [
  'fully-operational',
  'paused',
  'resyncing',
  'out-of-sync',
  'split-brain',
] as const;
export type MirrorStatus = (typeof mirrorStatuses)[number];

export interface MirrorState {
  source: NodeName;
  target: NodeName;
  status: MirrorStatus;
  connected: boolean;
  congested: boolean;
  paused: { by: 'operator' | 'policy'; reason: string } | null;
  resync: {
    kind: 'partial' | 'full';
    bytes: number;
    regions: number;
    dirtyRegions: number;
    percent: number;
    speedBytesPerSecond: number;
    etaSeconds: number | null;
  } | null;
  /** The event of an explicit `full-resync`: the only way on for replicas without a common past (rule 13). */
  fullResyncOrdered: string | null;
  unrelated: boolean;
  lastResync: { kind: 'partial' | 'full'; bytes: number; result: 'completed' | 'interrupted' } | null;
  /** A comparison by checksums that is under way: the event that began it. */
  verify: { started: string; percent: number } | null;
  /** Regions in which the last comparison found the target to differ, until a resync has copied them. */
  differing: number;
  because: string;
}

export function emptyState(): ClusterState {
  return { nodes: {}, resources: {}, settings: {}, commands: {}, newCommands: 0 };
}

/** The node that serves, where exactly one does. */
export function sourceOf(resource: ResourceState): NodeName | null {
  return resource.reigns.length === 1 ? (resource.reigns[0]?.node ?? null) : null;
}

/** Where the device is; empty unless exactly one node serves and its device has answered. */
export function deviceOf(resource: ResourceState): DeviceUris {
  const [reign, ...others] = resource.reigns;
  if (!reign || others.length > 0) return [];
  const device = resource.devices[reign.node];
  return device?.epoch === reign.epoch ? device.uris : [];
}

export function reigns(resource: ResourceState, node: NodeName): boolean {
  return resource.reigns.some((reign) => reign.node === node);
}

/** Of those that split the one that gives up what it wrote, where an operator has said so (rule 12). */
export function victimAmong(
  resource: ResourceState,
  reigns: ReadonlyArray<{ readonly node: NodeName }>,
): NodeName | undefined {
  const victimOf = (node: NodeName) => resource.replicas[node]?.victimOf;
  return reigns.find(({ node }) => reigns.some((other) => victimOf(node) === other.node))?.node;
}

/** Of two resources of one tag (rule 1) the one that the node has a replica of. */
export function asSeenBy(resource: ResourceState, node: NodeName): ResourceState {
  return resource.rivals.find(({ replicas }) => replicas[node] !== undefined) ?? resource;
}

export function replicaNodes(resource: ResourceState): NodeName[] {
  return Object.values(resource.replicas).map(({ node }) => node);
}

/** Mode of the pair, whichever of them is the source (REQUIREMENTS 1). */
export function modeOf(resource: ResourceState, a: NodeName, b: NodeName): Mode {
  return resource.replicas[a]?.pairs[b] ?? resource.replicas[b]?.pairs[a] ?? 'sync';
}

/** The highest epoch that was served or promised, as far as these events tell. */
export function highestEpoch(resource: ResourceState): number {
  return Math.max(resource.epoch, ...Object.values(resource.promises).map(({ epoch }) => epoch));
}

export function totalBytes(resource: ResourceState, node: NodeName): number {
  return (resource.replicas[node]?.volumes ?? []).reduce((sum, { byteSize }) => sum + byteSize, 0);
}
