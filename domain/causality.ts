import {
  baseAfter,
  type CausalBase,
  type CausalFacts,
  isInBase,
  lastEnd,
  noBase,
  nowhere,
  type Position,
  type Positions,
  positionOf,
  stableCut,
} from './causal-base.ts';
import { CausalRanks } from './causal-ranks.ts';
import { comparePositions, type EventEnvelope, type EventPosition, parseSeen } from './envelope.ts';

/**
 * The one order in which every node folds the events of all logs (DESIGN 2 "State", I10).
 *
 * Design note. An event comes after the one before it in its own log and after everything its writer had seen;
 * among the events that may come next, the one with the smallest (epoch, node, incarnation, sequence) does. So the
 * order depends on the set of events alone, not on how they arrived.
 *
 * - An event waits until all it follows is here. A writer's `seen` is what it had *ordered* (`heads`), never what
 *   waits, so its own events never wait, and what it has seen is closed under causality.
 * - The epoch of an event is `data.epoch`; where it names none, the highest epoch of its resource among the events
 *   that it follows (0 at first).
 * - An event that comes late is followed by nothing that is here. So it is put in between, and the others keep
 *   their order: `add` says from which place on the order differs, and only from there is anything folded again.
 *   (The one exception is an event of an incarnation whose successor is here already: all is ordered anew.)
 * - An incarnation begins after all events of the former ones that are here and in order; what waits behind a gap of
 *   a former one does not hold it up (an operator began it because of such a loss).
 * - What lies before a stable cut can be taken away: a base stands for it (causal-base.ts), and places count on. An
 *   event that belongs before the base cannot be put in here: `add` says so, and the order is made anew from an
 *   earlier base.
 */
/** What the order needs to know of an event as it is stored. */
export function causalFacts(event: EventEnvelope): CausalFacts {
  const { node, incarnation, sequence, subject, data } = event;
  const epoch = typeof data['epoch'] === 'number' ? data['epoch'] : null;
  const seen = parseSeen(event.seen) ?? [];
  return { node, incarnation, sequence, subject: subject ?? null, epoch, seen };
}

interface Entry<E> extends CausalFacts {
  readonly event: E;
  /** Place in the order; -1 while it waits. */
  place: number;
  /** Known once everything before it is in order. */
  rank: number;
}

interface Log<E> {
  /** Behind the base, by position, the ones that wait included. */
  entries: Entry<E>[];
  /** How many of them are in order. */
  ordered: number;
}

/** What `add` returns for an event that belongs before the base. */
export const beforeBase = -1;

export class CausalOrder<E> {
  readonly #facts: (event: E) => CausalFacts;
  #base: CausalBase;
  #ranks: CausalRanks;
  #order: Entry<E>[] = [];
  #logs = new Map<string, Log<E>>();
  #waiting = 0;
  #isBeforeBase = false;

  constructor(facts: (event: E) => CausalFacts, base: CausalBase = noBase) {
    this.#facts = facts;
    this.#base = base;
    this.#ranks = new CausalRanks(base);
    for (const node of Object.keys(base.ends)) this.#logOf(node);
  }

  get base(): CausalBase {
    return this.#base;
  }

  /** What the base stands for included. */
  get length(): number {
    return this.#base.length + this.#order.length;
  }

  /** Events that are here while something that they follow is not. */
  get waitingCount(): number {
    return this.#waiting;
  }

  at(place: number): E | undefined {
    return this.#order[place - this.#base.length]?.event;
  }

  /** The events in order, from a place on, up to another, as far as they are not cut off. */
  events(from = 0, to = Number.POSITIVE_INFINITY): readonly E[] {
    const { length } = this.#base;
    return this.#order.slice(Math.max(0, from - length), Math.max(0, to - length)).map(({ event }) => event);
  }

  /** The last ordered event of each log: what a writer has seen. */
  get heads(): Positions {
    const heads: Record<string, Position> = {};
    for (const [node, log] of this.#logs) {
      const last = this.#lastOf(node, log);
      if (last !== nowhere) heads[node] = positionOf(last);
    }
    return heads;
  }

  /**
   * Takes events in, in whatever order they come; those that are here already change nothing. Returns the first
   * place at which the order is another one than before (its former length where events were only appended), or
   * `beforeBase`: then this order is of no use any more.
   */
  add(events: readonly E[]): number {
    let anew = false;
    for (const event of events) anew = this.#keep(event) || anew;
    const changed = anew ? this.#orderAnew() : this.#merge();
    return this.#isBeforeBase ? beforeBase : changed;
  }

