import type { Command, CommandName, CommandOf } from './commands.ts';
import { isOperatorCommand } from './commands.ts';
import { candidates, takeoverOrder, whyCannotTakeOver } from './eligibility.ts';
import { type Facts, isLost, isReachable } from './facts.ts';
import { type Refusal, refuse } from './refusals.ts';
import { settingOf, settingSchemas } from './settings.ts';
import {
  type ClusterState,
  highestEpoch,
  type MirrorState,
  type Phase,
  type ResourceState,
  reigns,
  replicaNodes,
  sourceOf,
} from './state.ts';
import { type NodeName, targetsMax } from './vocabulary.ts';

/**
 * The rules of REQUIREMENTS 3, each one function: it returns the refusal, or undefined where it has nothing against
 * the command. The machines use them as guards, `decide` returns what they say.
 */
export interface Question<C extends Command = Command> {
  readonly state: ClusterState;
  /** Undefined where the tag is unknown or deleted. */
  readonly resource: ResourceState | undefined;
  readonly command: C;
  readonly facts: Facts;
}

/** A question about a resource that exists. */
export interface ResourceQuestion<C extends Command = Command> extends Question<C> {
  readonly resource: ResourceState;
}

type Verdict = Refusal | undefined;
type Rule<C extends Command = Command> = (question: ResourceQuestion<C>) => Verdict;

// Every command

const journalDamaged = ({ facts }: Question): Verdict =>
  facts.journalDamaged
    ? refuse('journal-damaged', `${facts.self} decides nothing until its journal is repaired`)
    : undefined;

/** Rule 22: an id means one command for ever. */
const commandIdReused = ({ state, command }: Question): Verdict => {
  const known = state.commands[command.id];
  if (!known || known.digest === command.digest) return undefined;
  return refuse('command-id-reused', `${command.id} was another command, which is ${known.outcome}`, {
    allowed: ['the same command with a new id'],
  });
};

/** Rule 22: a command that comes too late does nothing. */
const pastDeadline = ({ command, facts }: Question): Verdict =>
  command.deadline !== undefined && command.deadline < facts.now
    ? refuse('stale-command', `its deadline passed ${facts.now - command.deadline} ms ago`)
    : undefined;

const unknownEvent: Rule = ({ resource, command }) =>
  resource.unknownEvent !== null && isOperatorCommand(command.command)
    ? refuse('unknown-event', `${resource.tag} holds ${resource.unknownEvent}`, {
        because: [resource.unknownEvent],
        allowed: ['upgrade this node'],
      })
    : undefined;

function unknownNode(state: ClusterState, node: NodeName): Verdict {
  if (state.nodes[node]) return undefined;
  return refuse('unknown-node', `${node}; known are ${Object.keys(state.nodes).sort().join(', ') || 'none'}`);
}

function noReplica(resource: ResourceState, node: NodeName): Verdict {
  if (resource.replicas[node]) return undefined;
  return refuse(
    'unknown-node',
    `${node} has no replica of ${resource.tag}; ${replicaNodes(resource).join(', ')} have`,
  );
}

// Phases

/** Two creations of one tag (rule 1) stand in the way of everything but the deletion of one. */
const rivalCreations: Rule = ({ resource, command }) =>
  resource.rivals.length > 0 && isOperatorCommand(command.command) && command.command !== 'delete'
    ? refuse(
        'tag-exists',
        `${resource.tag} was created ${resource.rivals.length + 1} times by nodes that did not see each other`,
        {
          because: [resource.id, ...resource.rivals.map(({ id }) => id)],
          allowed: [`delete ${resource.tag}, on the node whose creation is to go`],
        },
      )
    : undefined;

