import type { RefusalCode } from '../domain/refusals.ts';

/** Which rule of REQUIREMENTS 3 speaks with a code; null: what holds for every command. */
export interface RuleText {
  readonly rule: number | null;
  readonly says: string;
}

const everyCommand = (says: string): RuleText => ({ rule: null, says });
const rule = (number: number, says: string): RuleText => ({ rule: number, says });

const noTakeover =
  'no failover and no switchover to a target that is resyncing, paused, out of sync, inconsistent, rewound or unreachable';

export const ruleTexts: Readonly<Record<RefusalCode, RuleText>> = {
  'unknown-tag': everyCommand('a command is about a resource that exists'),
  'unknown-node': everyCommand(
    'a command is about a node of the cluster that has a replica where it needs one',
  ),
  'unknown-event': everyCommand(
    'nobody decides about a history that the deciding version does not understand',
  ),
  'invalid-request': everyCommand('a request is well-formed'),
  'journal-damaged': everyCommand('a node whose journal is damaged decides nothing until it is repaired'),
  'not-authorized': everyCommand('an actor does what its role allows'),
  'tag-exists': rule(1, 'a tag names one resource'),
  'path-in-use': rule(1, 'a path belongs to one resource and to nobody else'),
  'path-missing': rule(1, 'a path exists before it is mirrored'),
  'not-in-service': rule(2, 'extending, pausing and the like need the source in service'),
  'already-in-service': rule(11, 'a resource is in service on one node at most'),
  'already-extended': rule(2, 'a node has one replica of a resource at most'),
  'volume-count-mismatch': rule(2, 'a replica has as many volumes as the resource'),
  'target-too-small': rule(2, 'each volume of a target is at least as large as its source'),
  'too-many-targets': rule(2, 'a resource has at most 7 targets'),
  'priority-taken': rule(2, 'a priority is unique in its resource'),
  'async-not-enabled': rule(2, 'async mirrors exist only where the resource allows them'),
  'no-baseline': rule(2, 'a copy is taken over without a full resync only from a baseline'),
  'node-is-source': rule(3, 'the node where it is in service keeps its replica'),
  'device-in-use': rule(3, 'what is mounted or open is not taken away'),
  'target-resyncing': rule(4, noTakeover),
  'target-paused': rule(4, noTakeover),
  'target-out-of-sync': rule(4, noTakeover),
  'target-inconsistent': rule(4, noTakeover),
  'target-rewound': rule(4, noTakeover),
  'target-unreachable': rule(4, noTakeover),
  'no-eligible-target': rule(7, 'only an eligible target takes over, the best priority first'),
  'source-alive': rule(7, 'nobody takes over from a source that anyone has heard in time'),
  'data-corrupt': rule(
    9,
    'a returning last owner serves only when every target has promised or knows that it is out of sync',
  ),
  'not-last-owner': rule(10, 'after both were down the last owner serves again, nobody else by itself'),
  'loss-not-accepted': rule(23, 'what destroys data is done only when that loss was accepted'),
  'split-brain': rule(12, 'a split brain is ended by an operator, and nothing is copied before'),
  'no-split-brain': rule(12, 'there is a victim only where there is a split brain'),
  'unrelated-data': rule(
    13,
    'replicas without a common past are never resynced without an explicit full resync',
  ),
  'history-mismatch': rule(13, 'the journal and the replica itself agree before it is promoted'),
  'failover-not-confirmed': rule(
    14,
    'a failover that waits for confirmation proceeds only when it is confirmed',
  ),
  'local-recovery-failed': rule(15, 'where failovers of local failures are blocked, nothing moves by itself'),
  'not-paused': rule(17, 'only a paused mirror is resumed'),
  'already-paused': rule(17, 'a paused mirror is not paused again'),
  'stale-command': rule(22, 'a command that things have overtaken does nothing'),
  'command-id-reused': rule(22, 'an id means one command for ever'),
};
