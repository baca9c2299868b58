import type { GenerationRecord, Side } from './generations.ts';
import type { Generation } from './vocabulary.ts';

/** What the rows ask. `lead` is the side that would be the source. */
export interface Facts {
  readonly usable: 'both' | 'one' | 'neither';
  /** How the lead's data stand to the other's. */
  readonly relation:
    | 'both-new'
    | 'new'
    | 'same'
    | 'ahead'
    | 'behind'
    | 'diverged'
    | 'contradictory'
    | 'forced'
    | 'unrelated';
  /** The resync that the other side was in when it stopped, as the lead sees it. */
  readonly mark: 'none' | 'goes-on' | 'missed-finish' | 'my-lineage' | 'elsewhere';
  /** Why two replicas of one generation may differ all the same; the first that holds. */
  readonly doubt: 'none' | 'out-of-sync' | 'crashed' | 'missed-finish' | 'marked';
  /** What the lead's intent log for the other counts from, against where the other stands. */
  readonly log: 'exact' | 'covering' | 'missing';
  readonly handedOver: boolean;
  readonly moved: 'both' | 'one' | 'neither';
  readonly sameBase: boolean;
}

const isUsable = ({ current, consistent }: GenerationRecord) => current !== null && consistent;

/** Who would be the source: the usable one, else the newer one, else the one that moved, else by authority. */
export function leadOf(mine: GenerationRecord, theirs: GenerationRecord): Side {
  const usable = Number(isUsable(mine)) - Number(isUsable(theirs));
  if (usable !== 0) return usable > 0 ? 'mine' : 'theirs';
  const relation = relationOf(mine, theirs);
  if (relation === 'ahead') return 'mine';
  if (relation === 'behind') return 'theirs';
  if (relation === 'diverged' && mine.moved !== theirs.moved) return mine.moved ? 'mine' : 'theirs';
  return hasAuthority(mine, theirs) ? 'mine' : 'theirs';
}

/**
 * Between replicas of one generation: the one in sync, the one that serves (its application has read it), the
 * one of the later reign, the one that counted the other out, the one that died as the source; then by name.
 */
function hasAuthority(mine: GenerationRecord, theirs: GenerationRecord): boolean {
  const ranks = [mine, theirs].map((r) => [
    Number(r.inSync),
    Number(r.serving),
    r.epoch,
    Number(r.peerOutOfSync),
    Number(r.crashedSource),
  ]);
  const [own = [], other = []] = ranks;
  const difference = own.map((rank, i) => rank - (other[i] ?? 0)).find((delta) => delta !== 0);
  return difference === undefined ? mine.node < theirs.node : difference > 0;
}

export function factsOf(lead: GenerationRecord, other: GenerationRecord): Facts {
  const usable = Number(isUsable(lead)) + Number(isUsable(other));
  const moved = Number(lead.moved) + Number(other.moved);
  return {
    usable: usable === 2 ? 'both' : usable === 1 ? 'one' : 'neither',
    relation: relationOf(lead, other),
    mark: markOf(lead, other),
    doubt: doubtOf(lead, other),
    log: logOf(lead, other),
    handedOver: lead.logFrom !== null,
    moved: moved === 2 ? 'both' : moved === 1 ? 'one' : 'neither',
    sameBase: lead.base !== null && lead.base === other.base,
  };
}

/** Generations that a replica's data went through, what it stands at included. */
const lineage = ({ current, history, base }: GenerationRecord) =>
  new Set([current, base, ...history].filter((generation) => generation !== null));

const hasPassed = (record: GenerationRecord, generation: Generation | null) =>
  generation !== null && (record.base === generation || record.history.includes(generation));

/** Forced online on bytes that the other has not adopted: what it stands on is no longer in its past. */
const isForcedBeyond = ({ forced }: GenerationRecord, other: GenerationRecord) =>
  forced !== null && forced !== other.forced;

const isLater = (record: GenerationRecord, other: GenerationRecord) =>
  hasPassed(record, other.current) && !isForcedBeyond(record, other);

function relationOf(lead: GenerationRecord, other: GenerationRecord): Facts['relation'] {
  if (lead.current === null) return other.current === null ? 'both-new' : 'behind';
  if (other.current === null) return 'new';
  if (lead.current === other.current) return 'same';
  const past = lineage(other);
  if (![...lineage(lead)].some((generation) => past.has(generation))) return 'unrelated';
  const leadIsLater = isLater(lead, other);
  const otherIsLater = isLater(other, lead);
  if (leadIsLater && otherIsLater) return 'contradictory';
  if (leadIsLater) return 'ahead';
  if (otherIsLater) return 'behind';
  return isForcedBeyond(lead, other) || isForcedBeyond(other, lead) ? 'forced' : 'diverged';
}

function markOf(lead: GenerationRecord, { resyncing }: GenerationRecord): Facts['mark'] {
  if (resyncing === null) return 'none';
  const mine = resyncing.source === lead.node;
  if (mine && lead.base !== null && lead.base === resyncing.base) return 'goes-on';
  if (mine && (lead.base ?? lead.current) === resyncing.generation) return 'missed-finish';
  return lineage(lead).has(resyncing.generation) ? 'my-lineage' : 'elsewhere';
}

function doubtOf(lead: GenerationRecord, other: GenerationRecord): Facts['doubt'] {
  if (lead.inSync !== other.inSync) return 'out-of-sync';
  if (lead.crashedSource || other.crashedSource) return 'crashed';
  if (lead.base !== null || other.base !== null) return 'missed-finish';
  const untrusted = lead.intentLog === 'invalid' || other.intentLog === 'invalid';
  return untrusted || lead.marked || other.marked ? 'marked' : 'none';
}

function logOf({ base, history }: GenerationRecord, { current }: GenerationRecord): Facts['log'] {
  if (base === null || current === null) return 'missing';
  if (base === current) return 'exact';
  const from = history.indexOf(base);
  const at = history.indexOf(current);
  return at >= 0 && from >= 0 && at < from ? 'covering' : 'missing';
}
