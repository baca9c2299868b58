import type { CommandName } from '../../domain/commands.ts';
import type { Actor } from '../../domain/events.ts';
import type { RaisedAlarm } from '../../domain/facts.ts';
import type { ClusterState } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { AgentBus } from '../bus/bus.ts';
import type { Clock } from '../engine/clock.ts';
import type { EngineRoom } from './engine-room.ts';
import type { Liveness } from './liveness.ts';
import type { AgentLog, FileSystems, Host } from './ports.ts';
import type { ReplicationPorts } from './replication-ports.ts';

/** How the agent was started (REQUIREMENTS 5, CLI). */
export interface AgentOptions {
  readonly cluster: string;
  readonly node: NodeName;
  /** Absolute. */
  readonly dir: string;
  readonly keyFile: string;
  /** HOST:FIRST-LAST: one replication port for each replica of this node. */
  readonly replicate: { readonly host: string; readonly first: number; readonly last: number };
  readonly heartbeatMs: number;
  readonly lostAfter: number;
}

/** What the parts of one agent share: one node, wired. */
export interface AgentContext {
  readonly options: AgentOptions;
  readonly bus: AgentBus;
  readonly engines: EngineRoom;
  readonly host: Host;
  readonly fileSystems: FileSystems;
  readonly clock: Clock;
  readonly liveness: Liveness;
  readonly replicationPorts: ReplicationPorts;
  readonly log: AgentLog;
  /** Milliseconds since 1970. */
  wallNow(): number;
  state(): ClusterState;
  /** The alarm of that id, where it is raised. */
  alarm(id: string): RaisedAlarm | null;
  /** A damaged journal decides nothing and orders nothing (DESIGN 2). */
  isDamaged(): boolean;
  /** Decides a command that this node's own policy or engine brought up; resolves when it is durable or refused. */
  submit<C extends CommandName>(
    command: C,
    body: Readonly<Record<string, unknown>>,
    via: Extract<Actor['via'], 'policy' | 'engine'>,
    /** Tells a repeated command from a new one; without it each is new. */
    id?: string,
  ): Promise<SubmitResult>;
  /** Whether the rules would allow it now; nothing is journaled. */
  wouldAllow<C extends CommandName>(
    command: C,
    body: Readonly<Record<string, unknown>>,
  ): Promise<SubmitResult>;
}

export interface SubmitResult {
  readonly ok: boolean;
  readonly code?: string;
}

/** Decided for good, one way or the other; else nobody knows, and it has to be said again. */
export const isDurable = ({ ok, code }: SubmitResult): boolean =>
  ok || (code !== 'write-failed' && code !== 'journal-damaged' && code !== 'closed');

export const silenceMs = ({ heartbeatMs, lostAfter }: AgentOptions): number => heartbeatMs * lostAfter;
