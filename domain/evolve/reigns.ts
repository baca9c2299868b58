import type { DomainEvent } from '../events.ts';
import type { ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { setData, stopResync } from './mirrors.ts';
import { freePriority, mirrorOf } from './newborn.ts';
import { endTransitions, type Of, setPhase } from './recipe.ts';

export function enterService(resource: ResourceState, event: Of<'resource.entered-service'>): void {
  const { node, epoch, after, why } = event.data;
  if (!hasReplica(resource, node)) return;
  const known = resource.lastOwner;
  const follows =
    (after?.node ?? null) === (known?.node ?? null) && (after?.epoch ?? 0) === (known?.epoch ?? 0);
  // Whoever follows a reign that is no longer the last one had not seen the one in between.
  const others = resource.reigns.filter((reign) => reign.node !== node);
  if (others.length > 0 && (!follows || resource.reigns.length > 1)) {
    endTransitions(resource);
    resource.entering = null;
    resource.reigns = [...others, { node, epoch }];
    resource.epoch = Math.max(resource.epoch, epoch);
    resource.conflictJournaled = false;
    setPhase(resource, 'conflicted', event.id);
    return;
  }
  resource.entering = {
    epoch,
    why,
    from: why === 'switchover' || why === 'failover' ? (known?.node ?? null) : null,
    after: after && { ...after },
    because: event.id,
    command:
      (why === 'switchover'
        ? resource.switchover?.command
        : why === 'failover'
          ? resource.takeover?.command
          : null) ?? event.command,
  };
  endTransitions(resource);
  resource.epoch = Math.max(resource.epoch, epoch);
  resource.reigns = [{ node, epoch }];
  resource.lastOwner = { node, epoch };
  resource.left = null;
  const replica = resource.replicas[node];
  if (replica) {
    replica.failed = null;
    replica.dataCorrupt = null;
  }
  setData(resource, node, 'up-to-date', event);
  reformMirrors(resource, node, event);
  setPhase(resource, 'in-service', event.id);
}

/** A node that took over unseen, while another took its replica away, serves on: nobody undoes a serving source. */
function hasReplica(resource: ResourceState, node: NodeName): boolean {
  const removed = resource.removed[node];
  if (removed && !resource.replicas[node]) {
    resource.replicas[node] = { ...removed, priority: freePriority(resource, node, removed.priority) };
    delete resource.removed[node];
  }
  return resource.replicas[node] !== undefined;
}

/** With A→B, A→C and B as the new source the mirrors are B→A and B→C (seeds, multiple targets). */
export function reformMirrors(resource: ResourceState, source: NodeName, event: DomainEvent): void {
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

export function leaveService(resource: ResourceState, event: Of<'resource.left-service'>): void {
  const { node, epoch, why, handedTo } = event.data;
  const leaver = resource.replicas[node];
  if (leaver) leaver.leftEpoch = Math.max(leaver.leftEpoch, epoch);
  if (!resource.reigns.some((reign) => reign.node === node && reign.epoch === epoch)) return;
  // A split brain is resolved by an operator, never by one side's leaving.
  if (resource.phase === 'split-brain') return;
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
  if (why === 'never-served') undoReign(resource, node, event);
  resource.entering = null;
  resource.left = { why, handedTo };
  for (const mirror of Object.values(resource.mirrors)) stopResync(mirror);
  if (resource.phase === 'switching-over') {
    resource.because = event.id;
    return;
  }
  endTransitions(resource);
  setPhase(resource, 'out-of-service', event.id);
}

/** Nothing was served in it: what stood before it stands again, but for the node that could not serve. */
function undoReign(resource: ResourceState, node: NodeName, event: Of<'resource.left-service'>): void {
  const { entering } = resource;
  if (entering === null) return;
  if (entering.after !== null && resource.replicas[entering.after.node])
    resource.lastOwner = { ...entering.after };
  for (const replica of Object.values(resource.replicas)) {
    if (replica.node !== node && replica.because === entering.because)
      setData(resource, replica.node, 'up-to-date', event);
  }
  setData(resource, node, 'outdated', event);
}

/** Exactly one of several reigns goes on. */
export function settle(resource: ResourceState, survivor: NodeName, event: DomainEvent): void {
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
