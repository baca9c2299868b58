import type { Heads } from '../../domain/envelope.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type {
  Answer,
  CommandBody,
  CommandReply,
  Heartbeat,
  IssuedCommand,
  JournalRange,
  JournalRecord,
  Question,
  View,
  ViewKey,
} from './messages.ts';
import type { ActorName, ClusterName, CommandToken } from './subjects.ts';

/**
 * The bus as its users see it: `Bus` for people's tools and dashboards, `AgentBus` for an agent.
 *
 * - Delivery is at most once for what is published, at least once for what its sender repeats: receivers drop
 *   events by (node, incarnation, sequence, hash) and commands by id (FAULTS 22, 25).
 * - Nothing waits for the bus: what is published while it is away is lost, and counted. The journal comes again by
 *   ranges, heads and heartbeats come again by themselves (FAULTS 24).
 * - Its status is information for people, never evidence about another node (DESIGN 2).
 * - What does not fit the shapes of messages.ts is dropped and counted; it reaches no listener.
 */
export interface Bus {
  readonly cluster: ClusterName;
  /** The own user: the actor of every command that is sent here; for an agent the name of its node. */
  readonly user: ActorName;

  /** Sends a command to any agent. A `BusError` tells by `mayHaveHappened` whether it can have had an effect. */
  request(command: CommandToken, body: CommandBody, timeoutMs: number): Promise<CommandReply>;

  /** Events of all nodes, live, in any order, with gaps and repetitions. */
  subscribeJournal(received: (record: JournalRecord) => void): Subscription;

  /**
   * Views whose key begins with `prefix`: the present ones first, then each change; never an older one behind a
   * newer one. Silent where nothing keeps views; starts by itself when that changes.
   */
  watchViews(prefix: string, changed: (key: ViewKey, view: View) => void): Subscription;

  /**
   * True once there is a connection and the bus knows every subscription made so far; false after `timeoutMs`, or
   * when the connection breaks over it.
   */
  ready(timeoutMs: number): Promise<boolean>;
  status(): BusStatus;
  /** Called with each change of `status()`. */
  watchStatus(changed: (status: BusStatus) => void): Subscription;

  /** Ends every subscription; requests under way fail with `closed`. */
  close(): Promise<void>;
}

export interface AgentBus extends Bus {
  /** Takes commands from anybody, shared with all other agents. A handler that throws makes the outcome unknown. */
  serveCommands(
    endpoints: readonly CommandEndpoint[],
    handle: (issued: IssuedCommand) => Promise<CommandReply>,
  ): Subscription;

  /** Hands a command to the agent of the node that decides. */
  forward(to: NodeName, issued: IssuedCommand, timeoutMs: number): Promise<CommandReply>;
  /** Takes commands that other agents forwarded: they are not forwarded again. */
  serveForwarded(handle: (issued: IssuedCommand, from: NodeName) => Promise<CommandReply>): Subscription;

  /** Announces own events that are already durable. */
  publishEvents(records: readonly JournalRecord[]): void;
  /** Events of any node's log from a node that has them; a beginning of the range where it is long, or []. */
  requestRange(from: NodeName, range: JournalRange, timeoutMs: number): Promise<readonly JournalRecord[]>;
  /** Answers with a beginning of the range as far as it is here; the bus cuts it to a message's size. */
  serveRanges(read: (range: JournalRange) => Promise<readonly JournalRecord[]>): Subscription;

  publishHeartbeat(heartbeat: Omit<Heartbeat, 'node'>): void;
  /** Heartbeats of other nodes. */
  subscribeHeartbeats(received: (heartbeat: Heartbeat) => void): Subscription;

  /** Asks another agent: for a promise, for what it heard, … */
  ask(to: NodeName, question: Question, timeoutMs: number): Promise<Answer>;
  answer(answer: (question: Question, from: NodeName) => Promise<Answer>): Subscription;

  /**
   * Shows a view, unless a newer one is there. `value` null takes it away: the heads stay, so that no older view
   * comes back. The last one of each key is put again by itself whenever what keeps them comes back (FAULTS 25);
   * `unavailable`: nothing keeps views now.
   */
  putView(key: ViewKey, value: unknown, heads: Heads): Promise<ViewOutcome>;
}

export type ViewOutcome = 'put' | 'unchanged' | 'older' | 'unavailable';

/** A command that can be discovered: `schema` is the JSON Schema of its arguments, as text. */
export interface CommandEndpoint {
  readonly command: CommandToken;
  readonly schema?: string;
}

export interface Subscription {
  end(): void;
}

export interface BusStatus {
  readonly connected: boolean;
  /** Where to, as the client tells it. */
  readonly server: string | null;
  readonly reconnects: number;
  /** The server lets no user send commands in another's name. */
  readonly actorsVerified: boolean;
  readonly views: boolean;
  readonly journalStream: boolean;
  /** Published while the bus was away or choked: lost. */
  readonly droppedMessages: number;
  /** Received in no known shape: ignored. */
  readonly malformedMessages: number;
  /** The last thing that went wrong, as a sentence. */
  readonly problem: string | null;
}

/** Stable codes of what can go wrong between sender and receiver. */
export type BusErrorCode =
  | 'disconnected' // no connection to the bus: not sent
  | 'overloaded' // too much on its way out: not sent
  | 'too-large' // longer than the bus carries: not sent
  | 'no-responders' // nobody there takes it
  | 'denied' // the bus does not let this user send it
  | 'busy' // the receiver has too many under way and did not take it
  | 'invalid' // the receiver could not read it and did not take it
  | 'bad-reply' // the reply could not be read
  | 'failed' // the receiver broke down over it
  | 'timeout' // no reply in time
  | 'closed'; // this side closed the bus

export class BusError extends Error {
  override readonly name = 'BusError';
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, sentence: string) {
    super(sentence);
    this.code = code;
  }

  /** The request may have had its effect: only its id tells (`mirrorkeeper command ID`). */
  get mayHaveHappened(): boolean {
    return ['failed', 'bad-reply', 'timeout', 'closed'].includes(this.code);
  }
}
