import { produce } from 'immer';
import type { AnyEvent, DomainEvent, EventType } from './events.ts';
import { type Scope, scopeKey } from './settings.ts';
import {
  type ClusterState,
  type DataState,
  type MirrorState,
  type Phase,
  type ReplicaState,
  type ResourceState,
  sourceOf,
} from './state.ts';
import type { NodeName } from './vocabulary.ts';

/**
 * The fold. One recipe that mutates a draft: live it runs under immer's `produce`, so that old and new state stand
 * side by side; on replay it runs on a private plain object, fifty times faster (PERFORMANCE 2).
 *
 * It trusts what was decided and never throws on it; what contradicts what it knows is a phase of its own
 * (`conflicted`), reachable from everywhere.
 */
export function evolve(state: ClusterState, event: AnyEvent): ClusterState {
  return produce(state, (draft) => apply(draft, event));
}

/** Folds events onto a state that nobody else holds. */
export function replay(state: ClusterState, events: Iterable<AnyEvent>): ClusterState {
  for (const event of events) apply(state, event);
  return state;
}

type Of<T extends EventType> = Extract<DomainEvent, { type: T }>;
type NodeRecipe<T extends EventType> = (state: ClusterState, event: Of<T>) => void;
type ResourceRecipe<T extends EventType> = (
  resource: ResourceState,
  event: Of<T>,
  state: ClusterState,
) => void;

export function apply(state: ClusterState, event: AnyEvent): void {
  if (event.command !== null && event.actor.via !== 'engine') noteCommand(state, event);
  if (event.type === 'unknown') {
    const resource = event.resource === null ? undefined : state.resources[event.resource];
    if (resource) resource.unknownEvent = event.id;
    return;
  }
  const clusterRecipe = clusterRecipes[event.type as keyof typeof clusterRecipes] as
    | NodeRecipe<EventType>
    | undefined;
  clusterRecipe?.(state, event);
  if (event.resource === null) return;
  const resource = state.resources[event.resource];
  if (!resource) return;
  const recipe = resourceRecipes[event.type as keyof typeof resourceRecipes] as
    | ResourceRecipe<EventType>
    | undefined;
  if (!recipe) return;
  recipe(rivalOf(resource, event) ?? resource, event, state);
  if (!leavesVersion.has(event.type)) resource.version = event.id;
}

/** These tell how far something is; they change nothing of what is allowed. */
const leavesVersion: ReadonlySet<EventType> = new Set([
  'resync.progressed',
  'mirror.congested',
  'link.corruption-detected',
]);

/** Of two resources of one tag (rule 1) each creator's events tell of its own. */
function rivalOf(resource: ResourceState, event: DomainEvent): ResourceState | undefined {
  if (event.type === 'resource.deleted') return undefined;
  return resource.rivals.find((rival) => rival.replicas[event.node] !== undefined);
}

function noteCommand(state: ClusterState, event: AnyEvent): void {
  if (event.command === null || state.commands[event.command]) return;
  state.commands[event.command] = { digest: event.digest ?? '', outcome: 'running', tag: event.resource };
}

const clusterRecipes: { [T in EventType]?: NodeRecipe<T> } = {
  'resource.created': (state, event) => {
    const tag = event.resource;
    if (tag === null) return;
    const before = state.resources[tag];
    if (before && before.phase !== 'deleted') {
      before.rivals.push(created(event));
      setPhase(before, 'conflicted', event.id);
      return;
    }
    state.resources[tag] = created(event);
  },
  'node.joined': (state, { id, data }) => setAlive(state, data.node, true, id),
  'node.lost': (state, { id, data }) => {
    setAlive(state, data.node, false, id);
    for (const resource of Object.values(state.resources)) disconnectNode(resource, data.node);
  },
  'node.returned': (state, { id, data }) => {
    setAlive(state, data.node, true, id);
    if (data.restarted) return;
    for (const resource of Object.values(state.resources)) sourceHeardAgain(resource, data.node, id);
  },
  'node.settings-changed': (state, { data }) =>
    setSetting(state, { node: data.node, peer: data.peer ?? undefined }, data),
  'resource.settings-changed': (state, { resource, data }) => {
    const scope = { tag: resource ?? undefined, node: data.node ?? undefined, peer: data.peer ?? undefined };
    setSetting(state, scope, data);
  },
  'journal.damaged': (state, { id, data }) => setDamaged(state, data.node, true, id),
  'journal.repaired': (state, { id, data }) => setDamaged(state, data.node, false, id),
  'command.completed': (state, event) => endCommand(state, event, 'completed'),
  'command.failed': (state, event) => endCommand(state, event, 'failed'),
  'command.refused': (state, event) => endCommand(state, event, 'refused'),
};

