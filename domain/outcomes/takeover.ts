import { candidates, takeoverOrder } from '../eligibility.ts';
import { event, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';
import { nextEpoch } from '../promises.ts';
import { confirmationSeconds, settingOf } from '../settings.ts';
import { type ClusterState, type ResourceState, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { completed, enter, failedCommand, type Outcome } from './outcome.ts';

export const failover: Outcome<'failover'> = (allowed) => {
  const { state, resource, command, facts } = allowed;
  const candidate = command.node ?? candidates(resource, facts)[0] ?? facts.self;
  const lost = sourceOf(resource) ?? resource.lastOwner?.node ?? candidate;
  const seconds = confirmationSeconds(state.settings, resource.tag, lost, candidate);
  if (seconds === undefined) return [startFailover(resource, lost, candidate, facts)];
  const byDefault =
    settingOf(
      state.settings,
      { tag: resource.tag, node: candidate, peer: lost },
      'confirm-failover-default',
    ) ?? 'proceed';
  if (seconds > 0) {
    return [
      event('failover.confirmation-requested', resource.tag, {
        lost,
        candidate,
        seconds,
        default: byDefault,
      }),
    ];
  }
  return byDefault === 'block'
    ? blocked(state, resource, lost, candidate, command.id)
    : [
        event('failover.confirmed', resource.tag, { lost, candidate, decision: 'proceed' }),
        startFailover(resource, lost, candidate, facts),
      ];
};

export function startFailover(
  resource: ResourceState,
  lost: NodeName,
  candidate: NodeName,
  facts: Facts,
  command?: string | null,
): NewEvent {
  const order = takeoverOrder(resource);
  return event(
    'failover.started',
    resource.tag,
    { lost, candidate, epoch: nextEpoch(resource, facts), order },
    command,
  );
}

export function blocked(
  state: ClusterState,
  resource: ResourceState,
  lost: NodeName,
  candidate: NodeName,
  command: string | null,
): NewEvent[] {
  const text = `the failover of ${resource.tag} from ${lost} to ${candidate} was not confirmed and is blocked`;
  return [
    event(
      'failover.blocked',
      resource.tag,
      { lost, candidate, code: 'failover-not-confirmed', text },
      command,
    ),
    ...failedCommand(state, command, resource, text),
  ];
}

export const confirmFailover: Outcome<'confirm-failover'> = (allowed) => [
  ...decideConfirmation(allowed, allowed.command.block ? 'block' : 'proceed'),
  completed(allowed.command, allowed.resource),
];

export const confirmationTimedOut: Outcome<'confirmation-timed-out'> = (allowed) =>
  decideConfirmation(allowed, allowed.resource.confirmation?.default ?? 'proceed');

export function decideConfirmation(
  { state, resource, facts }: { state: ClusterState; resource: ResourceState; facts: Facts },
  decision: 'proceed' | 'block',
): NewEvent[] {
  const waiting = resource.confirmation;
  if (!waiting) return [];
  const { lost, candidate, command } = waiting;
  const confirmed = event('failover.confirmed', resource.tag, { lost, candidate, decision });
  return decision === 'block'
    ? [confirmed, ...blocked(state, resource, lost, candidate, command)]
    : [confirmed, startFailover(resource, lost, candidate, facts, command)];
}

export const promise: Outcome<'promise'> = ({ resource, command, facts }) => {
  const { candidate, epoch } = command;
  const outOfSync = resource.replicas[facts.self]?.knowsOutOfSync === true;
  return [event('takeover.promised', resource.tag, { by: facts.self, candidate, epoch, outOfSync })];
};

/** All reachable nodes have promised: it enters service. Anything else: it gives way, and says to what. */
export const promisesCollected: Outcome<'promises-collected'> = ({ state, resource, command, facts }) => {
  const takeover = resource.takeover;
  if (!takeover) return [];
  const heard = command.answers.find(({ answer }) => answer === 'source-alive');
  const other = command.answers.find(
    ({ answer, highestEpoch }) =>
      answer === 'promised-other' ||
      answer === 'refused' ||
      (answer === 'promised' && highestEpoch > command.epoch),
  );
  if (!heard && !other) return [enter(resource, facts.self, command.epoch, 'failover')];
  const { lost, candidate } = takeover;
  const code = heard ? 'source-alive' : 'stale-command';
  const text = heard
    ? `${heard.node} still hears ${lost}`
    : `${other?.node} has promised another, or follows a later epoch`;
  return [
    event('failover.blocked', resource.tag, { lost, candidate, code, text }, takeover.command),
    ...failedCommand(state, takeover.command, resource, text),
  ];
};
