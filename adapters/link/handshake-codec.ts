import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { LinkIdentity } from './link.ts';

/*
 * The handshake of a replication link. The dialer (the node with the smaller name) begins:
 *
 *   dialer    HELLO      {protocol, nonce}
 *   listener  CHALLENGE  {nonce}
 *   dialer    PROOF      {cluster, tag, resource, from, to, instance, number, proof}
 *   listener  WELCOME    {proof}
 *
 * A proof is HMAC-SHA256 with the cluster key over the role of who proves and the transcript: the protocol version,
 * everything that PROOF names, both nonces. Each side has put fresh randomness in, so nothing of an older handshake
 * fits (replay); the roles differ, so nothing can be sent back to its author (reflection). The listener believes and
 * tells nothing before the dialer has proved; only then does it say, with REFUSED, what does not match: to anybody
 * else every mistake looks like `wrong-key`, except the version, which is no secret. A refusal is there for people
 * to read; nothing is decided by it.
 * The session id and the folds that every later frame carries follow from key and transcript (HKDF-SHA256).
 * `instance` is drawn anew by each dialing process and `number` counts its attempts: of one instance, only a
 * higher number replaces a session.
 *
 * The frame layout of these messages, HELLO's `protocol` and REFUSED never change, so that any two versions can
 * tell each other that they differ. Names travel in the clear until TLS is put below (Transport port).
 */
export const protocolVersion = 1;
export const nonceBytes = 32;
export const instanceBytes = 8;

const nonce = z.string().regex(/^[0-9a-f]{64}$/);
const proof = z.string().regex(/^[0-9a-f]{64}$/);
const shortText = z.string().min(1).max(128);

export const Hello = z.object({ protocol: z.int(), nonce });
export type Hello = z.infer<typeof Hello>;
export const Challenge = z.object({ nonce });
export type Challenge = z.infer<typeof Challenge>;
export const Claim = z.object({
  cluster: shortText,
  tag: Tag,
  resource: shortText,
  from: NodeName,
  to: NodeName,
  instance: z.string().regex(/^[0-9a-f]{16}$/),
  number: z.int().min(0),
});
export type Claim = z.infer<typeof Claim>;
export const Proof = z.object({ ...Claim.shape, proof });
export type Proof = z.infer<typeof Proof>;
export const Welcome = z.object({ proof });
export type Welcome = z.infer<typeof Welcome>;
export const Refused = z.object({
  fault: z.enum([
    'wrong-version',
    'wrong-key',
    'wrong-cluster',
    'wrong-tag',
    'wrong-resource',
    'wrong-node',
    'old-session',
    'link-closed',
  ]),
});
export type Refused = z.infer<typeof Refused>;

/** Null for anything that is not exactly what the schema says. */
export function parsePayload<T>(schema: z.ZodType<T>, payload: Uint8Array): T | null {
  try {
    return schema.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
  } catch {
    return null;
  }
}

export const payloadOf = (value: object): Buffer => Buffer.from(JSON.stringify(value));

export interface Transcript {
  readonly claim: Claim;
  readonly dialerNonce: string;
  readonly listenerNonce: string;
}

/** An array of strings and integers has one JSON text only. */
const transcriptText = ({ claim, dialerNonce, listenerNonce }: Transcript): string =>
  JSON.stringify([
    'mirrorkeeper link',
    protocolVersion,
    claim.cluster,
    claim.tag,
    claim.resource,
    claim.from,
    claim.to,
    claim.instance,
    claim.number,
    dialerNonce,
    listenerNonce,
  ]);

export function proofOf(key: Uint8Array, role: 'dialer' | 'listener', transcript: Transcript): string {
  return createHmac('sha256', key)
    .update(`${role}\n${transcriptText(transcript)}`)
    .digest('hex');
}

export function isProof(
  given: string,
  key: Uint8Array,
  role: 'dialer' | 'listener',
  transcript: Transcript,
): boolean {
  return timingSafeEqual(Buffer.from(given, 'hex'), Buffer.from(proofOf(key, role, transcript), 'hex'));
}

export interface SessionKeys {
  readonly sessionId: string;
  readonly dialerFold: number;
  readonly listenerFold: number;
}

export function sessionKeysOf(key: Uint8Array, transcript: Transcript): SessionKeys {
  const nonces = Buffer.from(transcript.dialerNonce + transcript.listenerNonce, 'hex');
  const info = createHash('sha256').update(transcriptText(transcript)).digest();
  const derived = Buffer.from(hkdfSync('sha256', key, nonces, info, 24));
  return {
    sessionId: derived.toString('hex', 0, 16),
    dialerFold: derived.readUInt32BE(16),
    listenerFold: derived.readUInt32BE(20),
  };
}

/** What a proven dialer got wrong, in the order in which an operator looks for it. */
export function mismatch(mine: LinkIdentity, claim: Claim): Refused['fault'] | null {
  if (claim.cluster !== mine.cluster) return 'wrong-cluster';
  if (claim.tag !== mine.tag) return 'wrong-tag';
  if (claim.resource !== mine.resource) return 'wrong-resource';
  return claim.to === mine.node ? null : 'wrong-node';
}