const resourceRecipes: { [T in EventType]?: ResourceRecipe<T> } = {
  'resource.created': () => {},
  'resource.extended': (resource, event) => {
    const { data } = event;
    resource.replicas[data.node] = replicaOf({
      ...data,
      pairs: { ...data.pairs },
      data: 'inconsistent',
      because: event.id,
      since: event.time,
    });
    const source = lastSource(resource);
    if (source !== null) {
      resource.mirrors[data.node] = mirrorOf(source, data.node, event.id);
      const mirror = resource.mirrors[data.node];
      if (mirror) mirror.fullResyncOrdered = data.fullSync;
    }
  },
  'resource.unextended': (resource, { data }) => {
    delete resource.replicas[data.node];
    delete resource.mirrors[data.node];
    delete resource.promises[data.node];
  },
  'resource.deleted': (resource, { id, data }, state) => {
    const rivals = resource.rivals.filter((rival) => rival.id !== data.created);
    const survivor = resource.id === data.created ? rivals.shift() : resource;
    if (survivor && resource.rivals.length > 0) {
      survivor.rivals = rivals;
      if (rivals.length === 0)
        setPhase(survivor, survivor.reigns.length > 0 ? 'in-service' : 'out-of-service', id);
      else setPhase(survivor, 'conflicted', id);
      survivor.version = id;
      state.resources[resource.tag] = survivor;
      return;
    }
    resource.reigns = [];
    resource.device = [];
    resource.mirrors = {};
    endTransitions(resource);
    setPhase(resource, 'deleted', id);
  },
  'resource.entered-service': enterService,
  'resource.left-service': leaveService,
  'resource.forced-online': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.dataCorrupt = null;
  },
  'resource.settings-changed': (resource, { data }) => {
    const { key, value, node, peer } = data;
    if (key === 'allow-async') resource.allowAsync = value === true;
    const replica = node === null ? undefined : resource.replicas[node];
    if (!replica) return;
    if (key === 'priority' && typeof value === 'number') replica.priority = value;
    if (key === 'mode' && peer !== null) {
      const other = resource.replicas[peer];
      if (other) delete other.pairs[replica.node];
      replica.pairs[peer] = value as never;
    }
  },
  'mirror.paused': onMirror((mirror, { data }, resource) => {
    mirror.paused = { by: data.by, reason: data.reason };
    mirror.status = 'paused';
    interrupt(mirror);
    const replica = resource.replicas[mirror.target];
    if (!replica) return;
    replica.knowsOutOfSync = true;
    if (replica.data === 'up-to-date') replica.data = 'outdated';
  }),
  'mirror.resumed': onMirror((mirror) => {
    mirror.paused = null;
    mirror.status = 'out-of-sync';
  }),
  'mirror.connected': onMirror((mirror, event, resource) => {
    mirror.connected = true;
    if (!event.data.inSync || mirror.paused) return;
    mirror.status = 'fully-operational';
    inSyncAgain(resource, mirror, event);
  }),
  'mirror.disconnected': onMirror((mirror, { data }, resource) => {
    mirror.connected = false;
    mirror.congested = false;
    mirror.unrelated ||= data.why === 'unrelated-data';
    const replica = resource.replicas[mirror.target];
    if (replica && data.away) replica.away = true;
    if (mirror.status === 'resyncing') mirror.status = 'out-of-sync';
    interrupt(mirror);
  }),
  'mirror.lost-sync': onMirror((mirror, event, resource) => {
    if (mirror.status === 'fully-operational') mirror.status = 'out-of-sync';
    const replica = resource.replicas[mirror.target];
    if (replica?.data === 'up-to-date') setData(resource, mirror.target, 'outdated', event);
    if (replica && event.data.known) replica.knowsOutOfSync = true;
  }),
  'mirror.congested': onMirror((mirror, { data }) => {
    mirror.congested = data.congested;
  }),
  'generation.started': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (!replica) return;
    replica.generation = data.generation;
    replica.wroteWithout = [...new Set([...replica.wroteWithout, ...data.absent])];
    // The generation travels in the stream to every target that keeps up.
    for (const mirror of Object.values(resource.mirrors)) {
      const target = resource.replicas[mirror.target];
      const follows =
        mirror.source === data.node &&
        mirror.status === 'fully-operational' &&
        !data.absent.includes(mirror.target);
      if (target && follows) target.generation = data.generation;
    }
  },
  'resync.started': onMirror((mirror, event, resource) => {
    const { kind, bytes, regions, dirtyRegions } = event.data;
    mirror.status = 'resyncing';
    mirror.connected = true;
    mirror.fullResyncOrdered = false;
    mirror.unrelated = false;
    mirror.resync = {
      kind,
      bytes,
      regions,
      dirtyRegions,
      percent: 0,
      speedBytesPerSecond: 0,
      etaSeconds: null,
    };
    setData(resource, mirror.target, 'inconsistent', event);
  }),
  'resync.progressed': onMirror((mirror, { data }) => {
    if (!mirror.resync) return;
    mirror.resync.percent = data.percent;
    mirror.resync.speedBytesPerSecond = data.speedBytesPerSecond;
    mirror.resync.etaSeconds = data.etaSeconds;
    mirror.resync.dirtyRegions = data.dirtyRegions;
  }),
  'resync.interrupted': onMirror((mirror) => {
    if (mirror.status === 'resyncing') mirror.status = 'out-of-sync';
    interrupt(mirror);
  }),
  'resync.completed': onMirror((mirror, event, resource) => {
    mirror.status = 'fully-operational';
    mirror.connected = true;
    mirror.resync = null;
    mirror.lastResync = { kind: event.data.kind, bytes: event.data.bytes, result: 'completed' };
    inSyncAgain(resource, mirror, event);
    const replica = resource.replicas[mirror.target];
    if (replica) replica.generation = event.data.generation;
  }),
  'switchover.started': (resource, { id, data, command }) => {
    resource.switchover = { ...data, command };
    setPhase(resource, 'switching-over', id);
  },
  'switchover.completed': (resource, { data }) => serving(resource, data.device),
  'switchover.failed': (resource, { id }) => {
    resource.switchover = null;
    if (resource.phase === 'switching-over')
      setPhase(resource, resource.reigns.length > 0 ? 'in-service' : 'out-of-service', id);
  },
  'failover.started': (resource, { id, data, command }) => {
    const { lost, candidate, epoch } = data;
    endTransitions(resource);
    resource.takeover = { lost, candidate, epoch, command };
    setPhase(resource, 'failing-over', id);
  },
  'failover.confirmation-requested': (resource, { id, data, command }) => {
    endTransitions(resource);
    resource.confirmation = { ...data, command };
    setPhase(resource, 'awaiting-confirmation', id);
  },
  'failover.confirmed': (resource) => {
    resource.confirmation = null;
  },
  'failover.completed': (resource, { data }) => serving(resource, data.device),
  'failover.blocked': (resource, { id, data }) => {
    // A candidate that gives way says nothing about the one that goes on.
    if (resource.takeover && data.candidate !== null && resource.takeover.candidate !== data.candidate)
      return;
    endTransitions(resource);
    if (data.code !== 'failover-not-confirmed' && data.code !== 'local-recovery-failed') {
      setPhase(resource, resource.reigns.length > 0 ? 'in-service' : 'out-of-service', id);
      return;
    }
    resource.blocked = { code: data.code, text: data.text, candidate: data.candidate };
    setPhase(resource, 'blocked', id);
  },
  'takeover.promised': (resource, event) => {
    const { by, candidate, epoch, outOfSync } = event.data;
    if ((resource.promises[by]?.epoch ?? 0) < epoch) resource.promises[by] = { candidate, epoch, outOfSync };
    const replica = resource.replicas[by];
    if (!replica || !outOfSync) return;
    if (replica.data === 'up-to-date') setData(resource, by, 'outdated', event);
    replica.knowsOutOfSync = true;
  },
  'takeover.conflicted': (resource, { id, data }) => {
    endTransitions(resource);
    resource.reigns = data.reigns.map((reign) => ({ ...reign }));
    resource.device = [];
    setPhase(resource, 'conflicted', id);
  },
  'split-brain.detected': (resource, { id, data }) => {
    endTransitions(resource);
    resource.reigns = data.reigns.map((reign) => ({ ...reign }));
    for (const mirror of Object.values(resource.mirrors)) {
      if (data.reigns.some(({ node }) => node === mirror.target)) mirror.status = 'split-brain';
    }
    setPhase(resource, 'split-brain', id);
  },
  'split-brain.resolved': (resource, event) => {
    const { victim, survivor } = event.data;
    settle(resource, survivor, event);
    setData(resource, victim, 'outdated', event);
    const replica = resource.replicas[victim];
    if (replica) replica.victimOf = survivor;
  },
  'data-corrupt.flagged': (resource, { id, data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.dataCorrupt = { missing: [...data.missing], because: id };
  },
  'data-corrupt.cleared': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.dataCorrupt = null;
  },
  'bitmap.marked-clean': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica && data.peer === null) replica.baseline = true;
  },
  'bitmap.marked-dirty': (resource, event) => {
    const { node, peer } = event.data;
    const replica = resource.replicas[node];
    if (replica && peer === null) replica.baseline = false;
    const mirror = peer === null ? undefined : resource.mirrors[peer];
    if (mirror?.source !== node) return;
    // An explicit full resync (rule 13): nothing of the target's copy counts any more.
    mirror.fullResyncOrdered = true;
    if (mirror.status !== 'paused') mirror.status = 'out-of-sync';
    interrupt(mirror);
    if (peer !== null && resource.replicas[peer]?.data === 'up-to-date')
      setData(resource, peer, 'outdated', event);
  },
  'bitmap.invalidated': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.baseline = false;
  },
  'disk.failed': (resource, event) => {
    const { node, error } = event.data;
    const replica = resource.replicas[node];
    if (!replica) return;
    replica.failed = error;
    if (!resource.reigns.some((reign) => reign.node === node)) setData(resource, node, 'inconsistent', event);
  },
  'local-recovery.started': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.failed = data.what;
  },
  'local-recovery.succeeded': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.failed = null;
  },
  'local-recovery.failed': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.failed = data.what;
  },
  'command.completed': (resource, { data }) => {
    if (data.device !== null) serving(resource, data.device);
  },
};

