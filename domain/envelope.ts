import { z } from 'zod';
import { NodeName, Tag } from './vocabulary.ts';

/**
 * The envelope of every event: a CloudEvent 1.0 in JSON (extension attributes are lower-case letters and
 * digits, values scalar). REQUIREMENTS 4.
 *
 * `hash` is the sha256 of the canonical JSON (RFC 8785) of every attribute except `data`, `salt` and `hash`;
 * `datahash` is the sha256 of `salt` followed by the canonical JSON of `data`. So `data` and `salt` can be
 * taken out of an export and the chain still verifies. Hashing itself lives in journal/record.ts.
 */

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a hash is 64 hex digits');
const EventId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}\/[1-9]\d*\/[1-9]\d*$/, 'an event id is NODE/INCARNATION/SEQUENCE');

/** Who asked for it (operator, policy, engine), by which way, and whether that was proven. */
export const ActorVia = z.enum(['bus', 'socket', 'web', 'policy', 'engine']);
export type ActorVia = z.infer<typeof ActorVia>;

/** What an event says: the payload of its type and, where a decision used any, the `facts`. */
export type EventData = Readonly<Record<string, unknown>>;

const attributes = {
  specversion: z.literal('1.0'),
  /** NODE/INCARNATION/SEQUENCE */
  id: EventId,
  /** /mk/CLUSTER/NODE */
  source: z.string().regex(/^\/mk\/[^/]+\/[^/]+$/, 'a source is /mk/CLUSTER/NODE'),
  /** mirrorkeeper.EVENT.vVERSION, e.g. mirrorkeeper.resource.created.v1 */
  type: z.string().regex(/^mirrorkeeper\.[a-z0-9.-]+\.v[1-9]\d*$/, 'a type is mirrorkeeper.EVENT.vVERSION'),
  /** The resource, where the event is about one. */
  subject: Tag.optional(),
  /** ISO 8601 with milliseconds, UTC. Shown and searched, never ordered by. */
  time: z
    .string()
    .regex(/^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'a time is ISO 8601, UTC, with milliseconds'),
  datacontenttype: z.literal('application/json'),
  node: NodeName,
  /** From 1; only an operator starts the next one (DESIGN 2). */
  incarnation: z.int().min(1),
  /** From 1, gapless within an incarnation. */
  sequence: z.int().min(1),
  actorid: z.string().min(1).max(255),
  actorvia: ActorVia,
  actorverified: z.boolean(),
  reason: z.string().max(4096).optional(),
  /** Id of the command that brought it about. */
  command: z.string().max(255).optional(),
  /** Id of the event that brought it about. */
  cause: EventId.optional(),
  /** Heads of other nodes that changed since the writer's previous event: see `formatSeen`. */
  seen: z.string(),
  /** Hash of the event before it in this node's log; '' for the first. */
  previous: z.union([Sha256, z.literal('')]),
  datahash: Sha256,
  hash: Sha256,
};

export const RedactedEnvelope = z.strictObject(attributes);
export type RedactedEnvelope = Readonly<z.infer<typeof RedactedEnvelope>>;

export const EventEnvelope = z.strictObject({
  ...attributes,
  salt: z.string().regex(/^([0-9a-f]{2})+$/, 'a salt is hex'),
  data: z.record(z.string(), z.unknown()),
});
export type EventEnvelope = RedactedEnvelope & { readonly salt: string; readonly data: EventData };

/** Where a log stands: its last event. */
export interface Head {
  readonly incarnation: number;
  readonly sequence: number;
  readonly hash: string;
}

/** The latest head of each node's log. */
export type Heads = Readonly<Record<string, Head>>;

export interface EventPosition {
  readonly node: string;
  readonly incarnation: number;
  readonly sequence: number;
}

export const eventId = ({ node, incarnation, sequence }: EventPosition): string =>
  `${node}/${incarnation}/${sequence}`;

export function parseEventId(id: string): EventPosition | undefined {
  if (!EventId.safeParse(id).success) return undefined;
  const [node = '', incarnation, sequence] = id.split('/');
  return { node, incarnation: Number(incarnation), sequence: Number(sequence) };
}

/** Order of two positions of one node's log: negative when `a` is the earlier one. */
export const comparePositions = (
  a: Pick<Head, 'incarnation' | 'sequence'>,
  b: Pick<Head, 'incarnation' | 'sequence'>,
): number => a.incarnation - b.incarnation || a.sequence - b.sequence;

/** `resource.created`, 1 → `mirrorkeeper.resource.created.v1` */
export const envelopeType = (event: string, version: number): string => `mirrorkeeper.${event}.v${version}`;

/** `mirrorkeeper.resource.created.v1` → `{event: 'resource.created', version: 1}` */
export function parseEnvelopeType(type: string): { event: string; version: number } | undefined {
  const match = /^mirrorkeeper\.([a-z0-9.-]+)\.v([1-9]\d*)$/.exec(type);
  return match?.[1] === undefined ? undefined : { event: match[1], version: Number(match[2]) };
}

/** A head as `seen` tells it: the hash is cut to its first 16 digits. */
export interface SeenHead extends EventPosition {
  readonly hash16: string;
}

/** `adam/1/41/0123456789abcdef,sophocles/1/7/fedcba9876543210`, sorted by node. */
export function formatSeen(heads: Heads): string {
  return Object.keys(heads)
    .sort()
    .map((node) => {
      const head = heads[node];
      return head === undefined
        ? ''
        : `${node}/${head.incarnation}/${head.sequence}/${head.hash.slice(0, 16)}`;
    })
    .join(',');
}

/** The heads of `seen`; undefined when it is not of that form. */
export function parseSeen(seen: string): readonly SeenHead[] | undefined {
  if (seen === '') return [];
  const heads: SeenHead[] = [];
  for (const part of seen.split(',')) {
    const match = /^(.+)\/([0-9a-f]{16})$/.exec(part);
    const position = parseEventId(match?.[1] ?? '');
    if (position === undefined || match?.[2] === undefined) return undefined;
    heads.push({ ...position, hash16: match[2] });
  }
  return heads;
}