/** What stands in the way where the phase does not allow the command at all. */
function phaseRefusal(resource: ResourceState): Refusal {
  const { tag, because } = resource;
  switch (resource.phase) {
    case 'deleted':
      return refuse('unknown-tag', tag, { because: [because] });
    case 'out-of-service':
      return refuse('not-in-service', `${tag} is out of service`, {
        because: [because],
        allowed: [`in-service ${tag}`],
      });
    case 'in-service':
      return refuse('already-in-service', `${tag} is in service on ${sourceOf(resource)}`, {
        because: [because],
      });
    case 'switching-over':
      return refuse('stale-command', `${tag} is being switched over to ${resource.switchover?.to}`, {
        because: [because],
      });
    case 'awaiting-confirmation':
      return refuse(
        'failover-not-confirmed',
        `the failover of ${tag} to ${resource.confirmation?.candidate} waits`,
        {
          because: [because],
          allowed: [`confirm-failover ${tag}`, `confirm-failover ${tag} --block`],
        },
      );
    case 'failing-over':
      return refuse('not-in-service', `${tag} is failing over to ${resource.takeover?.candidate}`, {
        because: [because],
      });
    case 'blocked':
      return refuse(
        resource.blocked?.code === 'local-recovery-failed'
          ? 'local-recovery-failed'
          : 'failover-not-confirmed',
        resource.blocked?.text ?? tag,
        { because: [because], allowed: [`failover ${tag} NODE`, `force-online ${tag} NODE`] },
      );
    case 'conflicted':
    case 'split-brain':
      return refuse(
        'split-brain',
        `${tag} is in service on ${resource.reigns.map(({ node }) => node).join(' and ')}`,
        {
          because: [because],
          allowed: [`resolve-split-brain ${tag} --victim NODE`],
        },
      );
    default:
      return resource.phase satisfies never;
  }
}

const inPhases =
  (...allowed: Phase[]): Rule =>
  ({ resource }) =>
    allowed.includes(resource.phase) ? undefined : phaseRefusal(resource);

/** Extending, pausing and the like are the source's business. */
const inServiceHere: Rule = ({ resource }) =>
  resource.phase === 'in-service'
    ? undefined
    : resource.phase === 'out-of-service'
      ? refuse('not-in-service', `${resource.tag} is out of service`, {
          because: [resource.because],
          allowed: [`in-service ${resource.tag}`],
        })
      : phaseRefusal(resource);

// Rule 1

const tagExists = ({ resource, command }: Question): Verdict =>
  resource && resource.phase !== 'deleted'
    ? refuse('tag-exists', `${resource.tag} (command ${command.id} wanted to create it)`, {
        because: [resource.id],
      })
    : undefined;

type WithPaths = CommandOf<'create'> | CommandOf<'extend'>;

const pathMissing = ({ command, facts }: Question<WithPaths>): Verdict => {
  const missing = command.volumes.find(({ path }) => facts.paths?.[path]?.exists !== true);
  return missing ? refuse('path-missing', `${missing.path} on ${command.node}`) : undefined;
};

/** `existing-filesystem` names its own mounted path, which is unmounted, mirrored and remounted. */
const pathInUse = ({ command, facts }: Question<WithPaths>): Verdict => {
  const named = command.volumes.map(({ path }) => path);
  const twice = named.find((path, index) => named.indexOf(path) !== index);
  if (twice) return refuse('path-in-use', `${twice} is named twice`);
  const existing = command.command === 'create' && command.content === 'existing-filesystem';
  for (const path of named) {
    const fact = facts.paths?.[path];
    if (!fact?.usedBy) continue;
    if (existing && fact.mountedAt && fact.usedBy === 'mounted') continue;
    return refuse('path-in-use', `${path} on ${command.node}: ${fact.usedBy}`, {
      allowed: ['a path that nothing else uses'],
    });
  }
  return undefined;
};

// Rule 2

const alreadyExtended: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  resource.replicas[command.node]
    ? refuse(
        'already-extended',
        `${command.node} has one since ${resource.replicas[command.node]?.because}`,
        {
          because: [resource.replicas[command.node]?.because],
        },
      )
    : undefined;