function onMirror<T extends EventType>(
  recipe: (mirror: MirrorState, event: Of<T>, resource: ResourceState) => void,
): ResourceRecipe<T> {
  return (resource, event) => {
    const { source, target } = event.data as { source: NodeName; target: NodeName };
    const mirror = resource.mirrors[target];
    // What an earlier source says of its mirrors is history: it no longer describes this mirror.
    if (!mirror || mirror.source !== source) return;
    recipe(mirror, event, resource);
    if (event.type !== 'resync.progressed') mirror.because = event.id;
  };
}

function enterService(resource: ResourceState, event: Of<'resource.entered-service'>): void {
  const { node, epoch, after, why } = event.data;
  const known = resource.lastOwner;
  const follows =
    (after?.node ?? null) === (known?.node ?? null) && (after?.epoch ?? 0) === (known?.epoch ?? 0);
  // Whoever follows a reign that is no longer the last one had not seen the one in between.
  if (!follows && resource.reigns.length > 0 && !resource.reigns.some((reign) => reign.node === node)) {
    endTransitions(resource);
    resource.reigns.push({ node, epoch });
    resource.epoch = Math.max(resource.epoch, epoch);
    resource.device = [];
    setPhase(resource, 'conflicted', event.id);
    return;
  }
  resource.entering = {
    epoch,
    why,
    from: why === 'switchover' || why === 'failover' ? (known?.node ?? null) : null,
    command:
      (why === 'switchover' ? resource.switchover?.command : resource.takeover?.command) ?? event.command,
  };
  endTransitions(resource);
  resource.epoch = Math.max(resource.epoch, epoch);
  resource.reigns = [{ node, epoch }];
  resource.lastOwner = { node, epoch };
  resource.left = null;
  resource.device = [];
  const replica = resource.replicas[node];
  if (replica) {
    replica.failed = null;
    replica.dataCorrupt = null;
  }
  setData(resource, node, 'up-to-date', event);
  reformMirrors(resource, node, event);
  setPhase(resource, 'in-service', event.id);
}

