import { setup } from 'xstate';
import type { Command, CommandName } from './commands.ts';
import { candidates } from './eligibility.ts';
import type { Facts } from './facts.ts';
import { givesWay, isSplit } from './outcomes/conflict.ts';
import { waitOf } from './outcomes/takeover.ts';
import { missingPromises, obstacle } from './promises.ts';
import { refusalOf } from './rules.ts';
import { settingOf } from './settings.ts';
import { type ClusterState, type Phase, type ResourceState, reigns, sourceOf } from './state.ts';

/**
 * Which command may follow in which phase of a resource, and where it leads. It has no timers, actors or effects:
 * it is asked (`can`) when a command is decided, and never runs on replay. An illegal transition returns the same
 * snapshot silently, so `can` is what counts.
 */
export interface MachineContext {
  readonly state: ClusterState;
  readonly resource: ResourceState | undefined;
  readonly facts: Facts;
}

export type MachineEvent = {
  [C in CommandName]: { readonly type: C; readonly command: Command };
}[CommandName];

interface Asked {
  readonly context: MachineContext;
  readonly event: MachineEvent;
}

const allowed = ({ context, event }: Asked) =>
  refusalOf({ ...context, command: event.command }) === undefined;

/** Rule 14: what a failover waits for; undefined where it does not wait. */
function wait({ context, event }: Asked) {
  const { state, resource, facts } = context;
  if (!resource || event.command.command !== 'failover') return undefined;
  const candidate = event.command.node ?? candidates(resource, facts)[0] ?? facts.self;
  const lost = sourceOf(resource) ?? resource.lastOwner?.node ?? candidate;
  return waitOf(state, resource, event.command, lost, candidate);
}

const guards = {
  allowed,
  mustConfirm: (asked: Asked) => allowed(asked) && (wait(asked)?.seconds ?? 0) > 0,
  blocksAtOnce: (asked: Asked) => {
    const waits = wait(asked);
    return allowed(asked) && waits?.seconds === 0 && waits.default === 'block';
  },
  missesPromises: (asked: Asked) =>
    allowed(asked) &&
    asked.context.resource !== undefined &&
    missingPromises(asked.context.resource, asked.context.facts).length > 0,
  staysAway: (asked: Asked) => guards.missesPromises(asked) && !ownReign(asked),
  blocks: (asked: Asked) =>
    allowed(asked) &&
    (asked.event.command.command === 'confirm-failover'
      ? asked.event.command.block
      : asked.context.resource?.confirmation?.default === 'block'),
  allPromised: (asked: Asked) =>
    allowed(asked) &&
    asked.context.resource !== undefined &&
    asked.event.command.command === 'promises-collected' &&
    obstacle(asked.context.resource, asked.event.command, asked.context.facts) === undefined,
  recovered: (asked: Asked) =>
    allowed(asked) &&
    asked.event.command.command === 'local-recovery-ended' &&
    (asked.event.command.ok || !ownReign(asked) || inConflict(asked)),
  blocksResource: (asked: Asked) =>
    allowed(asked) &&
    asked.context.resource !== undefined &&
    settingOf(
      asked.context.state.settings,
      { tag: asked.context.resource.tag, node: asked.context.facts.self },
      'block-resource-failover',
    ) === true,
  isSplit: ({ context, event }: Asked) =>
    allowed({ context, event }) &&
    context.resource !== undefined &&
    event.command.command === 'settle-conflict' &&
    isSplit(context.resource, event.command),
  endsConflict: ({ context, event }: Asked) =>
    allowed({ context, event }) &&
    context.resource?.reigns.length === 2 &&
    event.command.command === 'settle-conflict' &&
    givesWay(context.resource, event.command.wrote, context.facts.self),
  leavesRivals: (asked: Asked) => allowed(asked) && (asked.context.resource?.rivals.length ?? 0) > 1,
  survivorServes: (asked: Asked) => allowed(asked) && survivorOfDeletion(asked) > 0,
  served: (asked: Asked) => allowed(asked) && (asked.context.resource?.reigns.length ?? 0) > 0,
};

