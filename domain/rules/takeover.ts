import type { CommandOf } from '../commands.ts';
import { candidates, takeoverOrder, whyCannotTakeOver } from '../eligibility.ts';
import { type Facts, isLost, isReachable } from '../facts.ts';
import { type Refusal, refuse } from '../refusals.ts';
import { type ResourceState, reigns, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { noReplica, phaseRefusal, type Rule, type Verdict } from './question.ts';

/** Rules 7 and 24: the source is lost to everybody; and whoever is taking over already is lost too (cascading). */
export const failoverSource: Rule<CommandOf<'failover'>> = ({ resource, facts }) => {
  const candidate = resource.takeover?.candidate ?? resource.confirmation?.candidate;
  if (candidate !== undefined && !isLost(facts, candidate)) return phaseRefusal(resource);
  // Once it is handed over (rule 6, step 4) only the node that it was handed to goes on, or an operator forces.
  if (resource.phase === 'switching-over' && resource.left !== null) return phaseRefusal(resource);
  if (resource.phase === 'out-of-service' || resource.phase === 'blocked') {
    const owner = resource.lastOwner?.node;
    const left = resource.left?.why ?? '';
    const moves = ['local-failure', 'never-served', 'cannot-tell'].includes(left);
    if (resource.phase === 'out-of-service' && !moves) return phaseRefusal(resource);
    if (owner === undefined || isLost(facts, owner) || left === 'local-failure') return undefined;
    return resource.blocked?.code === 'local-recovery-failed'
      ? undefined
      : sourceAlive(resource, owner, facts);
  }
  const source = sourceOf(resource);
  return source === null || isLost(facts, source) ? undefined : sourceAlive(resource, source, facts);
};

export function sourceAlive(resource: ResourceState, source: NodeName, facts: Facts): Refusal {
  const witnesses = isReachable(facts, source) ? [facts.self] : (facts.heardBy?.[source] ?? []);
  const how = source === facts.self ? 'it is this node' : `it is heard by ${witnesses.join(', ')}`;
  return refuse('source-alive', `${source} is the source, and ${how}`, {
    because: [resource.because],
    allowed: [`switchover ${resource.tag} NODE`],
  });
}

export const failoverCandidate: Rule<CommandOf<'failover'>> = ({ resource, command, facts }) => {
  if (command.node !== undefined)
    return noReplica(resource, command.node) ?? whyCannotTakeOver(resource, command.node, facts);
  if (candidates(resource, facts).length > 0) return undefined;
  const order = takeoverOrder(resource);
  const reasons = order
    .map((node) => whyCannotTakeOver(resource, node, facts))
    .filter((refusal) => refusal !== undefined);
  const only = reasons[0];
  if (reasons.length === 1 && only) return only;
  return refuse(
    'no-eligible-target',
    reasons.map(({ message }) => message).join('; ') || `${resource.tag} has no target`,
    {
      because: reasons.flatMap(({ because }) => because),
      allowed: [`start ${resource.lastOwner?.node}`, `force-online ${resource.tag} NODE`],
    },
  );
};

/** Only the best eligible reachable node starts by itself; an operator may name another. */
export const bestCandidate: Rule<CommandOf<'failover'>> = ({ resource, command, facts }) => {
  if (command.actor.via !== 'policy') return undefined;
  const best = candidates(resource, facts)[0];
  return best === facts.self
    ? undefined
    : refuse('no-eligible-target', `${best} takes over before ${facts.self}`, {
        because: [resource.because],
      });
};

/** Whoever promised n neither takes, follows nor promises others any epoch ≤ n; who hears the source says so. */
export const promise: Rule<CommandOf<'promise'>> = ({ resource, command, facts }) => {
  const source = sourceOf(resource);
  if (
    source !== null &&
    source !== command.candidate &&
    source !== facts.self &&
    isReachable(facts, source)
  ) {
    return sourceAlive(resource, source, facts);
  }
  // A reign that has begun is not given away, whether its device answers yet or not.
  if (reigns(resource, facts.self) && command.candidate !== facts.self)
    return sourceAlive(resource, facts.self, facts);
  const given = resource.promises[facts.self];
  if (given && given.epoch >= command.epoch && given.candidate !== command.candidate) {
    return refuse('stale-command', `${facts.self} promised epoch ${given.epoch} to ${given.candidate}`, {
      because: [resource.because],
    });
  }
  if (resource.epoch >= command.epoch) {
    return refuse('stale-command', `epoch ${resource.epoch} is served already`, {
      because: [resource.because],
    });
  }
  return yieldsTo(resource, command.candidate, facts.self);
};

/** A candidate that is not yet in service yields only to a better priority. */
export function yieldsTo(resource: ResourceState, candidate: NodeName, self: NodeName): Verdict {
  const takeover = resource.takeover;
  if (takeover?.candidate !== self || candidate === self) return undefined;
  const mine = resource.replicas[self]?.priority ?? 0;
  const theirs = resource.replicas[candidate]?.priority ?? Number.POSITIVE_INFINITY;
  return theirs < mine
    ? undefined
    : refuse('stale-command', `${self} has the better priority and takes over itself`, {
        because: [resource.because],
      });
}

export const ownTakeover: Rule<CommandOf<'promises-collected'>> = ({ resource, command, facts }) => {
  const { takeover } = resource;
  return takeover?.candidate === facts.self && takeover.epoch === command.epoch
    ? undefined
    : refuse('stale-command', `${facts.self} is not taking over ${resource.tag} at epoch ${command.epoch}`, {
        because: [resource.because],
      });
};

export const waitingCandidate: Rule = ({ resource, facts }) =>
  resource.confirmation === null || resource.confirmation.candidate === facts.self
    ? undefined
    : refuse('stale-command', `${resource.confirmation.candidate} waits, not ${facts.self}`, {
        because: [resource.because],
      });

export const nothingWaits: Rule = ({ resource }) =>
  resource.phase === 'awaiting-confirmation'
    ? undefined
    : refuse('stale-command', `no failover of ${resource.tag} waits for confirmation`, {
        because: [resource.because],
      });

/** Rule 7: whoever promised n takes no epoch ≤ n. */
export const promisedHigher: Rule = ({ resource, facts }) => {
  const given = resource.promises[facts.self];
  const epoch = resource.left?.handedTo?.epoch ?? 0;
  return given && given.epoch >= epoch && given.candidate !== facts.self
    ? refuse('stale-command', `${facts.self} promised epoch ${given.epoch} to ${given.candidate}`, {
        because: [resource.because],
      })
    : undefined;
};
