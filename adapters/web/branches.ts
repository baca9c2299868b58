import type { CausalOrder } from '../../domain/causality.ts';
import { type EventEnvelope, parseEventId } from '../../domain/envelope.ts';
import type { ResourceState } from '../../domain/state.ts';
import { type BranchesView, branchesOf } from '../../projections/branches.ts';
import { toEvent } from '../agent/history.ts';

/** The two sides of a resource that was split after the first `place` events; null where it was not. */
export function branchesIn(
  order: CausalOrder<EventEnvelope>,
  resource: ResourceState | undefined,
  place: number,
): BranchesView | null {
  if (resource === undefined || resource.reigns.length < 2) return null;
  const events = order
    .events(0, place)
    .map(toEvent)
    .filter((event) => event.resource === resource.tag);
  return branchesOf(resource.tag, resource.reigns, events, (id) => {
    const at = parseEventId(id);
    return new Set(at === undefined ? [] : order.knownBy(at.node, at).map((event) => event.id));
  });
}
