import type { DomainEvent, EventType } from '../events.ts';
import type { ClusterState, Phase, ResourceState } from '../state.ts';

export type Of<T extends EventType> = Extract<DomainEvent, { type: T }>;
export type NodeRecipe<T extends EventType> = (state: ClusterState, event: Of<T>) => void;
export type ResourceRecipe<T extends EventType> = (
  resource: ResourceState,
  event: Of<T>,
  state: ClusterState,
) => void;

/** Concurrent knowledge: only a failover of the node that is the source, or was the last one, concerns anybody. */
export function isFailoverOf(resource: ResourceState, lost: string | null): boolean {
  if (resource.reigns.length > 1) return false;
  return lost === (resource.reigns[0] ?? resource.lastOwner)?.node;
}

/** The device of the reign that serves, and of no other. */
export function serving(resource: ResourceState, device: ResourceState['device']): void {
  if (resource.reigns.length !== 1) return;
  resource.device = device;
  resource.entering = null;
}

/** Of two creations of one tag (rule 1) neither is anything but conflicted until one is deleted. */
export function setPhase(resource: ResourceState, phase: Phase, because: string): void {
  resource.phase = resource.rivals.length > 0 ? 'conflicted' : phase;
  resource.because = because;
}

export function endTransitions(resource: ResourceState): void {
  resource.switchover = null;
  resource.takeover = null;
  resource.confirmation = null;
  resource.blocked = null;
}