/** With A→B, A→C and B as the new source the mirrors are B→A and B→C (seeds, multiple targets). */
function reformMirrors(resource: ResourceState, source: NodeName, event: DomainEvent): void {
  const before = resource.mirrors;
  resource.mirrors = {};
  for (const replica of Object.values(resource.replicas)) {
    if (replica.node === source) continue;
    const mirror = mirrorOf(source, replica.node, event.id);
    const old = before[replica.node];
    if (old?.paused) {
      mirror.paused = old.paused;
      mirror.status = 'paused';
    }
    mirror.lastResync = old?.lastResync ?? null;
    resource.mirrors[replica.node] = mirror;
    if (replica.data === 'up-to-date') setData(resource, replica.node, 'outdated', event);
  }
}

function leaveService(resource: ResourceState, event: Of<'resource.left-service'>): void {
  const { node, epoch, why, handedTo } = event.data;
  const leaver = resource.replicas[node];
  if (leaver) leaver.leftEpoch = Math.max(leaver.leftEpoch, epoch);
  if (!resource.reigns.some((reign) => reign.node === node && reign.epoch === epoch)) return;
  const remaining = resource.reigns.filter((reign) => reign.node !== node || reign.epoch !== epoch);
  const survivor = remaining[0];
  if (remaining.length === 1 && survivor) {
    settle(resource, survivor.node, event);
    if (why !== 'conflict-settled') return;
    setData(resource, node, 'outdated', event);
    return;
  }
  resource.reigns = remaining;
  if (remaining.length > 1) return;
  resource.device = [];
  resource.entering = null;
  resource.left = { why, handedTo };
  if (resource.phase === 'switching-over') {
    resource.because = event.id;
    return;
  }
  endTransitions(resource);
  setPhase(resource, 'out-of-service', event.id);
}

