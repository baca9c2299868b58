import { type Facts, factsOf, leadOf } from './generation-facts.ts';
import {
  type IntentLogState,
  peerOf,
  type ReplicaGenerations,
  type ResyncKind,
  type ResyncMark,
} from './generation-state.ts';
import type { Epoch, Generation, NodeName } from './vocabulary.ts';

/**
 * May two replicas be resynced, in which direction, partially or fully, or have they split? (REQUIREMENTS 1
 * "generation", rules 12 and 13; DESIGN 2 "Generations"; the model is DRBD 9's generation identifiers.)
 *
 * Design note. Both sides send a `GenerationRecord` about themselves and the other in the handshake; both
 * evaluate the same table and come to mirror images of one verdict. Rows are disjoint: exactly one matches every
 * pair of records, however damaged; what makes no sense never moves a byte. Records say what is durable, so:
 *
 * - The lead of a row is the side whose data would win. Only a *usable* replica (it has data, and they are
 *   consistent) can be one, and never one that is behind the other (I7).
 * - A resync is partial when both sides keep an intent log for each other and the lead's counts from a point
 *   that the other has not passed; the bits of both together then cover every difference (I5). Else it is full.
 * - Two replicas have split when each began a generation after it had lost the other (I4). A generation that one
 *   side began while it still counted the other in was never used without it: that side gives way.
 * - A verdict never ends a reign: where it makes a serving replica the target, nothing is copied until that one
 *   has left service; then the two compare again (rule 12: at most one wrote).
 * - `in-sync` and a finished resync have the same follow-up: where one of the two serves, it applies
 *   `resyncSourceFinished`, then the other `resyncTargetFinished`; two targets change nothing.
 *
 * adapters/block's ReplicaMetadata holds `ReplicaGenerations`; `generationRecord` makes the record of it.
 */
export interface GenerationRecord {
  readonly node: NodeName;
  /** null: brand-new, never had data. */
  readonly current: Generation | null;
  readonly history: readonly Generation[];
  readonly forced: Generation | null;
  /** The generation that the intent log for the other side counts from. */
  readonly base: Generation | null;
  /** This side recorded the other as out of sync. */
  readonly peerOutOfSync: boolean;
  /** This side began a generation after it had lost the other. */
  readonly moved: boolean;
  readonly intentLog: IntentLogState;
  /** The former source whose intent log for the other side was handed over to this one. */
  readonly logFrom: NodeName | null;
  /** The intent log for the other side has marked regions; without one: they did not part in order. */
  readonly marked: boolean;
  readonly inSync: boolean;
  readonly consistent: boolean;
  readonly resyncing: ResyncMark | null;
  readonly serving: boolean;
  /** It was serving when it died and has not served since. */
  readonly crashedSource: boolean;
  /** Highest epoch served or followed. */
  readonly epoch: Epoch;
}

/** What the engine knows beside the generations. */
export type ReplicaSituation = Pick<
  GenerationRecord,
  'node' | 'serving' | 'crashedSource' | 'epoch' | 'marked'
>;

export function generationRecord(
  replica: ReplicaGenerations,
  peer: NodeName,
  situation: ReplicaSituation,
): GenerationRecord {
  const { base, outOfSync, moved, intentLog, logFrom } = peerOf(replica, peer);
  const { inSync, consistent, resyncing } = replica;
  const { current, history, forced } = replica.generation;
  const about = { base, peerOutOfSync: outOfSync, moved, intentLog, logFrom };
  return { ...situation, ...about, current, history, forced, inSync, consistent, resyncing };
}

export type Side = 'mine' | 'theirs';

export type Verdict =
  | { readonly verdict: 'in-sync'; readonly row: string }
  | { readonly verdict: 'resync'; readonly source: Side; readonly kind: ResyncKind; readonly row: string }
  | {
      readonly verdict: 'split-brain';
      readonly since: 'common-parent' | 'older' | 'forced';
      readonly row: string;
    }
  | { readonly verdict: 'unrelated'; readonly row: string }
  /** Nothing to copy from: neither is usable, or the usable one is not the newer one. */
  | { readonly verdict: 'no-source'; readonly row: string };

