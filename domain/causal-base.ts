import { comparePositions, type EventPosition, type SeenHead } from './envelope.ts';

/** What the order needs to know of an event: see causality.ts. */
export interface CausalFacts extends EventPosition {
  readonly subject: string | null;
  /** The epoch that the event itself names. */
  readonly epoch: number | null;
  readonly seen: readonly SeenHead[];
}

/** Where a log stands in an order, or in a past state: its last event; 0/0 for none. */
export interface Position {
  readonly incarnation: number;
  readonly sequence: number;
}

export type Positions = Readonly<Record<string, Position>>;

export const nowhere: Position = { incarnation: 0, sequence: 0 };

export const positionOf = ({ incarnation, sequence }: Position): Position => ({ incarnation, sequence });

/**
 * What an order must know of its first events once they are taken away: plain JSON, part of every snapshot.
 *
 * It stands for a *stable* cut: every event behind it follows every event before it. So the epochs of what is cut off
 * are one number per resource, and an event that does not follow all of it belongs before it.
 */
export interface CausalBase {
  /** How many events are cut off. */
  readonly length: number;
  /** By node: the last event of each incarnation, ascending. */
  readonly ends: Readonly<Record<string, readonly Position[]>>;
  /** By node: what its last event here follows of the other logs. */
  readonly known: Readonly<Record<string, Positions>>;
  /** By resource: the highest epoch. */
  readonly epochs: Readonly<Record<string, number>>;
  /** What it stands for is archived: an event that belongs before it comes right behind it instead. */
  readonly isFinal?: true;
}

export const noBase: CausalBase = { length: 0, ends: {}, known: {}, epochs: {} };

export const lastEnd = ({ ends }: CausalBase, node: string): Position | undefined => ends[node]?.at(-1);

export const isInBase = ({ ends }: CausalBase, { node, incarnation, sequence }: EventPosition): boolean =>
  ends[node]?.some((end) => end.incarnation === incarnation && end.sequence >= sequence) ?? false;

/**
 * How many of the events, which stand behind the base, can be cut off, `most` at most: each that stays must follow each
 * that goes. A log follows more and more, so its first event that stays tells for all of them.
 */
export function stableCut(
  base: CausalBase,
  events: readonly CausalFacts[],
  most: number,
): number | undefined {
  const heads: Record<string, Position> = {};
  for (const node of Object.keys(base.ends)) heads[node] = lastEnd(base, node) ?? nowhere;
  const known: Record<string, Positions> = { ...base.known };
  const steps = events.map(({ node, incarnation, sequence, seen }) => {
    const before = heads[node];
    heads[node] = { incarnation, sequence };
    if (seen.length > 0) known[node] = widened(known[node] ?? {}, seen);
    return { node, before, known: known[node] ?? {} };
  });
  const staying: Record<string, Positions> = {};
  for (let count = events.length; count > 0; count -= 1) {
    if (count <= most && everyFollows(staying, heads)) return base.length + count;
    const step = steps[count - 1];
    if (step === undefined) continue;
    staying[step.node] = step.known;
    if (step.before === undefined) delete heads[step.node];
    else heads[step.node] = step.before;
  }
  return undefined;
}

const everyFollows = (logs: Readonly<Record<string, Positions>>, heads: Positions): boolean =>
  Object.entries(logs).every(([node, known]) =>
    Object.entries(heads).every(
      ([other, head]) => other === node || comparePositions(known[other] ?? nowhere, head) >= 0,
    ),
  );

function widened(known: Positions, seen: CausalFacts['seen']): Positions {
  const wider: Record<string, Position> = { ...known };
  for (const head of seen)
    if (comparePositions(wider[head.node] ?? nowhere, head) < 0) wider[head.node] = positionOf(head);
  return wider;
}

/** The base that also stands for these events, which come next. */
export function baseAfter(
  base: CausalBase,
  events: readonly (CausalFacts & { readonly rank: number })[],
): CausalBase {
  const ends: Record<string, readonly Position[]> = { ...base.ends };
  const known: Record<string, Positions> = { ...base.known };
  const epochs: Record<string, number> = { ...base.epochs };
  for (const { node, incarnation, sequence, subject, rank, seen } of events) {
    const others = (ends[node] ?? []).filter((end) => end.incarnation !== incarnation);
    ends[node] = [...others, { incarnation, sequence }];
    if (seen.length > 0) known[node] = widened(known[node] ?? {}, seen);
    if (subject !== null) epochs[subject] = Math.max(rank, epochs[subject] ?? 0);
  }
  return { length: base.length + events.length, ends, known, epochs };
}