/** Exactly one of several reigns goes on. */
function settle(resource: ResourceState, survivor: NodeName, event: DomainEvent): void {
  const reign = resource.reigns.find(({ node }) => node === survivor) ?? {
    node: survivor,
    epoch: resource.epoch,
  };
  endTransitions(resource);
  resource.reigns = [{ ...reign }];
  resource.lastOwner = { ...reign };
  resource.left = null;
  setData(resource, survivor, 'up-to-date', event);
  reformMirrors(resource, survivor, event);
  setPhase(resource, 'in-service', event.id);
}

function serving(resource: ResourceState, device: ResourceState['device']): void {
  resource.device = device;
  resource.entering = null;
}

function setPhase(resource: ResourceState, phase: Phase, because: string): void {
  resource.phase = phase;
  resource.because = because;
}

function endTransitions(resource: ResourceState): void {
  resource.switchover = null;
  resource.takeover = null;
  resource.confirmation = null;
  resource.blocked = null;
}

function setData(
  resource: ResourceState,
  node: NodeName,
  data: DataState,
  event: { id: string; time: number },
): void {
  const replica = resource.replicas[node];
  if (!replica) return;
  if (data === 'up-to-date') {
    replica.away = false;
    replica.victimOf = null;
  }
  if (data !== 'outdated') replica.knowsOutOfSync = data === 'inconsistent';
  replica.data = data;
  replica.because = event.id;
  replica.since = event.time;
}