const volumeCountMismatch: Rule<CommandOf<'extend'>> = ({ resource, command }) => {
  const names = sourceVolumes(resource).map(({ name }) => name);
  const asked = command.volumes.map(({ name }) => name);
  if (asked.length === names.length && names.every((name) => asked.includes(name))) return undefined;
  return refuse(
    'volume-count-mismatch',
    `${resource.tag} has ${names.join(', ')}, named were ${asked.join(', ')}`,
    {
      allowed: [`one path for each of ${names.join(', ')}`],
    },
  );
};

const targetTooSmall: Rule<CommandOf<'extend'>> = ({ resource, command, facts }) => {
  for (const volume of sourceVolumes(resource)) {
    const path = command.volumes.find(({ name }) => name === volume.name)?.path;
    const size = path === undefined ? 0 : (facts.paths?.[path]?.byteSize ?? 0);
    if (size < volume.byteSize) {
      return refuse('target-too-small', `${path} has ${size} bytes, ${volume.name} has ${volume.byteSize}`);
    }
  }
  return undefined;
};

const tooManyTargets: Rule = ({ resource }) =>
  replicaNodes(resource).length > targetsMax
    ? refuse('too-many-targets', `${resource.tag} has ${replicaNodes(resource).length - 1}`)
    : undefined;

const priorityTaken: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  priorityOfOther(resource, command.node, command.priority);

function priorityOfOther(resource: ResourceState, node: NodeName, priority: number | undefined): Verdict {
  const other = Object.values(resource.replicas).find(
    (replica) => replica.node !== node && replica.priority === priority,
  );
  return other && priority !== undefined
    ? refuse('priority-taken', `${other.node} has priority ${priority}`, { because: [other.because] })
    : undefined;
}

const asyncNotEnabled: Rule<CommandOf<'extend'>> = ({ resource, command }) =>
  !resource.allowAsync && [command.mode, ...Object.values(command.pair)].includes('async')
    ? refuse('async-not-enabled', `${resource.tag} was created without --allow-async`, {
        allowed: [`settings --tag ${resource.tag} allow-async on`, '--mode sync'],
      })
    : undefined;

/** The named node has to say what its paths are and where its replica will be reached. */
const targetAnswers = ({ command, facts }: Question<WithPaths>): Verdict =>
  facts.replication && facts.paths
    ? undefined
    : refuse('target-unreachable', `${command.node} did not answer`);

const noBaseline: Rule<CommandOf<'extend'>> = ({ resource, command }) => {
  const source = sourceOf(resource);
  if (command.fullSync || (source !== null && resource.replicas[source]?.baseline)) return undefined;
  return refuse('no-baseline', `changes of ${resource.tag} are not tracked on ${source}`, {
    allowed: [`bitmap mark-clean ${resource.tag} ${source}, then copy, then extend --no-full-sync`],
  });
};

function sourceVolumes(resource: ResourceState) {
  const node = sourceOf(resource) ?? resource.lastOwner?.node ?? Object.keys(resource.replicas)[0];
  return (node === undefined ? undefined : resource.replicas[node]?.volumes) ?? [];
}

// Rule 3

const nodeIsSource: Rule<CommandOf<'unextend'>> = ({ resource, command }) =>
  reigns(resource, command.node)
    ? refuse('node-is-source', `${resource.tag} is in service on ${command.node}`, {
        because: [resource.because],
        allowed: [`switchover ${resource.tag} NODE first`, `delete ${resource.tag}`],
      })
    : undefined;

const deviceInUse: Rule = ({ resource, facts }) =>
  facts.deviceInUse
    ? refuse('device-in-use', `${resource.tag} on ${facts.self}: ${facts.deviceInUse}`)
    : undefined;

// Rules 4 to 6

const targetOfSwitchover: Rule<CommandOf<'switchover'> | CommandOf<'in-service'>> = ({
  resource,
  command,
  facts,
}) => (command.node === undefined ? undefined : mayBecomeSource(resource, command.node, facts));

/** A switchover needs the source; without it the way is a failover. */
const sourceHere: Rule = ({ resource, facts }) => {
  const source = sourceOf(resource);
  return source !== null && !isReachable(facts, source)
    ? refuse('not-in-service', `${source}, the source, has not been heard of`, {
        because: [resource.because],
        allowed: [`failover ${resource.tag}`],
      })
    : undefined;
};

