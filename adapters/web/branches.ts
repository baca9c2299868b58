import { parseEventId } from '../../domain/envelope.ts';
import type { ResourceState } from '../../domain/state.ts';
import { type BranchesView, branchesOf } from '../../projections/branches.ts';
import type { History } from '../agent/history.ts';

/** The two sides of a resource that was split after the first `place` events; null where it was not. */
export function branchesIn(
  history: History,
  resource: ResourceState | undefined,
  place: number,
): BranchesView | null {
  if (resource === undefined || resource.reigns.length < 2) return null;
  const events = history.events(0, place).filter((event) => event.resource === resource.tag);
  return branchesOf(resource.tag, resource.reigns, events, (id) => {
    const at = parseEventId(id);
    return new Set(at === undefined ? [] : history.order.knownBy(at.node, at).map((event) => event.id));
  });
}
