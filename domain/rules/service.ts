import type { CommandOf } from '../commands.ts';
import { whyCannotTakeOver } from '../eligibility.ts';
import { type Facts, isLost, isReachable } from '../facts.ts';
import { missingPromises } from '../promises.ts';
import { type Refusal, refuse } from '../refusals.ts';
import { type ResourceState, reigns, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { noReplica, phaseRefusal, type ResourceQuestion, type Rule, type Verdict } from './question.ts';

export const targetOfSwitchover: Rule<CommandOf<'switchover'> | CommandOf<'in-service'>> = ({
  resource,
  command,
  facts,
}) => (command.node === undefined ? undefined : mayBecomeSource(resource, command.node, facts));

/** A switchover needs the source; without it the way is a failover. */
export const sourceHere: Rule = ({ resource, facts }) => {
  const source = sourceOf(resource);
  return source !== null && !isReachable(facts, source)
    ? refuse('not-in-service', `${source}, the source, has not been heard of`, {
        because: [resource.because],
        allowed: [`failover ${resource.tag}`],
      })
    : undefined;
};

export function mayBecomeSource(resource: ResourceState, node: NodeName, facts: Facts): Verdict {
  const refusal = noReplica(resource, node) ?? whyCannotTakeOver(resource, node, facts);
  if (refusal) return refusal;
  const mirror = resource.mirrors[node];
  return mirror && !mirror.connected
    ? refuse('target-unreachable', `the replication link to ${node} is down`, { because: [mirror.because] })
    : undefined;
}

export const switchoverElsewhere: Rule<CommandOf<'switchover'>> = ({ resource, command }) =>
  reigns(resource, command.node)
    ? refuse('already-in-service', `${resource.tag} is in service on ${command.node}`, {
        because: [resource.because],
      })
    : undefined;

export const inService: Rule<CommandOf<'in-service'>> = (question) => {
  const { resource, command, facts } = question;
  const node = command.node ?? resource.lastOwner?.node ?? facts.self;
  const missing = noReplica(resource, node);
  if (missing) return missing;
  if (resource.phase === 'in-service') {
    if (command.node === undefined || reigns(resource, node)) {
      return refuse('already-in-service', `${resource.tag} is in service on ${sourceOf(resource)}`, {
        because: [resource.because],
      });
    }
    const source = sourceOf(resource);
    if (source !== null && !isReachable(facts, source)) return notLastOwner(resource, node);
    return targetOfSwitchover(question);
  }
  if (node === resource.lastOwner?.node) return mayReturn(question);
  if (!orderlyLeft(resource)) return notLastOwner(resource, node);
  return whyCannotTakeOver(resource, node, facts) ?? promisesRefused(resource, node, facts);
};

/** Rule 7: whoever takes a new epoch has the promise of every reachable node; the last owner is among them, or lost. */
function promisesRefused(resource: ResourceState, node: NodeName, facts: Facts): Verdict {
  const { promises } = facts;
  const owner = resource.lastOwner?.node;
  if (!promises) return undefined;
  const against = promises.answers.find(
    ({ node: asked, answer, highestEpoch }) =>
      (answer !== 'promised' && answer !== 'unreachable') ||
      highestEpoch > promises.epoch ||
      (answer === 'unreachable' && asked === owner && !isLost(facts, asked)),
  );
  if (!against) return undefined;
  return refuse(
    against.answer === 'source-alive' ? 'already-in-service' : 'stale-command',
    `${against.node} did not promise epoch ${promises.epoch} to ${node}: ${against.answer}`,
    { because: [resource.because], allowed: [`in-service ${resource.tag} ${node}, once more`] },
  );
}

export function orderlyLeft(resource: ResourceState): boolean {
  return (
    resource.left === null || ['out-of-service', 'local-failure', 'never-served'].includes(resource.left.why)
  );
}

/** Rule 10: a target that comes up first cannot know what the last owner did after it. */
export function notLastOwner(resource: ResourceState, node: NodeName): Refusal {
  const owner = resource.lastOwner?.node;
  return refuse(
    'not-last-owner',
    `${owner} was; ${resource.tag} waits for it, and then goes in service there by itself`,
    {
      because: [resource.because],
      allowed: [
        `start ${owner}`,
        `failover ${resource.tag} ${node}, where ${node} is in sync`,
        `force-online ${resource.tag} ${node}`,
      ],
    },
  );
}

/** Rule 9: every target has promised the new epoch, or has it on its own stable storage that it is out of sync. */
export const mayReturn = ({ resource, facts }: ResourceQuestion): Verdict => {
  const missing = missingPromises(resource, facts);
  if (missing.length === 0) return undefined;
  const owner = resource.lastOwner?.node;
  return refuse(
    'data-corrupt',
    `${missing.join(' and ')} cannot say whether another took over from ${owner}`,
    {
      because: [resource.because],
      allowed: [`start ${missing.join(' and ')}`, `force-online ${resource.tag} ${owner}`],
    },
  );
};

/** Only the last owner's agent proposes its return, and only while nobody serves or its own reign is what it returns to. */
export const returnOfLastOwner: Rule = ({ resource, facts }) => {
  if (resource.lastOwner?.node !== facts.self) return notLastOwner(resource, facts.self);
  if (resource.left?.why === 'out-of-service') return phaseRefusal(resource);
  const { handedTo } = resource.left ?? { handedTo: null };
  if (handedTo === null) return undefined;
  // Rule 6, after step 4: only if the node to which it was handed says that it has not started and promises not to.
  const answer = facts.promises?.answers.find(({ node }) => node === handedTo.node);
  return answer?.answer === 'promised'
    ? undefined
    : refuse('not-last-owner', `${resource.tag} was handed to ${handedTo.node} at epoch ${handedTo.epoch}`, {
        because: [resource.because],
      });
};

export const otherServes: Rule<CommandOf<'force-online'>> = ({ resource, command, facts }) => {
  const serving = resource.reigns.find(({ node }) => node === command.node || isReachable(facts, node));
  return serving
    ? refuse('already-in-service', `${resource.tag} is in service on ${serving.node}`, {
        because: [resource.because],
        allowed: [`switchover ${resource.tag} ${command.node}`],
      })
    : undefined;
};

/** In a split brain, taking it out of service on one node makes that one the victim, as the guide says. */
export const outOfService: Rule<CommandOf<'out-of-service'>> = ({ resource, command }) => {
  if (resource.phase === 'split-brain' && command.node === undefined) return phaseRefusal(resource);
  const node = command.node ?? sourceOf(resource);
  return node !== null && reigns(resource, node)
    ? undefined
    : refuse('not-in-service', `${resource.tag} is not in service on ${node}`, {
        because: [resource.because],
      });
};

export const handedToSelf: Rule = ({ resource, facts }) =>
  resource.phase === 'switching-over' && resource.left?.handedTo?.node === facts.self
    ? undefined
    : refuse('stale-command', `${resource.tag} was not handed to ${facts.self}`, {
        because: [resource.because],
      });

export const ownReign: Rule<CommandOf<'served'> | CommandOf<'serve-failed'>> = ({
  resource,
  command,
  facts,
}) =>
  resource.reigns.some(({ node, epoch }) => node === facts.self && epoch === command.epoch)
    ? undefined
    : refuse('stale-command', `${facts.self} does not reign at epoch ${command.epoch}`, {
        because: [resource.because],
      });

export const switchingFromSelf: Rule = ({ resource, facts }) =>
  resource.switchover?.from === facts.self && reigns(resource, facts.self)
    ? undefined
    : refuse('stale-command', `${facts.self} is not handing over ${resource.tag}`, {
        because: [resource.because],
      });

/** Exactly one node ends an overtaken command (I11). */
export const owesSettling: Rule<CommandOf<'settle-command'>> = ({ resource, command, facts }) =>
  resource.unsettled[command.settles] === facts.self
    ? undefined
    : refuse('stale-command', `${command.settles} is not ${facts.self}'s to end`, {
        because: [resource.because],
      });
