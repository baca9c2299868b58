import type { CommandName, CommandOf } from '../commands.ts';
import { type EnteredBecause, event, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';
import type { ClusterState, ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';

/**
 * What an allowed command brings about: one small function per command, events out. No rule is asked here again;
 * where a command can end in more than one way, the resource machine has an edge for each.
 */
export interface Allowed<C extends CommandName> {
  readonly state: ClusterState;
  readonly resource: ResourceState;
  readonly command: CommandOf<C>;
  readonly facts: Facts;
}

export type Outcome<C extends CommandName> = (allowed: Allowed<C>) => NewEvent[];

export const completed = (
  { id, digest }: { id: string; digest: string },
  resource: ResourceState | null,
): NewEvent => event('command.completed', resource?.tag ?? null, { commandId: id, digest, device: null });

/** The node takes the reign that follows the last one that its decider knows of. */
export function enter(resource: ResourceState, node: NodeName, epoch: number, why: EnteredBecause): NewEvent {
  return event('resource.entered-service', resource.tag, {
    node,
    epoch,
    why,
    after: resource.lastOwner && { ...resource.lastOwner },
  });
}
export function failedCommand(
  state: ClusterState,
  id: string | null,
  resource: ResourceState,
  why: string,
): NewEvent[] {
  if (id === null || state.commands[id]?.outcome !== 'running') return [];
  return [
    event(
      'command.failed',
      resource.tag,
      { commandId: id, digest: state.commands[id]?.digest ?? '', why },
      id,
    ),
  ];
}