/** Reigns of the creation that stays when this node deletes its own. */
function survivorOfDeletion({ context: { resource, facts } }: Asked): number {
  const creations = resource ? [resource, ...resource.rivals] : [];
  return creations.find(({ replicas }) => !replicas[facts.self])?.reigns.length ?? 0;
}

function inConflict({ context }: Asked): boolean {
  return (context.resource?.reigns.length ?? 0) > 1;
}

function ownReign({ context }: Asked): boolean {
  return context.resource !== undefined && reigns(context.resource, context.facts.self);
}

const stay = <P extends Phase | 'absent'>(target: P) => ({ target, guard: 'allowed' }) as const;

/** What leaves the phase as it is, wherever it is allowed at all. */
function noted<P extends Phase>(phase: P) {
  return {
    'local-failure': stay(phase),
    'disk-failed': stay(phase),
    'bitmap-invalidated': stay(phase),
    'link-corruption': stay(phase),
    'generation-started': stay(phase),
    settings: stay(phase),
  } as const;
}

/** A last owner that flags itself while another's takeover is under way changes nothing of that. */
function returnsDuring<P extends Phase>(phase: P) {
  return [{ target: phase, guard: 'staysAway' }, ...returns] as const;
}

const returns = [
  { target: 'out-of-service', guard: 'missesPromises' },
  { target: 'in-service', guard: 'allowed' },
] as const;

const confirmed = [
  { target: 'blocked', guard: 'blocks' },
  { target: 'failing-over', guard: 'allowed' },
] as const;

const failsOver = [
  { target: 'awaiting-confirmation', guard: 'mustConfirm' },
  { target: 'blocked', guard: 'blocksAtOnce' },
  { target: 'failing-over', guard: 'allowed' },
] as const;

function recovery<P extends Phase>(phase: P) {
  return [
    { target: phase, guard: 'recovered' },
    { target: 'blocked', guard: 'blocksResource' },
    { target: 'out-of-service', guard: 'allowed' },
  ] as const;
}

