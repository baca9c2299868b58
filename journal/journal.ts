import type { ActorVia, EventData, EventEnvelope, Head, Heads } from '../domain/envelope.ts';
import type { NodeName, Tag } from '../domain/vocabulary.ts';
import type { ArchiveBase } from './archive-base.ts';

/**
 * The port of the journal: every node's log, held on this node. This node appends to its own log and to no
 * other; other nodes' logs are received. What `append` or `receive` resolved with is durable (I9).
 */

/** Each kind of damage has its code; damage is never skipped silently (REQUIREMENTS 4). */
export const journalErrorCodes = [
  'torn-tail',
  'gap',
  'bad-checksum',
  'bad-chain',
  'bad-signature',
  'head-missing',
  'log-missing',
  'write-failed',
  'locked',
] as const;
export type JournalErrorCode = (typeof journalErrorCodes)[number];

export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly code: JournalErrorCode;

  constructor(code: JournalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What the writer of an event says; the journal adds identity, time, what was seen, and the hashes. */
export interface EventDraft {
  /** As `envelopeType` makes it: mirrorkeeper.resource.created.v1 */
  readonly type: string;
  /** The tag, where the event is about a resource. */
  readonly subject?: Tag | undefined;
  readonly actor: { readonly id: string; readonly via: ActorVia; readonly verified: boolean };
  readonly reason?: string | undefined;
  /** Id of the command that brought it about. */
  readonly command?: string | undefined;
  /** Id of the event that brought it about. */
  readonly cause?: string | undefined;
  /** Plain JSON: no undefined in arrays, no bigint, no class instances. */
  readonly data: EventData;
}

/** One incarnation of one node's log, and where it stands. */
export interface LogHead extends Head {
  readonly node: string;
}

/** Events `from` to `to` (both included) of one log. */
export interface EventRange {
  readonly node: string;
  readonly incarnation: number;
  readonly from: number;
  readonly to: number;
}

/** A part of a log that is not what was written. `to` is absent where nobody knows how much is missing. */
export interface Damage {
  readonly code: JournalErrorCode;
  readonly message: string;
  readonly node: string;
  readonly incarnation: number;
  readonly from: number;
  readonly to?: number | undefined;
}

/** Two different events with one identity: reported, the stored one stays. */
export interface Conflict {
  readonly id: string;
  readonly storedHash: string;
  readonly receivedHash: string;
}

/** What became of events that were handed to `receive`. */
export interface Received {
  readonly stored: readonly EventEnvelope[];
  readonly duplicates: number;
  /** What must come first before the rest can be stored. */
  readonly gaps: readonly EventRange[];
  readonly conflicts: readonly Conflict[];
  /** Events that do not verify: nothing of theirs is kept. */
  readonly rejected: readonly {
    readonly id: string;
    readonly code: JournalErrorCode;
    readonly message: string;
  }[];
}

/** A head and the heads of others its node had seen, signed with the node's key (Ed25519). */
export interface SignedHead {
  readonly node: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly hash: string;
  readonly seen: Heads;
  /** Public key, 64 hex digits. */
  readonly key: string;
  /** Over the canonical JSON of all other fields, 128 hex digits. */
  readonly signature: string;
}

/** Anything derived from the events up to `heads`, as text. */
export interface Snapshot {
  readonly heads: Heads;
  readonly body: string;
}

/** Gets events of a log from another copy: fewer than asked for, or none, where that copy has no more. */
export type FetchEvents = (range: EventRange) => Promise<readonly EventEnvelope[]>;

export interface Journal {
  readonly node: NodeName;
  /** Incarnation of this node's own log. */
  readonly incarnation: number;
  /** Public key of this node, 64 hex digits. */
  readonly publicKey: string;
  /**
   * Appends to this node's log; concurrent appends share one durable batch. Resolves when durable.
   * Errors: `write-failed` (nothing was acknowledged), or the code of the damage that must be repaired first.
   */
  append(drafts: readonly EventDraft[]): Promise<readonly EventEnvelope[]>;
  /** Stores events of other nodes, each only when it verifies and continues what is stored. */
  receive(events: readonly EventEnvelope[]): Promise<Received>;
  /**
   * Takes note of another node's signed head; its key must be among `keys`. Errors: `bad-signature`;
   * `bad-chain` when what is stored contradicts it.
   */
  attest(head: SignedHead, keys: readonly string[]): Promise<void>;
  /** Takes note of how far others have seen this node's own log; being behind that is damage (DESIGN 2). */
  reportSeen(head: Head): void;
  /** In order, up to the log's end; what cannot be read throws its code after all that is good before it. */
  read(range: EventRange): AsyncIterable<readonly EventEnvelope[]>;
  /** What stands for events that were archived: `read` begins at its floors, `replay` behind them. Null: none were. */
  archived(): ArchiveBase | null;
  /** All logs, each in order, log after log (by node, then incarnation), from behind `after` on. */
  replay(after?: Heads): AsyncIterable<readonly EventEnvelope[]>;
  /** All events that came of a command, whichever node wrote them: node by node. */
  ofCommand(id: string): Promise<readonly EventEnvelope[]>;
  heads(): Heads;
  logs(): readonly LogHead[];
  /** This node's head as others may hold it against us later. */
  signedHead(): SignedHead;
  /** The latest head that each node was heard to sign, this one's included. */
  signedHeads(): readonly SignedHead[];
  /** Makes the head outside the database durable: at each role change (DESIGN 4). */
  syncHead(): Promise<void>;
  /** With it go the outdated ones, in one batch. */
  putSnapshot(name: string, snapshot: Snapshot, outdated?: readonly string[]): Promise<void>;
  /** Undefined when there is none, or it does not verify, or it is ahead of the logs. */
  getSnapshot(name: string): Promise<Snapshot | undefined>;
  /** In order. */
  snapshotNames(): Promise<readonly string[]>;
  removeSnapshots(names: readonly string[]): Promise<void>;
  /** Empty when nothing is wrong. While it is not, `append` refuses. */
  damage(): readonly Damage[];
  /**
   * Refetches what is damaged; what comes must fit the chain on both sides. Resolves with what remains. The past
   * may be another one then: whatever was folded is to be folded anew.
   */
  repair(fetch: FetchEvents): Promise<readonly Damage[]>;
  /** An operator's decision only (DESIGN 2): goes on from the last good event, as the next incarnation. */
  startIncarnation(atLeast?: number): Promise<void>;
  /** Called with every event once it is durable, in order, before `append` resolves. Returns unsubscribe. */
  onStored(listener: (events: readonly EventEnvelope[]) => void): () => void;
  onDamage(listener: (damage: Damage) => void): () => void;
  /** Settles when the part before the last snapshot has been verified too. */
  readonly verified: Promise<void>;
  close(): Promise<void>;
}
