import { type CausalBase, type CausalFacts, isInBase, noBase } from './causal-base.ts';
import { CausalRanks } from './causal-ranks.ts';
import type { EventPosition } from './envelope.ts';

/** The next event in order; the log of which more must be fed first; or nothing, where all that is left waits. */
export type Step<E> = { readonly event: E } | { readonly wants: string } | undefined;

interface Front<E> {
  events: readonly E[];
  at: number;
  isEnded: boolean;
  /** The first event that has not come out, with its rank once nothing that it follows is missing. */
  next: { readonly event: E; readonly facts: CausalFacts; rank: number | undefined } | undefined;
  /** By incarnation: the last sequence that has come out. */
  readonly ends: Map<number, number>;
}

/**
 * The same order as in causality.ts, of logs that are whole, one event after the other: it holds nothing but what was
 * fed and has not come out. So any number of events can be folded in little memory.
 */
export class CausalStream<E> {
  readonly #facts: (event: E) => CausalFacts;
  readonly #base: CausalBase;
  readonly #ranks: CausalRanks;
  readonly #fronts = new Map<string, Front<E>>();

  /** `logs`: the nodes whose logs will be fed, each from behind the base. */
  constructor(facts: (event: E) => CausalFacts, logs: readonly string[], base: CausalBase = noBase) {
    this.#facts = facts;
    this.#base = base;
    this.#ranks = new CausalRanks(base);
    for (const node of logs)
      this.#fronts.set(node, { events: [], at: 0, isEnded: false, next: undefined, ends: new Map() });
  }

  /** The next events of a log, in its order; none: it has no more. */
  feed(node: string, events: readonly E[]): void {
    const front = this.#fronts.get(node);
    if (front === undefined) return;
    front.isEnded ||= events.length === 0;
    front.events = [...front.events.slice(front.at), ...events];
    front.at = 0;
  }

  next(): Step<E> {
    let smallest: Front<E> | undefined;
    for (const [node, front] of this.#fronts) {
      if (front.next === undefined && !this.#advance(front)) {
        if (!front.isEnded) return { wants: node };
        continue;
      }
      if (this.#isReady(front) && (smallest === undefined || isBefore(front, smallest))) smallest = front;
    }
    if (smallest?.next === undefined) return undefined;
    const { event, facts } = smallest.next;
    smallest.ends.set(facts.incarnation, facts.sequence);
    smallest.next = undefined;
    return { event };
  }

  /** What was fed and has not come out: something that it follows is not in these logs. */
  waiting(): E[] {
    return [...this.#fronts.values()].flatMap(({ next, events, at }) => [
      ...(next === undefined ? [] : [next.event]),
      ...events.slice(at),
    ]);
  }

  #advance(front: Front<E>): boolean {
    const event = front.events[front.at];
    if (event === undefined) return false;
    front.at += 1;
    front.next = { event, facts: this.#facts(event), rank: undefined };
    return true;
  }

  #isReady({ next }: Front<E>): boolean {
    if (next === undefined) return false;
    if (next.rank === undefined && next.facts.seen.every((head) => this.#isOut(head)))
      next.rank = this.#ranks.rankOf(next.facts);
    return next.rank !== undefined;
  }

  #isOut(head: EventPosition): boolean {
    const end = this.#fronts.get(head.node)?.ends.get(head.incarnation);
    return (end !== undefined && end >= head.sequence) || isInBase(this.#base, head);
  }
}

function isBefore<E>({ next: a }: Front<E>, { next: b }: Front<E>): boolean {
  if (a?.rank === undefined || b?.rank === undefined) return false;
  return a.rank !== b.rank ? a.rank < b.rank : a.facts.node < b.facts.node;
}
