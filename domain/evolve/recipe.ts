import type { DomainEvent, EventType } from '../events.ts';
import type { ClusterState, Phase, ResourceState } from '../state.ts';

export type Of<T extends EventType> = Extract<DomainEvent, { type: T }>;
export type NodeRecipe<T extends EventType> = (state: ClusterState, event: Of<T>) => void;
export type ResourceRecipe<T extends EventType> = (
  resource: ResourceState,
  event: Of<T>,
  state: ClusterState,
) => void;
export function serving(resource: ResourceState, device: ResourceState['device']): void {
  resource.device = device;
  resource.entering = null;
}

export function setPhase(resource: ResourceState, phase: Phase, because: string): void {
  resource.phase = phase;
  resource.because = because;
}

export function endTransitions(resource: ResourceState): void {
  resource.switchover = null;
  resource.takeover = null;
  resource.confirmation = null;
  resource.blocked = null;
}
