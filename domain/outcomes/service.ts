import type { CommandOf } from '../commands.ts';
import { type EnteredBecause, event, type Loss, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';
import { lossOf } from '../loss.ts';
import { missingPromises, nextEpoch } from '../promises.ts';
import { type ResourceState, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { abandoned, completed, enter, failedCommand, type Outcome } from './outcome.ts';

export const inService: Outcome<'in-service'> = (allowed) => {
  const { resource, command, facts } = allowed;
  const node = command.node ?? resource.lastOwner?.node ?? facts.self;
  if (resource.phase === 'in-service') return startSwitchover(resource, node, facts);
  return goInService(resource, node, facts, 'in-service');
};

export function goInService(
  resource: ResourceState,
  node: NodeName,
  facts: Facts,
  why: EnteredBecause,
): NewEvent[] {
  const flagged = resource.replicas[node]?.dataCorrupt;
  const epoch = facts.promises?.epoch ?? nextEpoch(resource, facts);
  return [
    ...(flagged
      ? [
          event('data-corrupt.cleared', resource.tag, {
            node,
            by: why === 'forced' ? 'forced' : 'peers-returned',
          } as const),
        ]
      : []),
    enter(resource, node, epoch, why),
  ];
}

export function startSwitchover(resource: ResourceState, to: NodeName, facts: Facts): NewEvent[] {
  const from = sourceOf(resource) ?? facts.self;
  return [event('switchover.started', resource.tag, { from, to, epoch: nextEpoch(resource, facts) })];
}

export const switchover: Outcome<'switchover'> = ({ resource, command, facts }) =>
  startSwitchover(resource, command.node, facts);

export const outOfService: Outcome<'out-of-service'> = (allowed) => {
  const { state, resource, command, facts } = allowed;
  if (resource.phase === 'split-brain' && command.node !== undefined)
    return resolve(resource, command.node, facts, command);
  const reign = resource.reigns.find(({ node }) => node === (command.node ?? sourceOf(resource)));
  if (!reign) return [];
  return [
    ...abandoned(state, resource, facts.self, `${resource.tag} was taken out of service`),
    event('resource.left-service', resource.tag, {
      node: reign.node,
      epoch: reign.epoch,
      why: 'out-of-service',
      handedTo: null,
    }),
    completed(command, resource),
  ];
};

export const forceOnline: Outcome<'force-online'> = ({ state, resource, command, facts }) => {
  const { node } = command;
  const epoch = nextEpoch(resource, facts);
  const lost = lossOf(resource, command, facts) ?? {
    text: 'nothing is known to be lost',
    writes: null,
    bytes: null,
    since: null,
  };
  return [
    ...abandoned(state, resource, facts.self, `${node} was forced online`),
    event('resource.forced-online', resource.tag, { node, epoch, lost }),
    ...(resource.replicas[node]?.dataCorrupt
      ? [event('data-corrupt.cleared', resource.tag, { node, by: 'forced' })]
      : []),
    enter(resource, node, epoch, 'forced'),
  ];
};

export const resolveSplitBrain: Outcome<'resolve-split-brain'> = ({ resource, command, facts }) =>
  resolve(resource, command.victim, facts, command);

export function resolve(
  resource: ResourceState,
  victim: NodeName,
  facts: Facts,
  command: CommandOf<'resolve-split-brain'> | CommandOf<'out-of-service'>,
): NewEvent[] {
  const survivor = resource.reigns.find(({ node }) => node !== victim)?.node ?? facts.self;
  const lost: Loss = lossOf(resource, command, facts) ?? { text: '', writes: null, bytes: null, since: null };
  return [
    event('split-brain.resolved', resource.tag, { victim, survivor, lost }),
    completed(command, resource),
  ];
}

/** Rule 9: it serves with a new epoch, or flags itself and stays out of service. */
export const returnToService: Outcome<'return'> = ({ state, resource, facts }) => {
  const { self } = facts;
  const missing = missingPromises(resource, facts);
  if (missing.length === 0) {
    const why = `${self} went in service again`;
    return [
      ...abandoned(state, resource, facts.self, why),
      ...goInService(resource, self, facts, 'returned'),
    ];
  }
  const reign = resource.reigns.find(({ node }) => node === self);
  const isTakenOver = hearsAnotherSource(facts);
  return [
    ...abandoned(
      state,
      resource,
      facts.self,
      isTakenOver
        ? `another node took over from ${self}`
        : `${self} left service and cannot tell whether another took over`,
    ),
    // Who is told that another serves can tell (rule 7): it only has not read that history yet.
    ...(resource.replicas[self]?.dataCorrupt || isTakenOver
      ? []
      : [event('data-corrupt.flagged', resource.tag, { node: self, missing })]),
    ...(reign
      ? [
          event('resource.left-service', resource.tag, {
            node: self,
            epoch: reign.epoch,
            why: isTakenOver ? 'taken-over' : 'cannot-tell',
            handedTo: null,
          }),
        ]
      : []),
  ];
};

const hearsAnotherSource = ({ promises }: Facts) =>
  promises?.answers.some(({ answer }) => answer === 'source-alive') === true;

export const handedOver: Outcome<'handed-over'> = ({ resource, command, facts }) => {
  const reign = resource.reigns.find(({ node }) => node === facts.self);
  if (!reign) return [];
  const handedTo = { node: command.to, epoch: command.epoch };
  return [
    event('resource.left-service', resource.tag, {
      node: facts.self,
      epoch: reign.epoch,
      why: 'switchover',
      handedTo,
    }),
  ];
};

export const switchoverStopped: Outcome<'switchover-stopped'> = ({ resource, command, state }) => {
  const plan = resource.switchover;
  if (!plan) return [];
  const { from, to, epoch } = plan;
  return [
    event('switchover.failed', resource.tag, { from, to, epoch, step: command.step, why: command.why }),
    ...failedCommand(state, plan.command, resource, command.why),
  ];
};

export const takeHandover: Outcome<'take-handover'> = ({ resource, facts }) => {
  const handed = resource.left?.handedTo;
  return handed ? [enter(resource, facts.self, handed.epoch, 'switchover')] : [];
};
