import type { DeviceUris, DomainEvent, EventType } from '../events.ts';
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

/** The device of a reign, for as long as that one lasts. */
export function serving(resource: ResourceState, node: string, uris: DeviceUris): void {
  const reign = resource.reigns.find((one) => one.node === node);
  if (!reign) return;
  resource.devices[node] = { epoch: reign.epoch, uris };
  if (resource.entering?.epoch === reign.epoch) resource.entering = null;
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
