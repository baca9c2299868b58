import { hash as digest, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type EventEnvelope, eventId, type RedactedEnvelope } from '../domain/envelope.ts';
import type { NodeName } from '../domain/vocabulary.ts';
import { canonicalJson } from './canonical-json.ts';
import type { EventDraft } from './journal.ts';

/**
 * A record of the journal's database: 8 hex digits of CRC-32 over what follows, then the event as JSON.
 *
 * - The checksum tells a bit that flipped (LevelDB may return it without an error: DESIGN 4) from an event
 *   that somebody changed: the former is `bad-checksum`, the latter has a good checksum and a `bad-chain`.
 * - The attributes stand in canonical order (RFC 8785) and the data is stored canonically, so verifying
 *   costs one parse and two hashes.
 */
const checksumDigits = 8;

const checksum = (text: string): string => crc32(text).toString(16).padStart(checksumDigits, '0');

/** Seals any text with its checksum: events, snapshots, heads. */
export const seal = (text: string): string => checksum(text) + text;

/** The text of a sealed record; undefined when its checksum is wrong. */
export function unseal(record: string): string | undefined {
  const text = record.slice(checksumDigits);
  return record.startsWith(checksum(text)) ? text : undefined;
}

/** Where an event goes in its log, and what its writer knew. */
export interface Place {
  readonly cluster: string;
  readonly node: NodeName;
  readonly incarnation: number;
  readonly sequence: number;
  readonly previous: string;
  readonly seen: string;
  readonly time: string;
}

export interface StampedEvent {
  readonly event: EventEnvelope;
  readonly record: string;
}

/**
 * Makes a draft the event at its place: hashes, salt, checksum. The attributes are written in canonical order
 * here, absent ones as undefined: one shape for all events, which JSON leaves out.
 */
export function stamp(draft: EventDraft, place: Place): StampedEvent {
  const { node, incarnation, sequence } = place;
  const salt = nextSalt();
  const data = canonicalJson(draft.data);
  const attributes: Omit<RedactedEnvelope, 'hash'> = {
    actorid: draft.actor.id,
    actorverified: draft.actor.verified,
    actorvia: draft.actor.via,
    cause: draft.cause,
    command: draft.command,
    datacontenttype: 'application/json',
    datahash: digest('sha256', salt + data, 'hex'),
    id: eventId(place),
    incarnation,
    node,
    previous: place.previous,
    reason: draft.reason,
    seen: place.seen,
    sequence,
    source: `/mk/${place.cluster}/${node}`,
    specversion: '1.0',
    subject: draft.subject,
    time: place.time,
    type: draft.type,
  };
  const text = JSON.stringify(attributes);
  const hash = digest('sha256', text, 'hex');
  return { event: { ...attributes, hash, salt, data: draft.data }, record: sealed(text, hash, salt, data) };
}

/** The record of an event that another node wrote. */
export const encode = (event: EventEnvelope): string => seal(textOf(event));

/**
 * An event as one line: the attributes in canonical order, then its hash, its salt and its canonical data, so that
 * both hashes can be taken over pieces of this text as it stands (docs/AUDIT.md). Redacted, it ends with its hash.
 */
export function textOf(event: EventEnvelope | RedactedEnvelope): string {
  const { data, salt, hash, ...attributes } = event as EventEnvelope;
  const text = canonicalJson(attributes);
  return data === undefined
    ? `${text.slice(0, -1)},"hash":"${hash}"}`
    : line(text, hash, salt, canonicalJson(data));
}

const line = (attributes: string, hash: string, salt: string, data: string): string =>
  `${attributes.slice(0, -1)},"hash":"${hash}","salt":"${salt}","data":${data}}`;

const sealed = (attributes: string, hash: string, salt: string, data: string): string =>
  seal(line(attributes, hash, salt, data));

/** Undefined when the checksum is wrong. The hashes are checked by `hashFault`. */
export function decode(record: string): EventEnvelope | undefined {
  const text = unseal(record);
  return text === undefined ? undefined : (JSON.parse(text) as EventEnvelope);
}

/** Which of its two hashes an event contradicts; undefined when it is what was written. */
export function hashFault(event: EventEnvelope | RedactedEnvelope): 'data' | 'attributes' | undefined {
  const { data, salt, hash, ...attributes } = event as EventEnvelope;
  if (data !== undefined && digest('sha256', salt + canonicalJson(data), 'hex') !== event.datahash)
    return 'data';
  return digest('sha256', canonicalJson(attributes), 'hex') === hash ? undefined : 'attributes';
}

const saltBytes = 16;
const saltsPerDraw = 256;
let salts = '';

/** Random salts, drawn many at a time: one draw each would be a tenth of an append's cost. */
function nextSalt(): string {
  if (salts === '') salts = randomBytes(saltBytes * saltsPerDraw).toString('hex');
  const salt = salts.slice(0, saltBytes * 2);
  salts = salts.slice(saltBytes * 2);
  return salt;
}