type Outcome =
  | 'in-sync'
  | 'partial'
  | 'full'
  | 'common-parent'
  | 'older'
  | 'forced'
  | 'unrelated'
  | 'no-source';

export interface Row {
  readonly row: string;
  readonly sentence: string;
  readonly when: (facts: Facts) => boolean;
  /** `partial` becomes `full` where one side keeps no intent log. */
  readonly outcome: Outcome;
}

const none = ({ usable }: Facts) => usable === 'neither';
const one = ({ usable }: Facts) => usable === 'one';
const same = ({ usable, relation }: Facts) => usable === 'both' && relation === 'same';
const ahead = ({ usable, relation }: Facts) => usable === 'both' && relation === 'ahead';
const diverged = ({ usable, relation }: Facts) => usable === 'both' && relation === 'diverged';
/** Each stands in the history of the other: no run of the product brings that about. */
const contradictory = ({ usable, relation }: Facts) => usable === 'both' && relation === 'contradictory';
const resumable = ({ mark }: Facts) => mark === 'goes-on' || mark === 'missed-finish';
const related = ({ relation, mark }: Facts) => relation !== 'unrelated' || mark === 'my-lineage';
const notNewer = ({ relation, mark }: Facts) =>
  relation === 'same' || relation === 'ahead' || mark === 'my-lineage';
const broken = (f: Facts) => one(f) && !resumable(f) && f.relation !== 'new';
const tracked = ({ log, mark }: Facts) => log === 'exact' && mark === 'my-lineage';