function mayBecomeSource(resource: ResourceState, node: NodeName, facts: Facts): Verdict {
  const refusal = noReplica(resource, node) ?? whyCannotTakeOver(resource, node, facts);
  if (refusal) return refusal;
  const mirror = resource.mirrors[node];
  return mirror && !mirror.connected
    ? refuse('target-unreachable', `the replication link to ${node} is down`, { because: [mirror.because] })
    : undefined;
}

const switchoverElsewhere: Rule<CommandOf<'switchover'>> = ({ resource, command }) =>
  reigns(resource, command.node)
    ? refuse('already-in-service', `${resource.tag} is in service on ${command.node}`, {
        because: [resource.because],
      })
    : undefined;

// Rules 5, 9 and 10: going in service while nobody serves; on a target of a serving resource it is a switchover

const inService: Rule<CommandOf<'in-service'>> = (question) => {
  const { resource, command, facts } = question;
  const node = command.node ?? resource.lastOwner?.node;
  if (node === undefined) return undefined;
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
  return orderlyLeft(resource) ? whyCannotTakeOver(resource, node, facts) : notLastOwner(resource, node);
};

function orderlyLeft(resource: ResourceState): boolean {
  return (
    resource.left === null || resource.left.why === 'out-of-service' || resource.left.why === 'local-failure'
  );
}