  /** The last place, not behind `latest`, at which the order can be cut; undefined where there is none. */
  stablePlace(latest: number): number | undefined {
    return stableCut(this.#base, this.#order, latest - this.#base.length);
  }

  /** Takes away what lies before a stable place. */
  cut(place: number): void {
    const gone = this.#order.splice(0, place - this.#base.length);
    this.#base = baseAfter(this.#base, gone);
    this.#ranks.rebase(this.#base);
    for (const [node, log] of this.#logs) {
      const end = lastEnd(this.#base, node);
      const count = end === undefined ? 0 : firstAfter(log.entries, end);
      this.#waiting -= log.entries.slice(0, count).filter((entry) => entry.place === -1).length;
      log.entries = log.entries.slice(count);
      log.ordered = Math.max(0, log.ordered - count);
    }
  }

  /** The events up to these positions, in order; positions are first widened to all that their events follow. */
  asOf(positions: Positions): readonly E[] {
    const closed = this.#closed(positions);
    return this.#order
      .filter((entry) => comparePositions(entry, closed[entry.node] ?? nowhere) <= 0)
      .map(({ event }) => event);
  }

  /** What a node knew when it wrote its event at `position` (the last one when left out). */
  knownBy(node: string, position?: Position): readonly E[] {
    const last = position ?? this.heads[node];
    return last === undefined ? [] : this.asOf({ [node]: last });
  }

  /**
   * How many events had happened at a moment. Clocks differ, so no cut of the order is right for all of them: this
   * is the one with the fewest events on the wrong side (a single clock that is far off moves it by nothing).
   */
  countAt<T extends string | number>(moment: T, timeOf: (event: E) => T): number {
    let gain = 0;
    let best = 0;
    let count = 0;
    for (const [place, { event }] of this.#order.entries()) {
      gain += timeOf(event) <= moment ? 1 : -1;
      if (gain <= best) continue;
      best = gain;
      count = place + 1;
    }
    return count;
  }

  /** Files an event in its log; true where a later incarnation of that log is in order already. */
  #keep(event: E): boolean {
    const { node, incarnation, sequence, subject, epoch, seen } = this.#facts(event);
    const end = lastEnd(this.#base, node) ?? nowhere;
    if (comparePositions({ incarnation, sequence }, end) <= 0) {
      if (!isInBase(this.#base, { node, incarnation, sequence })) this.#isBeforeBase = true;
      return false;
    }
    const entry = { node, incarnation, sequence, subject, epoch, seen, event, place: -1, rank: 0 };
    const log = this.#logOf(node);
    const index = firstAfter(log.entries, entry);
    const before = log.entries[index - 1];
    if (before !== undefined && comparePositions(before, entry) === 0) return false;
    if (index === log.entries.length) log.entries.push(entry);
    else log.entries.splice(index, 0, entry);
    this.#waiting += 1;
    return index < log.ordered;
  }

  #logOf(node: string): Log<E> {
    const known = this.#logs.get(node);
    if (known !== undefined) return known;
    const log: Log<E> = { entries: [], ordered: 0 };
    this.#logs.set(node, log);
    return log;
  }

  #orderAnew(): number {
    const before = this.#order;
    this.#order = [];
    this.#ranks = new CausalRanks(this.#base);
    this.#waiting = 0;
    for (const log of this.#logs.values()) {
      for (const entry of log.entries) entry.place = -1;
      this.#waiting += log.entries.length;
      log.ordered = 0;
    }
    this.#merge();
    const same = before.findIndex((entry, at) => entry !== this.#order[at]);
    return this.#base.length + (same === -1 ? before.length : same);
  }

  /**
   * Merges what can be ordered now into the part of the order that it can touch. At each step the next of the old
   * order competes with the first of each log; the smaller one comes next.
   */
  #merge(): number {
    const frontier = new Frontier<E>();
    this.#nominate(frontier);
    const candidates = frontier.entries();
    if (candidates.length === 0 || this.#isBeforeBase) return this.length;

    const first = Math.min(...candidates.map((entry) => this.#earliest(entry)));
    const tail = this.#order.splice(first - this.#base.length);
    for (const entry of tail) entry.place = -1;
    frontier.clear();
    let changed: number | undefined;
    for (let taken = 0; ; ) {
      this.#nominate(frontier);
      const old = tail[taken];
      const next = frontier.smallest();
      if (next !== undefined && (old === undefined || compareKeys(next, old) < 0)) {
        changed ??= this.length;
        this.#append(next);
        this.#logOf(next.node).ordered += 1;
        this.#waiting -= 1;
        frontier.remove(next);
      } else if (old !== undefined) {
        this.#append(old);
        taken += 1;
      } else return changed ?? this.length;
    }
  }

  #append(entry: Entry<E>): void {
    entry.place = this.length;
    this.#order.push(entry);
  }

  /** Puts the next entry of each log forward, where nothing that it follows is missing, with its rank. */
  #nominate(frontier: Frontier<E>): void {
    for (const [node, log] of this.#logs) {
      if (!frontier.mayHaveNext(node)) continue;
      const index = nextIndex(log, this.#lastOf(node, log));
      const entry = log.entries[index];
      const missing = entry === undefined ? null : this.#missingFor(entry, log.entries[log.ordered - 1]);
      if (entry === undefined || missing !== undefined) {
        frontier.wait(node, missing ?? null);
        continue;
      }
      log.ordered = index;
      entry.rank = this.#ranks.rankOf(entry);
      this.#isBeforeBase ||= !this.#base.isFinal && !this.#ranks.followsBase(node);
      frontier.put(node, entry);
    }
  }

  /** The first event that this one follows and that is not in order: null where it is not here at all. */
  #missingFor(entry: Entry<E>, before: Entry<E> | undefined): Entry<E> | null | undefined {
    if (before?.place === -1) return before;
    for (const head of entry.seen) {
      if (isInBase(this.#base, head)) continue;
      const seen = this.#seenEntry(head);
      if (seen === undefined) return null;
      if (seen.place === -1) return seen;
    }
    return undefined;
  }

  #seenEntry(head: EventPosition): Entry<E> | undefined {
    const entries = this.#logs.get(head.node)?.entries ?? [];
    const entry = entries[firstAfter(entries, head) - 1];
    return entry !== undefined && comparePositions(entry, head) === 0 ? entry : undefined;
  }

  /** The last event of a log that is in order. */
  #lastOf(node: string, { entries, ordered }: Log<E>): Position {
    return entries[ordered - 1] ?? lastEnd(this.#base, node) ?? nowhere;
  }

  /** The first place that a candidate could take. */
  #earliest(entry: Entry<E>): number {
    const log = this.#logOf(entry.node);
    const before = log.entries[log.ordered - 1];
    const followed = entry.seen.map((head) => this.#seenEntry(head));
    const { length } = this.#base;
    let place = 1 + Math.max(length - 1, ...[before, ...followed].map((other) => other?.place ?? -1));
    for (let next = this.#order[place - length]; next !== undefined; next = this.#order[place - length]) {
      if (compareKeys(entry, next) < 0) break;
      place += 1;
    }
    return place;
  }

  /** The positions, widened until they hold everything that their events follow. */
  #closed(positions: Positions): Positions {
    const closed: Record<string, Position> = {};
    const open: EventPosition[] = Object.entries(positions).map(([node, at]) => ({ node, ...at }));
    for (let head = open.pop(); head !== undefined; head = open.pop()) {
      const from = closed[head.node] ?? nowhere;
      if (comparePositions(head, from) <= 0) continue;
      closed[head.node] = positionOf(head);
      const log = this.#logs.get(head.node);
      const entries = log?.entries.slice(firstAfter(log.entries, from), firstAfter(log.entries, head)) ?? [];
      for (const { seen } of entries) open.push(...seen);
    }
    return closed;
  }
}

/** What may come next: at most one entry per log, and for the other logs what they wait for. */
class Frontier<E> {
  readonly #next = new Map<string, Entry<E>>();
  /** null: for something that is not here. */
  readonly #waitFor = new Map<string, Entry<E> | null>();

  entries(): readonly Entry<E>[] {
    return [...this.#next.values()];
  }

  put(node: string, entry: Entry<E>): void {
    this.#next.set(node, entry);
  }

  wait(node: string, entry: Entry<E> | null): void {
    this.#waitFor.set(node, entry);
  }

  mayHaveNext(node: string): boolean {
    if (this.#next.has(node)) return false;
    const waitsFor = this.#waitFor.get(node);
    return waitsFor === undefined || (waitsFor !== null && waitsFor.place !== -1);
  }

  remove({ node }: Entry<E>): void {
    this.#next.delete(node);
    this.#waitFor.delete(node);
  }

  clear(): void {
    this.#next.clear();
    this.#waitFor.clear();
  }

  smallest(): Entry<E> | undefined {
    let smallest: Entry<E> | undefined;
    for (const entry of this.#next.values()) {
      if (smallest === undefined || compareKeys(entry, smallest) < 0) smallest = entry;
    }
    return smallest;
  }
}

/** Where the next event of a log lies: behind the last ordered one, or where a later incarnation begins. */
function nextIndex<E>({ entries, ordered }: Log<E>, { incarnation, sequence }: Position): number {
  const next = entries[ordered];
  if (next?.incarnation === incarnation && next.sequence === sequence + 1) return ordered;
  for (let index = ordered; index < entries.length; index++) {
    const entry = entries[index];
    if (entry !== undefined && entry.sequence === 1 && entry.incarnation > incarnation) return index;
  }
  return entries.length;
}

const compareKeys = <E>(a: Entry<E>, b: Entry<E>): number =>
  a.rank - b.rank || (a.node < b.node ? -1 : a.node > b.node ? 1 : comparePositions(a, b));

/** Index of the first entry behind a position. */
function firstAfter(entries: readonly Position[], position: Position): number {
  let low = 0;
  let high = entries.length;
  const last = entries[high - 1];
  if (last === undefined || comparePositions(last, position) <= 0) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle];
    if (entry !== undefined && comparePositions(entry, position) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
