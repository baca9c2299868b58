import type { CommandName, CommandOf } from './commands.ts';
import { isOperatorCommand } from './commands.ts';
import { type Refusal, refuse } from './refusals.ts';
import { alarmRaised } from './rules/alarms.ts';
import { splitBrain, supersededSelf, unresolved } from './rules/conflict.ts';
import {
  commandIdReused,
  journalDamaged,
  pastDeadline,
  rivalCreations,
  unknownEvent,
} from './rules/every-command.ts';
import {
  existingInUse,
  fileSystemNamed,
  mountableContent,
  mountPointInUse,
  sizeFits,
} from './rules/file-systems.ts';
import {
  alreadyPaused,
  autoPause,
  autoResume,
  comparable,
  knownTargets,
  mirrorOfPair,
  notPaused,
  unrelatedData,
} from './rules/mirrors.ts';
import {
  inPhases,
  inServiceHere,
  type Question,
  type ResourceQuestion,
  type Rule,
  unknownNode,
  type Verdict,
} from './rules/question.ts';
import {
  handedToSelf,
  inService,
  otherServes,
  outOfService,
  owesSettling,
  ownReign,
  returnOfLastOwner,
  sourceHere,
  switchingFromSelf,
  switchoverElsewhere,
  targetOfSwitchover,
} from './rules/service.ts';
import { settings } from './rules/settings.ts';
import {
  alreadyExtended,
  asyncNotEnabled,
  deletableConflict,
  deletedBySource,
  deviceInUse,
  noBaseline,
  nodeIsSource,
  onReplica,
  pathInUse,
  pathMissing,
  priorityTaken,
  replicaOfNode,
  selfHasReplica,
  tagExists,
  targetAnswers,
  targetTooSmall,
  tooManyTargets,
  volumeCountMismatch,
} from './rules/shape.ts';
import {
  bestCandidate,
  failoverCandidate,
  failoverSource,
  nothingWaits,
  ownTakeover,
  promise,
  promisedHigher,
  waitingCandidate,
} from './rules/takeover.ts';

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
    mountableContent,
    mountPointInUse,
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
  delete: [
    inPhases('in-service', 'out-of-service', 'blocked', 'conflicted'),
    deletableConflict,
    deletedBySource,
    deviceInUse,
  ],
  'in-service': [inPhases('in-service', 'out-of-service'), inService, deviceInUse],
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
    inPhases(
      'in-service',
      'out-of-service',
      'blocked',
      'switching-over',
      'awaiting-confirmation',
      'failing-over',
    ),
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
  verify: [inServiceHere, knownTargets, comparable],
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
  'promises-collected': [inPhases('failing-over'), selfHasReplica, ownTakeover],
  'take-handover': [selfHasReplica, handedToSelf, promisedHigher],
  return: [
    inPhases(
      'in-service',
      'out-of-service',
      'blocked',
      'awaiting-confirmation',
      'failing-over',
      'switching-over',
    ),
    selfHasReplica,
    returnOfLastOwner,
  ],
  'settle-conflict': [inPhases('conflicted')],
  'settle-command': [owesSettling],
  promised: [selfHasReplica],
  'auto-pause': [inServiceHere, mirrorOfPair, autoPause],
  'auto-resume': [inServiceHere, mirrorOfPair, autoResume],
  'handed-over': [inPhases('switching-over'), switchingFromSelf],
  'switchover-stopped': [inPhases('switching-over'), switchingFromSelf],
  served: [inPhases('in-service', 'conflicted'), ownReign],
  'serve-failed': [inPhases('in-service'), ownReign],
  superseded: [
    inPhases(
      'in-service',
      'switching-over',
      'awaiting-confirmation',
      'failing-over',
      'blocked',
      'conflicted',
    ),
    supersededSelf,
  ],
  'split-brain-seen': [inPhases('in-service', 'conflicted', 'out-of-service'), unresolved],
  'local-failure': [selfHasReplica],
  'local-recovery-ended': [selfHasReplica],
  'disk-failed': [selfHasReplica],
  'file-system-made': [selfHasReplica],
  'file-system-mounted': [selfHasReplica],
  'file-system-unmounted': [selfHasReplica],
  'file-system-failed': [selfHasReplica],
};

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
    return (
      tagExists(create) ??
      targetAnswers(create) ??
      pathMissing(create) ??
      pathInUse(create) ??
      fileSystemNamed(create) ??
      mountPointInUse(create) ??
      sizeFits(create) ??
      existingInUse(create)
    );
  }
  if (command.command === 'settings') return settings({ ...question, command });
  if (command.command === 'alarms-ack') return alarmRaised({ ...question, command });
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