/** Rule 10: a target that comes up first cannot know what the last owner did after it. */
function notLastOwner(resource: ResourceState, node: NodeName): Refusal {
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
const mayReturn = ({ resource, facts }: ResourceQuestion): Verdict => {
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

/** The targets whose word a returning last owner lacks. */
export function missingPromises(resource: ResourceState, facts: Facts): NodeName[] {
  const asked = facts.promises;
  return replicaNodes(resource).filter((node) => {
    if (node === resource.lastOwner?.node) return false;
    if (resource.replicas[node]?.knowsOutOfSync) return false;
    const answer = asked?.answers.find((candidate) => candidate.node === node);
    return !(
      answer &&
      asked &&
      (answer.outOfSync || (answer.answer === 'promised' && answer.highestEpoch <= asked.epoch))
    );
  });
}

/** Only the last owner's agent proposes its return, and only while nobody serves or its own reign is what it returns to. */
const returnOfLastOwner: Rule = ({ resource, facts }) => {
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

// Rules 7 and 8

const failoverSource: Rule<CommandOf<'failover'>> = ({ resource, facts }) => {
  if (resource.phase === 'out-of-service' || resource.phase === 'blocked') {
    const owner = resource.lastOwner?.node;
    const left = resource.left?.why;
    if (resource.phase === 'out-of-service' && left !== 'local-failure' && left !== 'cannot-tell')
      return phaseRefusal(resource);
    if (owner === undefined || isLost(facts, owner) || left === 'local-failure') return undefined;
    return resource.blocked?.code === 'local-recovery-failed'
      ? undefined
      : sourceAlive(resource, owner, facts);
  }
  const source = sourceOf(resource);
  return source === null || isLost(facts, source) ? undefined : sourceAlive(resource, source, facts);
};

function sourceAlive(resource: ResourceState, source: NodeName, facts: Facts): Refusal {
  const witnesses = isReachable(facts, source) ? [facts.self] : (facts.heardBy?.[source] ?? []);
  return refuse('source-alive', `${source} is heard by ${witnesses.join(', ')}`, {
    because: [resource.because],
    allowed: [`switchover ${resource.tag} NODE`],
  });
}

const failoverCandidate: Rule<CommandOf<'failover'>> = ({ resource, command, facts }) => {
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
const bestCandidate: Rule<CommandOf<'failover'>> = ({ resource, command, facts }) => {
  if (command.actor.via !== 'policy') return undefined;
  const best = candidates(resource, facts)[0];
  return best === facts.self
    ? undefined
    : refuse('no-eligible-target', `${best} takes over before ${facts.self}`, {
        because: [resource.because],
      });
};

/** Whoever promised n neither takes, follows nor promises others any epoch ≤ n; who hears the source says so. */
const promise: Rule<CommandOf<'promise'>> = ({ resource, command, facts }) => {
  const source = sourceOf(resource);
  if (
    source !== null &&
    source !== command.candidate &&
    source !== facts.self &&
    isReachable(facts, source)
  ) {
    return sourceAlive(resource, source, facts);
  }
  if (facts.serving && source === facts.self && command.candidate !== facts.self)
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
function yieldsTo(resource: ResourceState, candidate: NodeName, self: NodeName): Verdict {
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

const ownTakeover: Rule<CommandOf<'promises-collected'>> = ({ resource, command, facts }) => {
  const { takeover } = resource;
  return takeover?.candidate === facts.self && takeover.epoch === command.epoch
    ? undefined
    : refuse('stale-command', `${facts.self} is not taking over ${resource.tag} at epoch ${command.epoch}`, {
        because: [resource.because],
      });
};

// Rule 11

const otherServes: Rule<CommandOf<'force-online'>> = ({ resource, command, facts }) => {
  const serving = resource.reigns.find(({ node }) => node === command.node || isReachable(facts, node));
  return serving
    ? refuse('already-in-service', `${resource.tag} is in service on ${serving.node}`, {
        because: [resource.because],
        allowed: [`switchover ${resource.tag} ${command.node}`],
      })
    : undefined;
};

// Rule 12

const splitBrain: Rule<CommandOf<'resolve-split-brain'>> = ({ resource, command }) => {
  if (resource.phase !== 'split-brain') {
    return refuse('no-split-brain', `${resource.tag} is ${resource.phase}`, { because: [resource.because] });
  }
  return reigns(resource, command.victim)
    ? undefined
    : refuse(
        'no-split-brain',
        `${command.victim} is not one of ${resource.reigns.map(({ node }) => node).join(', ')}`,
        {
          because: [resource.because],
        },
      );
};

/** In a split brain, taking it out of service on one node makes that one the victim, as the guide says. */
const outOfService: Rule<CommandOf<'out-of-service'>> = ({ resource, command }) => {
  if (resource.phase === 'split-brain' && command.node === undefined) return phaseRefusal(resource);
  const node = command.node ?? sourceOf(resource);
  return node !== null && reigns(resource, node)
    ? undefined
    : refuse('not-in-service', `${resource.tag} is not in service on ${node}`, {
        because: [resource.because],
      });
};

// Rule 13

const unrelatedData: Rule<CommandOf<'resume'>> = ({ resource, command, facts }) => {
  const unrelated = targetsOf(resource, command.targets).find(
    ({ target, unrelated }) => unrelated || facts.replicas?.[target]?.related === false,
  );
  return unrelated
    ? refuse('unrelated-data', `${unrelated.target} and ${unrelated.source}`, {
        because: [unrelated.because],
        allowed: [`full-resync ${resource.tag} ${unrelated.target}`],
      })
    : undefined;
};

// Rule 14

/** Seconds that a failover from `lost` to `taker` waits; undefined where it does not. */
export function confirmationSeconds(
  state: ClusterState,
  resource: ResourceState,
  lost: NodeName,
  taker: NodeName,
): number | undefined {
  const value = settingOf(state.settings, { tag: resource.tag, node: taker, peer: lost }, 'confirm-failover');
  return typeof value === 'number' ? value : undefined;
}

const waitingCandidate: Rule = ({ resource, facts }) =>
  resource.confirmation === null || resource.confirmation.candidate === facts.self
    ? undefined
    : refuse('stale-command', `${resource.confirmation.candidate} waits, not ${facts.self}`, {
        because: [resource.because],
      });

const nothingWaits: Rule = ({ resource }) =>
  resource.phase === 'awaiting-confirmation'
    ? undefined
    : refuse('stale-command', `no failover of ${resource.tag} waits for confirmation`, {
        because: [resource.because],
      });

// Rule 17

function targetsOf(resource: ResourceState, targets: readonly NodeName[] | undefined): MirrorState[] {
  const mirrors = Object.values(resource.mirrors);
  return targets && targets.length > 0 ? mirrors.filter(({ target }) => targets.includes(target)) : mirrors;
}

type OnTargets = CommandOf<'pause'> | CommandOf<'resume'> | CommandOf<'full-resync'>;

const knownTargets: Rule<OnTargets> = ({ resource, command }) => {
  const unknown = (command.targets ?? []).find((target) => !resource.mirrors[target]);
  if (unknown !== undefined) {
    return refuse(
      'unknown-node',
      `${unknown} is not a target of ${resource.tag}; ${Object.keys(resource.mirrors).join(', ') || 'none'} is`,
    );
  }
  return Object.keys(resource.mirrors).length > 0
    ? undefined
    : refuse('unknown-node', `${resource.tag} has no target`);
};

const alreadyPaused: Rule<CommandOf<'pause'>> = ({ resource, command }) => {
  const paused = targetsOf(resource, command.targets).find((mirror) => mirror.paused !== null);
  return paused
    ? refuse('already-paused', `${paused.target}, ${paused.paused?.reason}`, {
        because: [paused.because],
        allowed: [`resume ${resource.tag} ${paused.target}`],
      })
    : undefined;
};

const notPaused: Rule<CommandOf<'resume'>> = ({ resource, command }) => {
  const running = targetsOf(resource, command.targets).find((mirror) => mirror.paused === null);
  return running
    ? refuse('not-paused', `${running.target} is ${running.status}`, { because: [running.because] })
    : undefined;
};

// Rule 18

const mirrorOfPair: Rule<CommandOf<'auto-pause'> | CommandOf<'auto-resume'>> = ({ resource, command }) => {
  const mirror = resource.mirrors[command.target];
  return mirror?.source === command.source
    ? undefined
    : refuse('stale-command', `${command.source} is not the source of ${command.target}`, {
        because: [resource.because],
      });
};

const autoPause: Rule<CommandOf<'auto-pause'>> = ({ state, resource, command }) => {
  const mirror = resource.mirrors[command.target];
  if (mirror?.paused) return refuse('already-paused', command.target, { because: [mirror.because] });
  const setting = settingOf(
    state.settings,
    { tag: resource.tag, node: command.source, peer: command.target },
    'auto-pause',
  );
  return setting === 'off' || !mirror?.congested
    ? refuse('stale-command', `${command.target} is not to be paused by policy`, {
        because: [resource.because],
      })
    : undefined;
};

/** What an operator paused, an operator resumes. */
const autoResume: Rule<CommandOf<'auto-resume'>> = ({ resource, command }) => {
  const mirror = resource.mirrors[command.target];
  return mirror?.paused?.by === 'policy'
    ? undefined
    : refuse('not-paused', `${command.target} was not paused by policy`, { because: [mirror?.because] });
};

// Settings

const settings = ({ state, resource, command }: Question<CommandOf<'settings'>>): Verdict => {
  if (command.tag !== undefined && !resource) return refuse('unknown-tag', command.tag);
  const parsed = settingSchemas[command.key].safeParse(command.value);
  if (!parsed.success)
    return refuse('invalid-request', `${command.key}: ${parsed.error.issues[0]?.message ?? 'no such value'}`);
  for (const node of [command.node, command.peer]) {
    const refusal =
      node === undefined
        ? undefined
        : (unknownNode(state, node) ?? (resource ? noReplica(resource, node) : undefined));
    if (refusal) return refusal;
  }
  if (!resource) return undefined;
  if (command.key === 'mode' && command.value === 'async' && !resource.allowAsync) {
    return refuse('async-not-enabled', `${resource.tag} does not allow it`, {
      allowed: [`settings --tag ${resource.tag} allow-async on`],
    });
  }
  if (command.key === 'priority' && command.node !== undefined)
    return priorityOfOther(resource, command.node, command.value as number);
  return undefined;
};

// Handing over, and what follows

const handedToSelf: Rule = ({ resource, facts }) =>
  resource.phase === 'switching-over' && resource.left?.handedTo?.node === facts.self
    ? undefined
    : refuse('stale-command', `${resource.tag} was not handed to ${facts.self}`, {
        because: [resource.because],
      });

/** Rule 7: whoever promised n takes no epoch ≤ n. */
const promisedHigher: Rule = ({ resource, facts }) => {
  const given = resource.promises[facts.self];
  const epoch = resource.left?.handedTo?.epoch ?? 0;
  return given && given.epoch >= epoch && given.candidate !== facts.self
    ? refuse('stale-command', `${facts.self} promised epoch ${given.epoch} to ${given.candidate}`, {
        because: [resource.because],
      })
    : undefined;
};

const ownReign: Rule<CommandOf<'served'> | CommandOf<'serve-failed'>> = ({ resource, command, facts }) =>
  resource.reigns.some(({ node, epoch }) => node === facts.self && epoch === command.epoch)
    ? undefined
    : refuse('stale-command', `${facts.self} does not reign at epoch ${command.epoch}`, {
        because: [resource.because],
      });

const switchingFromSelf: Rule = ({ resource, facts }) =>
  resource.switchover?.from === facts.self && reigns(resource, facts.self)
    ? undefined
    : refuse('stale-command', `${facts.self} is not handing over ${resource.tag}`, {
        because: [resource.because],
      });

const supersededSelf: Rule = ({ resource, facts }) =>
  facts.serving &&
  !reigns(resource, facts.self) &&
  facts.serving.epoch > (resource.replicas[facts.self]?.leftEpoch ?? 0) &&
  resource.replicas[facts.self]?.victimOf == null
    ? undefined
    : refuse('stale-command', `${facts.self} is not superseded`, { because: [resource.because] });

const onReplica: Rule<CommandOf<'bitmap-mark-clean'> | CommandOf<'bitmap-mark-dirty'>> = ({
  resource,
  command,
}) =>
  noReplica(resource, command.node) ??
  (command.peer === undefined ? undefined : noReplica(resource, command.peer));

const replicaOfNode: Rule<{ node: NodeName } & Command> = ({ resource, command }) =>
  noReplica(resource, command.node);

const selfHasReplica: Rule = ({ resource, facts }) => noReplica(resource, facts.self);

type RulesByCommand = { readonly [C in CommandName]?: readonly Rule<CommandOf<C>>[] };

/** The rules of each command about a resource, in the order in which they speak. */
const rulesOf: RulesByCommand = {
  extend: [
    inServiceHere,
    alreadyExtended,
    targetAnswers,
    volumeCountMismatch,
    pathMissing,
    pathInUse,
    targetTooSmall,
    tooManyTargets,
    priorityTaken,
    asyncNotEnabled,
    noBaseline,
  ],
  unextend: [
    inPhases('in-service', 'out-of-service'),
    replicaOfNode as Rule<CommandOf<'unextend'>>,
    nodeIsSource,
  ],
  delete: [inPhases('in-service', 'out-of-service', 'blocked', 'conflicted'), deletableConflict, deviceInUse],
  'in-service': [inPhases('in-service', 'out-of-service'), inService],
  'out-of-service': [inPhases('in-service', 'split-brain', 'blocked'), outOfService, deviceInUse],
  switchover: [
    inServiceHere,
    replicaOfNode as Rule<CommandOf<'switchover'>>,
    switchoverElsewhere,
    sourceHere,
    targetOfSwitchover,
    deviceInUse,
  ],
  failover: [
    inPhases('in-service', 'out-of-service', 'blocked'),
    failoverSource,
    failoverCandidate,
    bestCandidate,
  ],
  'confirm-failover': [nothingWaits, waitingCandidate],
  'confirmation-timed-out': [nothingWaits, waitingCandidate],
  'force-online': [
    inPhases(
      'in-service',
      'out-of-service',
      'blocked',
      'awaiting-confirmation',
      'failing-over',
      'switching-over',
    ),
    replicaOfNode as Rule<CommandOf<'force-online'>>,
    otherServes,
  ],
  'resolve-split-brain': [splitBrain],
  pause: [inServiceHere, knownTargets, alreadyPaused],
  resume: [inServiceHere, knownTargets, notPaused, unrelatedData],
  'full-resync': [inServiceHere, knownTargets],
  'bitmap-mark-clean': [inPhases('in-service', 'out-of-service'), onReplica],
  'bitmap-mark-dirty': [inPhases('in-service', 'out-of-service'), onReplica],
  promise: [
    inPhases(
      'in-service',
      'out-of-service',
      'awaiting-confirmation',
      'failing-over',
      'blocked',
      'switching-over',
    ),
    selfHasReplica,
    promise,
  ],
  'promises-collected': [inPhases('failing-over'), ownTakeover],
  'take-handover': [handedToSelf, promisedHigher],
  return: [
    inPhases(
      'in-service',
      'out-of-service',
      'blocked',
      'awaiting-confirmation',
      'failing-over',
      'switching-over',
    ),
    returnOfLastOwner,
  ],
  'settle-conflict': [inPhases('conflicted')],
  'auto-pause': [inServiceHere, mirrorOfPair, autoPause],
  'auto-resume': [inServiceHere, mirrorOfPair, autoResume],
  'handed-over': [inPhases('switching-over'), switchingFromSelf],
  'switchover-stopped': [inPhases('switching-over'), switchingFromSelf],
  served: [inPhases('in-service'), ownReign],
  'serve-failed': [inPhases('in-service'), ownReign],
  superseded: [supersededSelf],
  'split-brain-seen': [inPhases('in-service', 'conflicted', 'out-of-service')],
  'local-failure': [selfHasReplica],
  'local-recovery-ended': [selfHasReplica],
  'disk-failed': [selfHasReplica],
};

/** A conflict of data is resolved, not deleted away; two creations are (rule 1). */
function deletableConflict({ resource }: ResourceQuestion): Verdict {
  return resource.phase === 'conflicted' && resource.rivals.length === 0 ? phaseRefusal(resource) : undefined;
}

/** The first refusal, in order; undefined where every rule lets it pass. Acceptance of a loss is asked after these (rule 23). */
export function refusalOf(question: Question): Refusal | undefined {
  const { state, command, resource } = question;
  const general = journalDamaged(question) ?? commandIdReused(question) ?? pastDeadline(question);
  if (general) return general;
  if ('node' in command && command.node !== undefined && isOperatorCommand(command.command)) {
    const unknown = unknownNode(state, command.node);
    if (unknown) return unknown;
  }
  if (command.command === 'create') {
    const create = { ...question, command };
    return tagExists(create) ?? targetAnswers(create) ?? pathMissing(create) ?? pathInUse(create);
  }
  if (command.command === 'settings') return settings({ ...question, command });
  if (!('tag' in command)) return undefined;
  if (!resource || resource.phase === 'deleted') return refuse('unknown-tag', `${command.tag}`);
  const known: ResourceQuestion = { ...question, resource };
  const rules = (rulesOf[command.command] ?? []) as readonly Rule[];
  return unknownEvent(known) ?? rivalCreations(known) ?? firstOf(rules, known);
}

function firstOf(rules: readonly Rule[], question: ResourceQuestion): Verdict {
  for (const rule of rules) {
    const refusal = rule(question);
    if (refusal) return refusal;
  }
  return undefined;
}

/** The epoch that the next source takes: 1 + the highest served or promised that the decider knows of. */
export function nextEpoch(resource: ResourceState, facts: Facts): number {
  const answers = (facts.promises?.answers ?? []).map(({ highestEpoch: highest }) => highest);
  const records = Object.values(facts.replicas ?? {}).flatMap(({ epoch, promised }) => [epoch, promised]);
  return 1 + Math.max(highestEpoch(resource), ...answers, ...records);
}