export const resourceMachine = setup({
  types: { context: {} as MachineContext, events: {} as MachineEvent, input: {} as MachineContext },
  guards,
}).createMachine({
  id: 'resource',
  context: ({ input }) => input,
  initial: 'absent',
  states: {
    absent: { on: { create: { target: 'in-service', guard: 'allowed' }, settings: stay('absent') } },
    'in-service': {
      on: {
        ...noted('in-service'),
        extend: stay('in-service'),
        unextend: stay('in-service'),
        pause: stay('in-service'),
        resume: stay('in-service'),
        'full-resync': stay('in-service'),
        verify: stay('in-service'),
        'bitmap-mark-clean': stay('in-service'),
        'bitmap-mark-dirty': stay('in-service'),
        promise: stay('in-service'),
        'auto-pause': stay('in-service'),
        'auto-resume': stay('in-service'),
        served: stay('in-service'),
        'serve-failed': { target: 'out-of-service', guard: 'allowed' },
        switchover: { target: 'switching-over', guard: 'allowed' },
        'in-service': { target: 'switching-over', guard: 'allowed' },
        'out-of-service': { target: 'out-of-service', guard: 'allowed' },
        failover: failsOver,
        'force-online': stay('in-service'),
        return: returns,
        delete: { target: 'deleted', guard: 'allowed' },
        superseded: { target: 'conflicted', guard: 'allowed' },
        'split-brain-seen': { target: 'split-brain', guard: 'allowed' },
        'local-recovery-ended': recovery('in-service'),
      },
    },
    'switching-over': {
      on: {
        ...noted('switching-over'),
        promise: stay('switching-over'),
        'handed-over': stay('switching-over'),
        'switchover-stopped': { target: 'in-service', guard: 'allowed' },
        failover: failsOver,
        'take-handover': { target: 'in-service', guard: 'allowed' },
        return: returns,
        'force-online': { target: 'in-service', guard: 'allowed' },
        superseded: { target: 'conflicted', guard: 'allowed' },
        'local-recovery-ended': recovery('switching-over'),
      },
    },
    'awaiting-confirmation': {
      on: {
        ...noted('awaiting-confirmation'),
        'confirm-failover': confirmed,
        'confirmation-timed-out': confirmed,
        failover: failsOver,
        promise: stay('awaiting-confirmation'),
        'force-online': { target: 'in-service', guard: 'allowed' },
        return: returnsDuring('awaiting-confirmation'),
        superseded: { target: 'conflicted', guard: 'allowed' },
        'local-recovery-ended': recovery('awaiting-confirmation'),
      },
    },
    'failing-over': {
      on: {
        ...noted('failing-over'),
        'promises-collected': [
          { target: 'in-service', guard: 'allPromised' },
          { target: 'in-service', guard: 'served' },
          { target: 'out-of-service', guard: 'allowed' },
        ],
        failover: failsOver,
        promise: stay('failing-over'),
        'force-online': { target: 'in-service', guard: 'allowed' },
        return: returnsDuring('failing-over'),
        superseded: { target: 'conflicted', guard: 'allowed' },
        'local-recovery-ended': recovery('failing-over'),
      },
    },
    blocked: {
      on: {
        ...noted('blocked'),
        failover: failsOver,
        'force-online': { target: 'in-service', guard: 'allowed' },
        return: returnsDuring('blocked'),
        promise: stay('blocked'),
        'out-of-service': { target: 'out-of-service', guard: 'allowed' },
        delete: { target: 'deleted', guard: 'allowed' },
        superseded: { target: 'conflicted', guard: 'allowed' },
        'local-recovery-ended': recovery('blocked'),
      },
    },
    'out-of-service': {
      on: {
        ...noted('out-of-service'),
        'in-service': { target: 'in-service', guard: 'allowed' },
        'force-online': { target: 'in-service', guard: 'allowed' },
        failover: failsOver,
        return: returns,
        promise: stay('out-of-service'),
        unextend: stay('out-of-service'),
        'bitmap-mark-clean': stay('out-of-service'),
        'bitmap-mark-dirty': stay('out-of-service'),
        delete: { target: 'deleted', guard: 'allowed' },
        'split-brain-seen': { target: 'split-brain', guard: 'allowed' },
        'local-recovery-ended': stay('out-of-service'),
      },
    },
    conflicted: {
      on: {
        ...noted('conflicted'),
        'settle-conflict': [
          { target: 'split-brain', guard: 'isSplit' },
          { target: 'in-service', guard: 'endsConflict' },
          { target: 'conflicted', guard: 'allowed' },
        ],
        'split-brain-seen': { target: 'split-brain', guard: 'allowed' },
        superseded: stay('conflicted'),
        served: stay('conflicted'),
        delete: [
          { target: 'conflicted', guard: 'leavesRivals' },
          { target: 'in-service', guard: 'survivorServes' },
          { target: 'out-of-service', guard: 'allowed' },
        ],
        'local-recovery-ended': stay('conflicted'),
      },
    },
    'split-brain': {
      on: {
        ...noted('split-brain'),
        'resolve-split-brain': { target: 'in-service', guard: 'allowed' },
        'out-of-service': { target: 'in-service', guard: 'allowed' },
        'local-recovery-ended': stay('split-brain'),
      },
    },
    deleted: { on: { create: { target: 'in-service', guard: 'allowed' }, settings: stay('deleted') } },
  },
});

/** Whether the machine has a transition for the command in the resource's phase whose guard lets it pass. */
export function machineAllows(context: MachineContext, command: Command): boolean {
  const value = context.resource?.phase ?? 'absent';
  const snapshot = resourceMachine.resolveState({ value, context });
  return snapshot.can({ type: command.command, command } as MachineEvent);
}
