import type { CommandName, CommandOf } from './commands.ts';
import { event, type NewEvent } from './events.ts';
import type { Facts } from './facts.ts';
import { acknowledgeAlarm } from './outcomes/alarms.ts';
import { settleConflict, superseded } from './outcomes/conflict.ts';
import { localFailure, localRecoveryEnded } from './outcomes/local-failure.ts';
import { fullResync, marked, pause, resume, verify } from './outcomes/mirrors.ts';
import { noted } from './outcomes/noted.ts';
import type { Outcome } from './outcomes/outcome.ts';
import { served, serveFailed } from './outcomes/served.ts';
import {
  forceOnline,
  handedOver,
  inService,
  outOfService,
  resolveSplitBrain,
  returnToService,
  switchover,
  switchoverStopped,
  takeHandover,
} from './outcomes/service.ts';
import { changeSettings } from './outcomes/settings.ts';
import { settleCommand } from './outcomes/settle-command.ts';
import { createResource, deleteResource, extend, unextend } from './outcomes/shape.ts';
import {
  confirmationTimedOut,
  confirmFailover,
  failover,
  promise,
  promisesCollected,
} from './outcomes/takeover.ts';
import type { ClusterState, ResourceState } from './state.ts';

const outcomes: { readonly [C in CommandName]?: Outcome<C> } = {
  extend,
  unextend,
  delete: deleteResource,
  'in-service': inService,
  'out-of-service': outOfService,
  switchover,
  failover,
  'confirm-failover': confirmFailover,
  'confirmation-timed-out': confirmationTimedOut,
  'force-online': forceOnline,
  'resolve-split-brain': resolveSplitBrain,
  pause,
  resume,
  'full-resync': fullResync,
  verify,
  'bitmap-mark-clean': marked('bitmap.marked-clean'),
  'bitmap-mark-dirty': marked('bitmap.marked-dirty'),
  promise,
  promised: promise,
  'promises-collected': promisesCollected,
  'take-handover': takeHandover,
  return: returnToService,
  'settle-conflict': settleConflict,
  'handed-over': handedOver,
  'switchover-stopped': switchoverStopped,
  served,
  'serve-failed': serveFailed,
  'settle-command': settleCommand,
  superseded,
  'local-failure': localFailure,
  'local-recovery-ended': localRecoveryEnded,
};

/** The events that an allowed command brings about. */
export function outcomeOf(
  state: ClusterState,
  resource: ResourceState | undefined,
  command: CommandOf<CommandName>,
  facts: Facts,
): NewEvent[] {
  if (command.command === 'create') return createResource(command, facts);
  if (command.command === 'settings') return changeSettings(command, resource);
  if (command.command === 'alarms-ack') return acknowledgeAlarm(command, facts);
  const noting = noted[command.command] as
    | ((command: CommandOf<CommandName>, facts: Facts) => NewEvent)
    | undefined;
  if (noting) {
    return isKnown(command, resource) ? [] : [noting(command, facts), ...followsAgain(command, resource)];
  }
  const outcome = outcomes[command.command] as Outcome<CommandName> | undefined;
  if (!outcome || !resource) return [];
  return outcome({ state, resource, command, facts });
}

/** A link that is down is told of once, whether its end was noticed or found. */
function isKnown(command: CommandOf<CommandName>, resource: ResourceState | undefined): boolean {
  if (command.command !== 'peer-disconnected' || command.away || command.why === 'unrelated-data')
    return false;
  const mirror = resource?.mirrors[command.target];
  return mirror?.source === command.source && !mirror.connected;
}

/** Whoever follows a source again can tell what became of its own reign (rule 7). */
function followsAgain(command: CommandOf<CommandName>, resource: ResourceState | undefined): NewEvent[] {
  if (command.command !== 'peer-connected' && command.command !== 'resync-started') return [];
  const { source, target } = command;
  if (!resource?.replicas[target]?.dataCorrupt || resource.mirrors[target]?.source !== source) return [];
  return [event('data-corrupt.cleared', resource.tag, { node: target, by: 'taken-over' })];
}