function inSyncAgain(
  resource: ResourceState,
  { source, target }: MirrorState,
  event: { id: string; time: number },
): void {
  setData(resource, target, 'up-to-date', event);
  for (const [one, other] of [
    [source, target],
    [target, source],
  ] as const) {
    const replica = resource.replicas[one];
    if (replica) replica.wroteWithout = replica.wroteWithout.filter((node) => node !== other);
  }
}

function interrupt(mirror: MirrorState): void {
  if (!mirror.resync) return;
  mirror.lastResync = { kind: mirror.resync.kind, bytes: mirror.resync.bytes, result: 'interrupted' };
  mirror.resync = null;
}

/** A source that only could not be heard serves still: nobody needs to take over any more. */
function sourceHeardAgain(resource: ResourceState, node: NodeName, because: string): void {
  if (
    sourceOf(resource) !== node ||
    (resource.phase !== 'awaiting-confirmation' && resource.phase !== 'blocked')
  )
    return;
  endTransitions(resource);
  setPhase(resource, 'in-service', because);
}

function disconnectNode(resource: ResourceState, node: NodeName): void {
  for (const mirror of Object.values(resource.mirrors)) {
    if (mirror.source !== node && mirror.target !== node) continue;
    mirror.connected = false;
    mirror.congested = false;
  }
}

function lastSource(resource: ResourceState): NodeName | null {
  return resource.reigns[0]?.node ?? resource.lastOwner?.node ?? null;
}

function created(event: Of<'resource.created'>): ResourceState {
  const { data } = event;
  return {
    tag: event.resource as ResourceState['tag'],
    id: event.id,
    phase: 'out-of-service',
    version: event.id,
    because: event.id,
    content: data.content,
    fstype: data.fstype,
    allowAsync: data.allowAsync,
    srl: data.srl,
    epoch: 0,
    reigns: [],
    lastOwner: null,
    left: null,
    device: [],
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
    mirrors: {},
    switchover: null,
    takeover: null,
    confirmation: null,
    blocked: null,
    promises: {},
    rivals: [],
    unknownEvent: null,
  };
}

type ReplicaFields = Pick<
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

function replicaOf(fields: ReplicaFields): ReplicaState {
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
    data,
    away: false,
    knowsOutOfSync: data === 'inconsistent',
    dataCorrupt: null,
    generation: null,
    wroteWithout: [],
    leftEpoch: 0,
    baseline: false,
    failed: null,
    victimOf: null,
    because,
    since,
  };
}

function mirrorOf(source: NodeName, target: NodeName, because: string): MirrorState {
  return {
    source,
    target,
    status: 'out-of-sync',
    connected: false,
    congested: false,
    paused: null,
    resync: null,
    fullResyncOrdered: false,
    unrelated: false,
    lastResync: null,
    because,
  };
}

function setAlive(state: ClusterState, node: NodeName, alive: boolean, because: string): void {
  const known = state.nodes[node];
  state.nodes[node] = { node, alive, because, damaged: known?.damaged ?? false };
}

function setDamaged(state: ClusterState, node: NodeName, damaged: boolean, because: string): void {
  state.nodes[node] = { node, alive: state.nodes[node]?.alive ?? true, because, damaged };
}

function setSetting(
  state: ClusterState,
  scope: Scope,
  { key, value }: { key: never | string; value?: unknown },
): void {
  state.settings[scopeKey(scope, key as never)] = value;
}

function endCommand(
  state: ClusterState,
  event: Of<'command.completed'> | Of<'command.failed'> | Of<'command.refused'>,
  outcome: 'completed' | 'failed' | 'refused',
): void {
  state.commands[event.data.commandId] = { digest: event.data.digest, outcome, tag: event.resource };
}
