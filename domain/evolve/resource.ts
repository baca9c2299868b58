import type { EventType, Reign } from '../events.ts';
import { type ReplicaState, type ResourceState, replicaNodes, victimAmong } from '../state.ts';
import type { Mode, NodeName } from '../vocabulary.ts';
import { inSyncAgain, interrupt, onMirror, setData } from './mirrors.ts';
import { freePriority, mirrorOf, replicaOf } from './newborn.ts';
import { endTransitions, isFailoverOf, type ResourceRecipe, serving, setPhase } from './recipe.ts';
import { enterService, leaveService, settle } from './reigns.ts';

export const resourceRecipes: { [T in EventType]?: ResourceRecipe<T> } = {
  'resource.created': () => {},
  'resource.extended': (resource, event) => {
    const { data } = event;
    delete resource.removed[data.node];
    resource.replicas[data.node] = replicaOf({
      ...data,
      priority: freePriority(resource, data.node, data.priority),
      pairs: { ...data.pairs },
      data: 'inconsistent',
      because: event.id,
      since: event.time,
    });
    const replica = resource.replicas[data.node];
    if (replica) replica.adopts = data.baseline ?? null;
    const source = lastSource(resource);
    if (source !== null) {
      resource.mirrors[data.node] = mirrorOf(source, data.node, event.id);
      const mirror = resource.mirrors[data.node];
      if (mirror && data.fullSync) mirror.fullResyncOrdered = event.id;
    }
  },
  'resource.unextended': (resource, { data, node }) => {
    if (resource.reigns.some(({ node }) => node === data.node)) return;
    const replica = resource.replicas[data.node];
    if (replica) resource.removed[data.node] = replica;
    delete resource.replicas[data.node];
    delete resource.mirrors[data.node];
    delete resource.promises[data.node];
    for (const [command, owner] of Object.entries(resource.unsettled))
      if (owner === data.node) resource.unsettled[command] = node;
    for (const { source, target } of Object.values(resource.mirrors))
      if (source === data.node) delete resource.mirrors[target];
  },
  'resource.deleted': (resource, { id, node, data }, state) => {
    const rivals = resource.rivals.filter((rival) => rival.id !== data.created);
    if (resource.id !== data.created && rivals.length === resource.rivals.length) return;
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
    // Another took over that the deleting node did not know of: it serves on.
    if (resource.reigns.some((reign) => reign.node !== node)) return;
    resource.reigns = [];
    resource.entering = null;
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
    if (key === 'mode') setMode(resource, node, peer, value as Mode);
    const replica = node === null ? undefined : resource.replicas[node];
    if (replica && key === 'priority' && typeof value === 'number')
      replica.priority = freePriority(resource, replica.node, value);
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
    interrupt(mirror);
  }),
  'mirror.connected': onMirror((mirror, event, resource) => {
    mirror.connected = true;
    if (!event.data.inSync || mirror.paused) return;
    mirror.status = 'fully-operational';
    mirror.resync = null;
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
    mirror.verify = null;
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
    if (mirror.paused) return;
    const { kind, bytes, regions, dirtyRegions } = event.data;
    mirror.status = 'resyncing';
    mirror.connected = true;
    mirror.fullResyncOrdered = null;
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
    if (mirror.paused) return;
    mirror.status = 'fully-operational';
    mirror.connected = true;
    mirror.resync = null;
    mirror.lastResync = { kind: event.data.kind, bytes: event.data.bytes, result: 'completed' };
    mirror.differing = 0;
    inSyncAgain(resource, mirror, event);
    const replica = resource.replicas[mirror.target];
    if (replica) replica.generation = event.data.generation;
  }),
  'verify.started': onMirror((mirror, { id }) => {
    mirror.verify ??= { started: id, percent: 0 };
  }),
  'verify.progressed': onMirror((mirror, { data }) => {
    if (mirror.verify) mirror.verify.percent = data.percent;
  }),
  'verify.interrupted': onMirror((mirror) => {
    mirror.verify = null;
  }),
  'verify.completed': onMirror((mirror, { data }) => {
    mirror.verify = null;
    mirror.differing = data.differing;
  }),
  'switchover.started': (resource, { id, data, command }) => {
    if (resource.phase !== 'in-service' || resource.reigns[0]?.node !== data.from) return;
    resource.switchover = { ...data, command };
    setPhase(resource, 'switching-over', id);
  },
  'switchover.completed': (resource, { node, data }) => serving(resource, node, data.device),
  'switchover.failed': (resource, { id }) => {
    resource.switchover = null;
    if (resource.phase === 'switching-over')
      setPhase(resource, resource.reigns.length > 0 ? 'in-service' : 'out-of-service', id);
  },
  'failover.started': (resource, { id, data, command }) => {
    const { lost, candidate, epoch } = data;
    if (!isFailoverOf(resource, lost)) return;
    endTransitions(resource);
    resource.takeover = { lost, candidate, epoch, command };
    setPhase(resource, 'failing-over', id);
  },
  'failover.confirmation-requested': (resource, { id, data, command }) => {
    if (!isFailoverOf(resource, data.lost)) return;
    endTransitions(resource);
    resource.confirmation = { ...data, command };
    setPhase(resource, 'awaiting-confirmation', id);
  },
  'failover.completed': (resource, { node, data }) => serving(resource, node, data.device),
  'failover.blocked': (resource, { id, data }) => {
    // A candidate that gives way says nothing about the one that goes on.
    const givesWay = data.code === 'source-alive' || data.code === 'stale-command';
    if (givesWay && resource.takeover?.candidate !== data.candidate) return;
    if (!isFailoverOf(resource, data.lost)) return;
    endTransitions(resource);
    if (givesWay) {
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
    // Told by one that had not heard of the resolution.
    if (victimAmong(resource, data.reigns) !== undefined) return;
    endTransitions(resource);
    resource.entering = null;
    reignTogether(resource, data.reigns);
    resource.conflictJournaled = true;
    setPhase(resource, 'conflicted', id);
  },
  'split-brain.detected': (resource, { id, data }) => {
    // Told by one that had not heard of the resolution.
    if (victimAmong(resource, data.reigns) !== undefined) return;
    endTransitions(resource);
    resource.entering = null;
    reignTogether(resource, data.reigns);
    for (const mirror of Object.values(resource.mirrors)) {
      if (!data.reigns.some(({ node }) => node === mirror.target)) continue;
      interrupt(mirror);
      if (!mirror.paused) mirror.status = 'split-brain';
    }
    setPhase(resource, 'split-brain', id);
  },
  'split-brain.resolved': (resource, event) => {
    const { victim, survivor } = event.data;
    if (resource.reigns.length < 2 || !resource.reigns.some(({ node }) => node === survivor)) return;
    const left = resource.reigns.find(({ node }) => node === victim)?.epoch ?? 0;
    settle(resource, survivor, event);
    setData(resource, victim, 'outdated', event);
    const replica = resource.replicas[victim];
    if (!replica) return;
    replica.victimOf = survivor;
    replica.leftEpoch = Math.max(replica.leftEpoch, left);
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
    mirror.fullResyncOrdered = event.id;
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
    if (resource.reigns.some((reign) => reign.node === node)) return;
    setData(resource, node, 'inconsistent', event);
    const mirror = resource.mirrors[node];
    if (!mirror) return;
    interrupt(mirror);
    if (mirror.status === 'fully-operational' || mirror.status === 'resyncing') mirror.status = 'out-of-sync';
  },
  'file-system.made': (resource, { data }) => {
    resource.hasFileSystem = true;
    clearMountFailure(resource, data.node);
  },
  'file-system.mounted': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.mounted = { epoch: data.epoch, mounts: data.mounts.map((one) => ({ ...one })) };
    clearMountFailure(resource, data.node);
  },
  'file-system.unmounted': (resource, { data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.mounted = null;
    clearMountFailure(resource, data.node);
  },
  'file-system.failed': (resource, { id, time, data }) => {
    const replica = resource.replicas[data.node];
    if (replica) replica.mountFailure = { what: data.what, why: data.why, because: id, since: time };
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
  'command.completed': (resource, { node, data }) => {
    if (data.device !== null) serving(resource, node, data.device);
  },
};

function clearMountFailure(resource: ResourceState, node: NodeName): void {
  const replica = resource.replicas[node];
  if (replica) replica.mountFailure = null;
}

export function lastSource(resource: ResourceState): NodeName | null {
  return resource.reigns[0]?.node ?? resource.lastOwner?.node ?? null;
}

/** Of one pair, of all pairs of a node, or of all pairs. */
function setMode(resource: ResourceState, node: NodeName | null, peer: NodeName | null, mode: Mode): void {
  const nodes = replicaNodes(resource);
  for (const one of nodes) {
    const { pairs } = resource.replicas[one] as ReplicaState;
    for (const other of nodes) {
      if (other === one) continue;
      const ends = [one, other];
      const isMeant = [node, peer].every((end) => end === null || ends.includes(end));
      if (isMeant) pairs[other] = mode;
    }
  }
}

/** Several reigns at once, none of which is undone. */
function reignTogether(resource: ResourceState, all: readonly Reign[]): void {
  resource.reigns = all.map((reign) => ({ ...reign }));
  resource.epoch = Math.max(resource.epoch, ...all.map(({ epoch }) => epoch));
}
