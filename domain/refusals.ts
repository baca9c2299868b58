/**
 * Why a command is refused (REQUIREMENTS 3). The code is what the bus replies, the CLI prints, the docs list and
 * the tests assert; each sentence says what stands in the way, and what would be allowed instead comes with it.
 */
export const refusalSentences = {
  'unknown-tag': 'no resource of that tag is known',
  'unknown-node': 'no such node is known here',
  'unknown-event': 'the history of this resource holds an event that this version does not know',
  'invalid-request': 'the request is not well-formed',
  'journal-damaged': 'the journal of the deciding node is damaged',
  'not-authorized': 'the actor may not do that',
  'tag-exists': 'a resource of that tag exists already',
  'path-in-use': 'a path is in use',
  'path-missing': 'a path does not exist',
  'not-in-service': 'the resource is not in service',
  'already-in-service': 'the resource is in service already',
  'already-extended': 'the node has a replica of the resource already',
  'volume-count-mismatch': 'the number of paths is not the number of volumes',
  'target-too-small': 'a path on the target is smaller than its volume',
  'too-many-targets': 'a resource has at most 7 targets',
  'priority-taken': 'another node has that priority',
  'async-not-enabled': 'the resource does not allow asynchronous mirrors',
  'no-baseline': 'nothing was tracked since a baseline, so a full resync is needed',
  'node-is-source': 'the resource is in service on that node',
  'device-in-use': 'the device is mounted or open',
  'target-resyncing': 'the target is being resynced',
  'target-paused': 'the mirror to the target is paused',
  'target-out-of-sync': 'the target may miss writes',
  'target-inconsistent': 'the data on the target is not consistent',
  'target-rewound': 'the target is rewound',
  'target-unreachable': 'the target cannot be reached',
  'no-eligible-target': 'no target can take over',
  'source-alive': 'the source is not lost',
  'data-corrupt': 'the last owner cannot tell whether another node took over',
  'not-last-owner': 'the node was not the last source',
  'loss-not-accepted': 'data would be lost, and nobody has accepted that',
  'split-brain': 'two nodes have gone different ways with the data',
  'no-split-brain': 'there is no split brain',
  'unrelated-data': 'the two replicas have no common past',
  'history-mismatch': "the journal and the replica's own record do not agree",
  'failover-not-confirmed': 'the failover waits for confirmation or was blocked',
  'local-recovery-failed': 'local recovery failed and moving elsewhere is blocked',
  'not-paused': 'the mirror is not paused',
  'already-paused': 'the mirror is paused already',
  'stale-command': 'things have moved on since the command was given',
  'command-id-reused': 'the id was used for another command',
} as const;

export type RefusalCode = keyof typeof refusalSentences;

export interface Refusal {
  readonly code: RefusalCode;
  /** One sentence: what stands in the way, with its names. */
  readonly message: string;
  /** What would be allowed instead, as sentences or commands. */
  readonly allowed: readonly string[];
  /** Ids of the events that led there. */
  readonly because: readonly string[];
}

/** A refusal whose sentence is the code's own, made particular by `detail`. */
export function refuse(
  code: RefusalCode,
  detail: string,
  more: { readonly allowed?: readonly string[]; readonly because?: readonly (string | undefined)[] } = {},
): Refusal {
  const because = (more.because ?? []).filter((id): id is string => id !== undefined && id !== '');
  return { code, message: `${refusalSentences[code]}: ${detail}`, allowed: more.allowed ?? [], because };
}