export const rows: readonly Row[] = [
  {
    row: 'a',
    sentence: 'both are brand-new',
    when: (f) => none(f) && f.relation === 'both-new',
    outcome: 'no-source',
  },
  {
    row: 'b',
    sentence: 'neither has consistent data',
    when: (f) => none(f) && f.relation !== 'both-new',
    outcome: 'no-source',
  },
  {
    row: 'c',
    sentence: 'one is brand-new',
    when: (f) => one(f) && !resumable(f) && f.relation === 'new',
    outcome: 'full',
  },
  {
    row: 'd',
    sentence: 'a resync was interrupted and goes on',
    when: (f) => one(f) && f.mark === 'goes-on',
    outcome: 'partial',
  },
  {
    row: 'e',
    sentence: 'missed finish: the source finished the resync, the target did not hear it',
    when: (f) => one(f) && f.mark === 'missed-finish',
    outcome: 'partial',
  },
  {
    row: 'f',
    sentence: 'a resync with a third replica of the same lineage was interrupted; the intent log covers it',
    when: (f) => broken(f) && notNewer(f) && tracked(f),
    outcome: 'partial',
  },
  {
    row: 'g',
    sentence: 'the other is inconsistent, and not newer',
    when: (f) => broken(f) && notNewer(f) && !tracked(f),
    outcome: 'full',
  },
  {
    row: 'h',
    sentence: 'the inconsistent one is newer, or has split from the consistent one',
    when: (f) => broken(f) && !notNewer(f) && related(f),
    outcome: 'no-source',
  },
  {
    row: 'i',
    sentence: 'no common past, and one is inconsistent',
    when: (f) => broken(f) && !notNewer(f) && !related(f),
    outcome: 'unrelated',
  },
  {
    row: 'j',
    sentence: 'in sync: the same generation, and nothing was under way',
    when: (f) => same(f) && f.doubt === 'none',
    outcome: 'in-sync',
  },
  {
    row: 'k',
    sentence: 'the same generation, and one recorded itself as out of sync',
    when: (f) => same(f) && f.doubt === 'out-of-sync',
    outcome: 'partial',
  },
  {
    row: 'l',
    sentence: 'the same generation, and the last source crashed',
    when: (f) => same(f) && f.doubt === 'crashed',
    outcome: 'partial',
  },
  {
    row: 'm',
    sentence: 'missed finish: the same generation, but one still counts from an older one',
    when: (f) => same(f) && f.doubt === 'missed-finish',
    outcome: 'partial',
  },
  {
    row: 'n',
    sentence: 'the same generation, but writes were under way when they parted',
    when: (f) => same(f) && f.doubt === 'marked',
    outcome: 'partial',
  },
  {
    row: 'o',
    sentence: 'one stayed at the generation at which the other lost it',
    when: (f) => ahead(f) && f.log === 'exact' && !f.handedOver,
    outcome: 'partial',
  },
  {
    row: 'p',
    sentence:
      'one stayed at the generation at which a former source lost it, which handed over its intent log',
    when: (f) => ahead(f) && f.log === 'exact' && f.handedOver,
    outcome: 'partial',
  },
  {
    row: 'q',
    sentence: 'one stands in the history of the other, and the intent log goes back beyond it',
    when: (f) => ahead(f) && f.log === 'covering',
    outcome: 'partial',
  },
  {
    row: 'r',
    sentence: 'one stands in the history of the other, and no intent log goes back to it',
    when: (f) => ahead(f) && f.log === 'missing',
    outcome: 'full',
  },
  {
    row: 's',
    sentence: 'both went on from a common parent, but only one without the other',
    when: (f) => diverged(f) && f.moved === 'one' && f.sameBase,
    outcome: 'partial',
  },
  {
    row: 't',
    sentence: 'both went on from an older common generation, but only one without the other',
    when: (f) => diverged(f) && f.moved === 'one' && !f.sameBase,
    outcome: 'full',
  },
  {
    row: 'u',
    sentence: 'split brain from a common parent: each wrote without the other',
    when: (f) => diverged(f) && f.moved !== 'one' && f.sameBase,
    outcome: 'common-parent',
  },
  {
    row: 'v',
    sentence: 'split brain from older history',
    when: (f) => (diverged(f) && f.moved !== 'one' && !f.sameBase) || contradictory(f),
    outcome: 'older',
  },
  {
    row: 'w',
    sentence: 'one was forced online on inconsistent data, and the other has not adopted them',
    when: (f) => f.usable === 'both' && f.relation === 'forced',
    outcome: 'forced',
  },
  {
    row: 'x',
    sentence: 'unrelated: no common past',
    when: (f) => f.usable === 'both' && f.relation === 'unrelated',
    outcome: 'unrelated',
  },
];

/** What this replica and the other are to each other. The other one comes to the mirror image. */
export function compareGenerations(mine: GenerationRecord, theirs: GenerationRecord): Verdict {
  const [row] = matchingRows(mine, theirs);
  if (row === undefined) throw new Error(`no row for ${JSON.stringify([mine, theirs])}`);
  const logsKept = mine.intentLog === 'kept' && theirs.intentLog === 'kept';
  return verdictOf(row, leadOf(mine, theirs), logsKept);
}

/** Exactly one, whatever the records say (test/domain/generations.test.ts). */
export function matchingRows(mine: GenerationRecord, theirs: GenerationRecord): readonly Row[] {
  const [lead, other] = leadOf(mine, theirs) === 'mine' ? [mine, theirs] : [theirs, mine];
  const facts = factsOf(lead, other);
  return rows.filter(({ when }) => when(facts));
}

function verdictOf({ row, outcome }: Row, source: Side, logsKept: boolean): Verdict {
  switch (outcome) {
    case 'partial':
      return { verdict: 'resync', source, kind: logsKept ? 'partial' : 'full', row };
    case 'full':
      return { verdict: 'resync', source, kind: 'full', row };
    case 'common-parent':
    case 'older':
    case 'forced':
      return { verdict: 'split-brain', since: outcome, row };
    case 'in-sync':
    case 'unrelated':
    case 'no-source':
      return { verdict: outcome, row };
    default:
      return outcome satisfies never;
  }
}
