import type { CommandName, CommandOf } from '../commands.ts';
import { type EnteredBecause, event, type NewEvent } from '../events.ts';
import { openCommands } from '../evolve/overtaken.ts';
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
export const failed = (
  { id, digest }: { id: string; digest: string },
  resource: ResourceState,
  why: string,
): NewEvent => event('command.failed', resource.tag, { commandId: id, digest, why }, id);

/** Ends a command that an earlier event began, where it is still running. */
export function failedCommand(
  state: ClusterState,
  id: string | null,
  resource: ResourceState,
  why: string,
): NewEvent[] {
  const running = id === null ? undefined : state.commands[id];
  if (id === null || running?.outcome !== 'running') return [];
  return [failed({ id, digest: running.digest }, resource, why)];
}

/**
 * What was under way ends here. Each accepted command has exactly one terminal event (I11): this node ends its own, and
 * what it overtakes of another's that one ends itself (evolve/overtaken.ts), as what is known of it here may be old.
 */
export function abandoned(
  state: ClusterState,
  resource: ResourceState,
  self: NodeName,
  why: string,
): NewEvent[] {
  const { tag, switchover, left } = resource;
  const own = openCommands(resource).flatMap(([command, owner]) => (owner === self ? [command] : []));
  const step = left?.handedTo ? 5 : 2;
  const failedSwitchover =
    switchover === null
      ? []
      : [
          event(
            'switchover.failed',
            tag,
            { from: switchover.from, to: switchover.to, epoch: switchover.epoch, step, why },
            switchover.command,
          ),
        ];
  return [...failedSwitchover, ...own.flatMap((command) => failedCommand(state, command, resource, why))];
}
