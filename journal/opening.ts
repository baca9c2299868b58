import { comparePositions, type Heads } from '../domain/envelope.ts';
import { type ArchiveBase, readBase } from './archive-base.ts';
import type { EventStore } from './event-store.ts';
import type { HeadFile } from './head-file.ts';
import { type Damage, JournalError, type LogHead } from './journal.ts';
import { damageAt, type LogPart, readEvent, scanLog, startOf, storedLogs } from './log-scan.ts';
import { isSignatureGood } from './signing-key.ts';
import { verifiedHeads } from './snapshots.ts';

/** What opening found. `earlier` is what the last snapshot vouches for and is verified in the background. */
export interface Opened {
  readonly logs: readonly LogHead[];
  readonly damage: readonly Damage[];
  readonly earlier: readonly LogPart[];
  readonly archived: ArchiveBase | null;
}

/**
 * Verification at open (DESIGN 4), before anything is served:
 *
 * 1. each log from the last snapshot to its end: checksums, hashes, sequence, chain;
 * 2. this node's own log against the head kept outside LevelDB: what is missing was acknowledged (I9);
 * 3. the signed head: signed by this node's key, and a head that the log really had;
 * 4. the logs of others against what that head says this node had of them.
 */
export async function examine(store: EventStore, headFile: FoundHeads, own: Owner): Promise<Opened> {
  try {
    return await examineOnce(store, headFile, own);
  } catch (error) {
    if (!(error instanceof JournalError) || error.code !== 'bad-checksum') throw error;
    await store.salvage();
    return await examineOnce(store, headFile, own);
  }
}

type FoundHeads = Pick<HeadFile, 'found' | 'foundSigned'>;

interface Owner {
  readonly node: string;
  readonly publicKey: string;
}

async function examineOnce(store: EventStore, headFile: FoundHeads, own: Owner): Promise<Opened> {
  const { heads: logs, damage } = await storedLogs(store);
  const archived = await readBase(store);
  const vouched = await verifiedHeads(store);
  const earlier: LogPart[] = [];
  for (const log of logs) {
    const start = startOf(archived, log);
    const base = await baseOf(store, log, vouched, start);
    damage.push(...(await scanLog(store, { ...log, after: base, to: log.sequence })));
    if (base.sequence > start.sequence) earlier.push({ ...log, after: start, to: base.sequence });
  }
  const ownLog = logs.filter(({ node }) => node === own.node).at(-1);
  const found = [
    ...(await headDamage(store, headFile, own.node, ownLog)),
    ...(await signatureDamage(store, headFile, own, ownLog)),
    ...seenDamage(store, headFile, logs),
  ];
  for (const one of found) if (!damage.some((other) => covers(other, one))) damage.push(one);
  return { logs, damage, earlier, archived };
}

async function baseOf(
  store: EventStore,
  log: LogHead,
  vouched: Heads,
  start: LogPart['after'],
): Promise<LogPart['after']> {
  const base = vouched[log.node];
  if (base === undefined || base.incarnation !== log.incarnation || base.sequence > log.sequence)
    return start;
  const event = await readEvent(store, log.node, log.incarnation, base.sequence).catch(() => undefined);
  return event?.hash === base.hash ? base : start;
}

async function headDamage(
  store: EventStore,
  { found, foundSigned }: FoundHeads,
  node: string,
  stored: LogHead | undefined,
): Promise<Damage[]> {
  if (found === undefined) {
    const isNew = stored === undefined && (foundSigned?.sequence ?? 0) === 0;
    return isNew ? [] : [damageAt('head-missing', node, stored?.incarnation ?? 1, 1, stored?.sequence)];
  }
  if (found.sequence === 0) return [];
  if (stored === undefined || comparePositions(stored, found) < 0) {
    const from = stored?.incarnation === found.incarnation ? stored.sequence + 1 : 1;
    const isLogMissing = stored === undefined || !store.isWhole;
    return [
      damageAt(isLogMissing ? 'log-missing' : 'torn-tail', node, found.incarnation, from, found.sequence),
    ];
  }
  const isSame = await holds(store, node, found);
  return isSame ? [] : [rewritten(node, found.incarnation, stored.sequence)];
}

async function signatureDamage(
  store: EventStore,
  { found, foundSigned }: FoundHeads,
  own: Owner,
  stored: LogHead | undefined,
): Promise<Damage[]> {
  const { node, publicKey } = own;
  const { incarnation, sequence } = stored ?? { incarnation: 1, sequence: undefined };
  const isNew = stored === undefined && (found?.sequence ?? 0) === 0;
  if (foundSigned === undefined)
    return isNew ? [] : [damageAt('head-missing', node, incarnation, 1, sequence)];
  if (foundSigned.key !== publicKey || foundSigned.node !== node || !isSignatureGood(foundSigned))
    return [damageAt('bad-signature', node, incarnation, 1, sequence)];
  const isBehind = stored === undefined || comparePositions(stored, foundSigned) < 0;
  if (foundSigned.sequence === 0 || isBehind || (await holds(store, node, foundSigned))) return [];
  return [rewritten(node, foundSigned.incarnation, stored.sequence)];
}

/** Events of others that this node has folded and does not have any more. */
function seenDamage(store: EventStore, { foundSigned }: FoundHeads, logs: readonly LogHead[]): Damage[] {
  return Object.entries(foundSigned?.seen ?? {}).flatMap(([node, { incarnation, sequence }]) => {
    const stored = logs.find((log) => log.node === node && log.incarnation === incarnation)?.sequence ?? 0;
    if (stored >= sequence) return [];
    const code = stored === 0 || !store.isWhole ? 'log-missing' : 'torn-tail';
    return [damageAt(code, node, incarnation, stored + 1, sequence)];
  });
}

/** Unreadable events were reported by the scan: here only another event in the same place counts. */
async function holds(
  store: EventStore,
  node: string,
  head: { readonly incarnation: number; readonly sequence: number; readonly hash: string },
): Promise<boolean> {
  const event = await readEvent(store, node, head.incarnation, head.sequence).catch(() => undefined);
  return event === undefined || event.hash === head.hash;
}

const rewritten = (node: string, incarnation: number, to: number): Damage =>
  damageAt('bad-chain', node, incarnation, 1, to, `the log of ${node} is not the one whose head was kept`);

const covers = (a: Damage, b: Damage): boolean =>
  a.node === b.node &&
  a.incarnation === b.incarnation &&
  a.from <= b.from &&
  (a.to === undefined || (b.to !== undefined && b.to <= a.to));
