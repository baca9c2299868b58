import { z } from 'zod';
import { NodeName, namePattern } from '../../domain/vocabulary.ts';

/**
 * The one table of subjects. Each has the sender in it, because NATS does not tell a receiver who sent a message:
 * the server lets a user publish only where his own token stands (roles.ts), so the token is the proof.
 *
 * | subject                                     | from → to                       | pattern            |
 * |---------------------------------------------|---------------------------------|--------------------|
 * | mk.<cluster>.cmd.<actor>.<command>          | anybody → one agent, any        | service, one queue |
 * | mk.<cluster>.journal.<node>                 | node → everybody                | publish            |
 * | mk.<cluster>.agent.<node>.heartbeat         | node → all agents               | publish            |
 * | mk.<cluster>.agent.<to>.inbox.<kind>.<from> | agent → the agent of one node   | request and reply  |
 *
 * Stream mk-<cluster>-journal captures mk.<cluster>.journal.*; the bucket mk-<cluster>-views holds the views.
 */

const token = (what: string) =>
  z
    .string()
    .regex(namePattern, `a ${what} has 1 to 63 letters, digits, "_" or "-", the first a letter or digit`);

export const ClusterName = token('cluster').brand<'ClusterName'>();
export type ClusterName = z.infer<typeof ClusterName>;

/** A person's or a node's user: the token of a subject that the server guards. */
export const ActorName = token('actor').brand<'ActorName'>();
export type ActorName = z.infer<typeof ActorName>;

export const CommandToken = z
  .string()
  .max(63)
  .regex(/^[a-z][a-z-]*$/, 'a command has lower-case letters and "-"')
  .brand<'CommandToken'>();
export type CommandToken = z.infer<typeof CommandToken>;

/** What one agent may ask another. */
export const inboxKinds = ['forward', 'range', 'ask'] as const;
export type InboxKind = (typeof inboxKinds)[number];

export const serviceName = 'mirrorkeeper';
/** All agents share it, so that one of them gets a command, whichever. */
export const serviceQueue = 'mirrorkeeper-agents';

/** `*` where a subscription or a permission means every one. */
type Any = '*';

export const commandSubject = (cluster: ClusterName, actor: ActorName | Any, command: CommandToken | Any) =>
  `mk.${cluster}.cmd.${actor}.${command}`;

export const journalSubject = (cluster: ClusterName, node: NodeName | Any) => `mk.${cluster}.journal.${node}`;

export const heartbeatSubject = (cluster: ClusterName, node: NodeName | Any) =>
  `mk.${cluster}.agent.${node}.heartbeat`;

export const inboxSubject = (
  cluster: ClusterName,
  to: NodeName | Any,
  kind: InboxKind | Any,
  from: NodeName | Any,
) => `mk.${cluster}.agent.${to}.inbox.${kind}.${from}`;

export const streamName = (cluster: ClusterName) => `mk-${cluster}-journal`;
export const bucketName = (cluster: ClusterName) => `mk-${cluster}-views`;
/** NATS keeps a bucket in a stream of this name. */
export const bucketStreamName = (cluster: ClusterName) => `KV_${bucketName(cluster)}`;

/** Where replies come: each user's own prefix, so that nobody can listen to another's. */
export const inboxPrefix = (user: ActorName | NodeName) => `_INBOX_${user}`;

/** Who sent a command and which; undefined when the subject is not one of this table. */
export function parseCommandSubject(
  cluster: ClusterName,
  subject: string,
): { readonly actor: ActorName; readonly command: CommandToken } | undefined {
  const [actor, command] = tokensBehind(`mk.${cluster}.cmd.`, subject, 2);
  const parsed = { actor: ActorName.safeParse(actor), command: CommandToken.safeParse(command) };
  if (!parsed.actor.success || !parsed.command.success) return undefined;
  return { actor: parsed.actor.data, command: parsed.command.data };
}

/** The node whose log a journal message claims to be from. */
export const parseJournalSubject = (cluster: ClusterName, subject: string): NodeName | undefined =>
  nodeOf(tokensBehind(`mk.${cluster}.journal.`, subject, 1)[0]);

/** The node that sent a heartbeat. */
export function parseHeartbeatSubject(cluster: ClusterName, subject: string): NodeName | undefined {
  const [node, last] = tokensBehind(`mk.${cluster}.agent.`, subject, 2);
  return last === 'heartbeat' ? nodeOf(node) : undefined;
}

/** The node that sent a request to another's inbox. */
export function parseInboxSubject(cluster: ClusterName, subject: string): NodeName | undefined {
  const [, inbox, , from] = tokensBehind(`mk.${cluster}.agent.`, subject, 4);
  return inbox === 'inbox' ? nodeOf(from) : undefined;
}

function tokensBehind(prefix: string, subject: string, count: number): readonly string[] {
  const tokens = subject.startsWith(prefix) ? subject.slice(prefix.length).split('.') : [];
  return tokens.length === count ? tokens : [];
}

function nodeOf(value: string | undefined): NodeName | undefined {
  const parsed = NodeName.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
