import type { CommandOf } from '../commands.ts';
import { candidates, takeoverOrder } from '../eligibility.ts';
import { event, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';
import { nextEpoch, obstacle } from '../promises.ts';
import { confirmation } from '../settings.ts';
import { type ClusterState, type ResourceState, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { type Allowed, abandoned, completed, enter, failed, failedCommand, type Outcome } from './outcome.ts';

export const failover: Outcome<'failover'> = ({ state, resource, command, facts }) => {
  const candidate = command.node ?? candidates(resource, facts)[0] ?? facts.self;
  const lost = sourceOf(resource) ?? resource.lastOwner?.node ?? candidate;
  const given = abandoned(state, resource, facts.self, `${lost} is lost, and ${candidate} takes over`);
  const wait = waitOf(state, resource, command, lost, candidate);
  if (!wait) return [...given, startFailover(resource, lost, candidate, facts)];
  if (wait.seconds > 0) {
    return [...given, event('failover.confirmation-requested', resource.tag, { lost, candidate, ...wait })];
  }
  if (wait.default === 'block') {
    const text = notConfirmed(resource, lost, candidate);
    return [...given, blocked(resource, lost, candidate, text), failed(command, resource, text)];
  }
  return [
    ...given,
    event('failover.confirmed', resource.tag, { lost, candidate, answer: 'proceed' }),
    startFailover(resource, lost, candidate, facts),
  ];
};

/** Rule 14: an operator's own order is a confirmation; only what policy starts waits for one. */
export function waitOf(
  { settings }: ClusterState,
  { tag }: ResourceState,
  { actor }: CommandOf<'failover'>,
  lost: NodeName,
  candidate: NodeName,
) {
  return actor.via === 'policy' ? confirmation(settings, tag, lost, candidate) : undefined;
}

function startFailover(
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

const notConfirmed = (resource: ResourceState, lost: NodeName, candidate: NodeName) =>
  `the failover of ${resource.tag} from ${lost} to ${candidate} was not confirmed and is blocked`;

function blocked(
  resource: ResourceState,
  lost: NodeName,
  candidate: NodeName,
  text: string,
  command?: string | null,
): NewEvent {
  const data = { lost, candidate, code: 'failover-not-confirmed', text };
  return event('failover.blocked', resource.tag, data, command);
}

export const confirmFailover: Outcome<'confirm-failover'> = (allowed) => [
  ...decideConfirmation(allowed, allowed.command.block ? 'block' : 'proceed'),
  completed(allowed.command, allowed.resource),
];

export const confirmationTimedOut: Outcome<'confirmation-timed-out'> = (allowed) =>
  decideConfirmation(allowed, allowed.resource.confirmation?.default ?? 'proceed');

function decideConfirmation(
  { state, resource, facts }: { state: ClusterState; resource: ResourceState; facts: Facts },
  answer: 'proceed' | 'block',
): NewEvent[] {
  const waiting = resource.confirmation;
  if (!waiting) return [];
  const { lost, candidate, command } = waiting;
  const confirmed = event('failover.confirmed', resource.tag, { lost, candidate, answer });
  if (answer === 'proceed') return [confirmed, startFailover(resource, lost, candidate, facts, command)];
  const text = notConfirmed(resource, lost, candidate);
  return [
    confirmed,
    blocked(resource, lost, candidate, text, command),
    ...failedCommand(state, command, resource, text),
  ];
}

/** Said once, whether the agent gave it or its engine did over the link. */
export const promise = ({
  resource,
  command,
  facts,
}: Allowed<'promise'> | Allowed<'promised'>): NewEvent[] => {
  const { candidate, epoch } = command;
  const outOfSync = resource.replicas[facts.self]?.knowsOutOfSync === true;
  const given = resource.promises[facts.self];
  if (given?.candidate === candidate && given.epoch === epoch && given.outOfSync === outOfSync) return [];
  return [event('takeover.promised', resource.tag, { by: facts.self, candidate, epoch, outOfSync })];
};

/** All reachable nodes have promised: it enters service. Anything else: it gives way, and says to what. */
export const promisesCollected: Outcome<'promises-collected'> = ({ state, resource, command, facts }) => {
  const { takeover } = resource;
  if (!takeover) return [];
  const against = obstacle(resource, command, facts);
  if (!against) return [enter(resource, facts.self, command.epoch, 'failover')];
  const { lost, candidate } = takeover;
  return [
    event('failover.blocked', resource.tag, { lost, candidate, ...against }, takeover.command),
    ...failedCommand(state, takeover.command, resource, against.text),
  ];
};
