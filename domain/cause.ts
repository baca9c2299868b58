import type { Command } from './commands.ts';
import { asSeenBy, type ClusterState, type ResourceState, sourceOf } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/**
 * The event that brought a command about, as far as the history tells: it becomes the `cause` of what the command
 * leaves behind (REQUIREMENTS 4), so that `journal explain` can go back from a state to where it began. Null where a
 * person decided freely, or where something was observed that nothing here led to.
 */
export function causeOf(state: ClusterState, command: Command, self: NodeName): string | null {
  if (!('tag' in command) || command.tag === undefined) return null;
  const known = state.resources[command.tag];
  return known === undefined ? null : causeInResource(state, asSeenBy(known, self), command, self);
}

function causeInResource(
  state: ClusterState,
  resource: ResourceState,
  command: Command,
  self: NodeName,
): string | null {
  switch (command.command) {
    // What answers a state that the resource is in: its phase is the reason to ask.
    case 'confirm-failover':
    case 'confirmation-timed-out':
    case 'force-online':
    case 'resolve-split-brain':
    case 'in-service':
    case 'promises-collected':
    case 'take-handover':
    case 'handed-over':
    case 'switchover-stopped':
    case 'served':
    case 'serve-failed':
    case 'settle-conflict':
    case 'superseded':
    case 'split-brain-seen':
      return resource.because;
    case 'out-of-service':
      return resource.phase === 'split-brain' ? resource.because : null;
    case 'failover':
    case 'promise':
      return becauseLost(state, sourceOf(resource) ?? resource.lastOwner?.node) ?? resource.because;
    case 'return':
      return resource.reigns.some(({ node }) => node === self)
        ? (state.nodes[self]?.because ?? null)
        : resource.because;
    case 'peer-disconnected':
      return becauseLost(state, command.target) ?? becauseLost(state, command.source);
    case 'peer-lost-sync':
    case 'resync-started':
    case 'resync-interrupted':
    case 'resync-completed':
    case 'auto-pause':
    case 'auto-resume':
      return resource.mirrors[command.target]?.because ?? null;
    case 'resume':
      return onlyMirror(resource, command.targets)?.because ?? null;
    case 'generation-started':
      return onlyMirror(resource, command.absent)?.because ?? resource.because;
    default:
      return null;
  }
}

function becauseLost(state: ClusterState, node: string | undefined): string | null {
  const known = node === undefined ? undefined : state.nodes[node];
  return known && !known.alive ? known.because : null;
}

/** Where a command is about one mirror, that one. */
function onlyMirror({ mirrors }: ResourceState, targets: readonly NodeName[] | undefined) {
  const named = targets ?? Object.values(mirrors).map(({ target }) => target);
  const [target] = named;
  return target !== undefined && named.length === 1 ? mirrors[target] : undefined;
}
