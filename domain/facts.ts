import type { Reign } from './events.ts';
import type { Generation, NodeName } from './vocabulary.ts';

/**
 * What the decider knows beside the history: asked for before it decides, and recorded in the event (DESIGN 2), so
 * that an auditor can decide again. Absent means: not asked, since no rule of this command needs it.
 */
export interface Facts {
  /** The node whose agent decides. */
  readonly self: NodeName;
  /** Milliseconds since 1970 by the decider's clock: for deadlines of commands and for display. */
  readonly now: number;
  /** Nodes heard on any path within heartbeat × lost-after, this one included. */
  readonly reachable: readonly NodeName[];
  /** By node: which reachable nodes have heard it in that time. A source that anyone hears is not lost. */
  readonly heardBy?: Readonly<Record<string, readonly NodeName[]>>;
  /** What `lost` meant to the decider (REQUIREMENTS 1): silence of heartbeat × lost-after. */
  readonly patience?: { readonly heartbeatMs: number; readonly lostAfter: number };
  readonly journalDamaged?: boolean;
  readonly paths?: Readonly<Record<string, PathFact>>;
  /** What holds this node's device or what is mounted from it (a process, a mount, an open client), in words; null where nothing does. */
  readonly deviceInUse?: string | null;
  /** What is mounted already at the folder that the command names for it; null where nothing is. */
  readonly mountPointUsedBy?: string | null;
  /** What this node's engine serves, by its own word. */
  readonly serving?: Reign | null;
  /** The alarm that is to be acknowledged, as this node shows it; null where none of that id is raised. */
  readonly alarm?: RaisedAlarm | null;
  /** The generation since which this node's engine has tracked changes for a copy that is shipped (rule 2). */
  readonly baseline?: Generation | null;
  /** HOST:PORT at which this node's replica will be reached: the engine's own, fixed for good (rule 2). */
  readonly replication?: { readonly host: string; readonly port: number };
  /** Answers to the promise that was asked for `epoch` (rules 7 and 9), collected before a last owner returns. */
  readonly promises?: PromiseFacts;
  /** The replicas' own records, of the nodes that answered. They can only veto (rule 13). */
  readonly replicas?: Readonly<Record<string, ReplicaFact>>;
}

export interface RaisedAlarm {
  readonly tag: string | null;
  readonly because: string;
  readonly since: string | null;
}

export interface PromiseFacts {
  readonly epoch: number;
  readonly answers: readonly PromiseAnswer[];
}

export interface PromiseAnswer {
  readonly node: NodeName;
  readonly answer: 'promised' | 'source-alive' | 'promised-other' | 'unreachable' | 'refused';
  readonly outOfSync: boolean;
  readonly highestEpoch: number;
}

export interface PathFact {
  readonly exists: boolean;
  /** Who has it (a mount point, swap, another resource, the protected list); null where nobody does. */
  readonly usedBy: string | null;
  readonly mountedAt?: string | null;
  /** What is mounted there. */
  readonly fstype?: string | null;
  readonly byteSize: number;
  /** No allocated block, or all zeros read. */
  readonly blank: boolean;
}

export interface ReplicaFact {
  readonly epoch: number;
  readonly promised: number;
  readonly inSync: boolean;
  readonly consistent: boolean;
  readonly paused: boolean;
  readonly rewound: boolean;
  /** Whether it is known to share a past with the source's. */
  readonly related: boolean;
  /** What it is known to miss; null where nobody can tell. */
  readonly behind: { readonly writes: number; readonly bytes: number; readonly ms: number } | null;
  /** Marked bytes by peer: the size of a partial resync. Null where no intent log is kept. */
  readonly dirtyBytes: Readonly<Record<string, number | null>>;
}

export const isReachable = (facts: Facts, node: NodeName) => facts.reachable.includes(node);

/** Lost to the decider: silent to it and to every reachable node (REQUIREMENTS 1). */
export function isLost(facts: Facts, node: NodeName): boolean {
  if (isReachable(facts, node)) return false;
  return (facts.heardBy?.[node] ?? []).length === 0;
}
