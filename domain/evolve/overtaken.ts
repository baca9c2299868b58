import type { DomainEvent, EventType } from '../events.ts';
import type { ClusterState, ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';

/**
 * Commands that were overtaken (I11). A switchover, a takeover or a reign that begins holds the command that is to end
 * with it. When another reign, which did not know of it, takes its place, nobody would end that command: it becomes
 * `unsettled`, and exactly one node owes its end, whatever order the events come in:
 *
 *     switchover, before step 4   the old source        a takeover, its confirmation   the candidate
 *     switchover, after step 4    the new source        a reign that has begun         its node
 */
type Open = readonly (readonly [command: string, owner: NodeName])[];

const none: Open = [];

/** Whose end is still to come, and who says it. */
export function openCommands({
  switchover,
  takeover,
  confirmation,
  entering,
  left,
  reigns,
}: ResourceState): Open {
  if (!switchover && !takeover && !confirmation && !entering) return none;
  const reign = reigns.find(({ epoch }) => epoch === entering?.epoch)?.node;
  return [
    [switchover?.command, left?.handedTo?.node ?? switchover?.from],
    [takeover?.command, takeover?.candidate],
    [confirmation?.command, confirmation?.candidate],
    [entering?.command, reign],
  ].filter((open): open is [string, NodeName] => open[0] != null && open[1] !== undefined);
}

/** Events that begin something, and find it overtaken already. */
const beginnings: ReadonlySet<EventType> = new Set([
  'switchover.started',
  'failover.started',
  'failover.confirmation-requested',
]);

export function noteOvertaken(
  state: ClusterState,
  resource: ResourceState,
  event: DomainEvent,
  before: Open,
): void {
  const begun: Open =
    beginnings.has(event.type) && event.command !== null ? [[event.command, event.node]] : none;
  if (before.length === 0 && begun.length === 0) return;
  const after = new Set(openCommands(resource).map(([command]) => command));
  for (const [command, owner] of [...before, ...begun])
    if (!after.has(command) && state.commands[command]?.outcome === 'running')
      resource.unsettled[command] = owner;
}
