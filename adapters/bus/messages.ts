import { z } from 'zod';
import type { Heads } from '../../domain/envelope.ts';
import { Actor } from '../../domain/events.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { CommandToken } from './subjects.ts';

/**
 * The shapes of what travels on the bus. Objects are loose: a newer node may say more than this one knows
 * (FAULTS 30), and what the bus does not need to understand (a command's arguments, an event's data) is checked by
 * whoever does.
 */

/** `Heads` of domain/envelope.ts. */
const HeadsShape = z.record(
  NodeName,
  z.looseObject({ incarnation: z.int().min(1), sequence: z.int().min(0), hash: z.string().max(128) }),
);

/** A command as its issuer wrote it: `id` and its arguments (REQUIREMENTS 5). */
export const CommandBody = z.looseObject({ id: z.string().min(1).max(255) });
export type CommandBody = Readonly<z.infer<typeof CommandBody>>;

export const CommandReply = z.looseObject({ ok: z.boolean() });
export type CommandReply = Readonly<z.infer<typeof CommandReply>>;

/** A command with who issued it; `verified` where the server vouches for the actor. */
export const IssuedCommand = z.looseObject({
  command: CommandToken,
  actor: Actor,
  body: CommandBody,
});
export type IssuedCommand = Readonly<z.infer<typeof IssuedCommand>>;

/** An event as the journal wrote it; its identity is all that the bus looks at. */
export const JournalRecord = z.looseObject({
  node: NodeName,
  incarnation: z.int().min(1),
  sequence: z.int().min(1),
  hash: z.string().min(1).max(128),
});
export type JournalRecord = Readonly<z.infer<typeof JournalRecord>>;

/** Events `from`…`to` (both included) of one incarnation of a node's log. */
export const JournalRange = z.object({
  node: NodeName,
  incarnation: z.int().min(1),
  from: z.int().min(1),
  to: z.int().min(1),
});
export type JournalRange = Readonly<z.infer<typeof JournalRange>>;

export const JournalRecords = z.array(JournalRecord);

/** `heads`: what the node has of every log; `heard`: milliseconds since it last heard each other node. */
export const Heartbeat = z.looseObject({
  node: NodeName,
  heads: HeadsShape,
  heard: z.record(NodeName, z.number().min(0)),
});
export type Heartbeat = Readonly<z.infer<typeof Heartbeat>>;

/** A question of one agent to another, and the answer: the agent knows their shapes. */
export const Question = z.looseObject({ question: z.string().min(1).max(63) });
export type Question = Readonly<z.infer<typeof Question>>;
export const Answer = z.record(z.string(), z.unknown());
export type Answer = Readonly<z.infer<typeof Answer>>;

/** `status.<tag>`, `progress.<tag>.<target>`, `alarm.<id>` … (REQUIREMENTS 5). */
export const ViewKey = z
  .string()
  .max(255)
  .regex(/^[a-z_]+(\.[A-Za-z0-9_=/-]+)+$/, 'a view key is KIND.NAME…')
  .brand<'ViewKey'>();
export type ViewKey = z.infer<typeof ViewKey>;

/** A view with the heads of the logs that it was made from. `value` null: there is nothing to show any more. */
export const View = z.object({ heads: HeadsShape, value: z.unknown() });
export interface View {
  readonly heads: Heads;
  readonly value: unknown;
}

/** Names one event and its content: a sequence that was used twice gives two ids (FAULTS 25). */
export const recordId = ({ node, incarnation, sequence, hash }: JournalRecord): string =>
  `${node}/${incarnation}/${sequence}/${hash}`;
