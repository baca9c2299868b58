import { hash as digest } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from './canonical-json.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import { archiveKey } from './keys.ts';
import { seal, unseal } from './record.ts';
import { isSignedBy, type SigningKey } from './signing-key.ts';

/**
 * What stands for archived events (REQUIREMENTS 4): where each log was cut, the causal base of what comes behind, and
 * the standing that the archived events fold to, signed by the node that archived them.
 *
 * - The cut is stable (domain/causal-base.ts): everything behind it follows everything before it. So state and views go
 *   on from the standing exactly as if they had been folded from the first event.
 * - The last archived event of each log stays in the database. So a log always has its head and its hash, and the first
 *   event behind the cut continues one that is there.
 * - Order: the archive file is durable first, then this record, then events are deleted. A crash in between leaves
 *   events that nobody reads any more; the next archiving deletes them.
 * - The signature covers everything; the standing by its SHA-256, so that whoever checks need not understand it.
 */
const Floor = z.object({
  node: z.string(),
  incarnation: z.int().min(1),
  sequence: z.int().min(1),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});
/** The last archived event of one log. */
export type Floor = Readonly<z.infer<typeof Floor>>;

const json = z.record(z.string(), z.unknown());

export const ArchiveBase = z.strictObject({
  cluster: z.string(),
  /** Who archived. */
  node: z.string(),
  /** Everything archived is older than this, ISO 8601. */
  before: z.string(),
  floors: z.array(Floor).min(1),
  /** `CausalBase` of domain/causal-base.ts */
  base: z.looseObject({ length: z.int().min(1) }),
  /** `Standing` of projections/views.ts; null in a redacted export. */
  standing: json.nullable(),
  standinghash: z.string(),
  key: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});
export type ArchiveBase = Readonly<z.infer<typeof ArchiveBase>>;

export type UnsignedBase = Omit<ArchiveBase, 'standinghash' | 'key' | 'signature'>;

const hashOf = (standing: unknown): string => digest('sha256', canonicalJson(standing), 'hex');

export function signBase(unsigned: UnsignedBase, key: SigningKey): ArchiveBase {
  const claim = { ...unsigned, standinghash: hashOf(unsigned.standing), key: key.publicKey };
  return { ...claim, signature: key.sign(textOf(claim)) };
}

const textOf = ({ standing: _, ...claim }: Omit<ArchiveBase, 'signature'>): string => canonicalJson(claim);

/** What of it is not what was signed; undefined when it is whole. Whether the key is its node's is for the caller. */
export function baseFault({ signature, ...claim }: ArchiveBase): 'standing' | 'signature' | undefined {
  if (!isSignedBy(claim.key, textOf(claim), signature)) return 'signature';
  return claim.standing === null || hashOf(claim.standing) === claim.standinghash ? undefined : 'standing';
}

export const floorOf = (base: ArchiveBase | null, node: string, incarnation: number): Floor | undefined =>
  base?.floors.find((floor) => floor.node === node && floor.incarnation === incarnation);

export const baseWrite = (base: ArchiveBase): StoreWrite => ({
  type: 'put',
  key: archiveKey,
  value: seal(JSON.stringify(base)),
});

/** Null where nothing was ever archived, or the record does not verify: then what is missing shows as damage. */
export async function readBase(store: EventStore): Promise<ArchiveBase | null> {
  const record = await store.get(archiveKey).catch(() => undefined);
  const text = record === undefined ? undefined : unseal(record);
  const base = text === undefined ? undefined : ArchiveBase.safeParse(JSON.parse(text)).data;
  return base === undefined || baseFault(base) !== undefined ? null : base;
}
