import {
  comparePositions,
  type EventEnvelope,
  type EventPosition,
  parseSeen,
  type SeenHead,
} from './envelope.ts';

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
 */
export interface CausalFacts extends EventPosition {
  readonly subject: string | null;
  /** The epoch that the event itself names. */
  readonly epoch: number | null;
  readonly seen: readonly SeenHead[];
}

/** What the order needs to know of an event as it is stored. */
export function causalFacts(event: EventEnvelope): CausalFacts {
  const { node, incarnation, sequence, subject, data } = event;
  const epoch = typeof data['epoch'] === 'number' ? data['epoch'] : null;
  const seen = parseSeen(event.seen) ?? [];
  return { node, incarnation, sequence, subject: subject ?? null, epoch, seen };
}

/** Where a log stands in an order, or in a past state: its last event; 0/0 for none. */
export interface Position {
  readonly incarnation: number;
  readonly sequence: number;
}

export type Positions = Readonly<Record<string, Position>>;

interface Entry<E> extends CausalFacts {
  readonly event: E;
  /** Place in the order; -1 while it waits. */
  place: number;
  /** Known once everything before it is in order. */
  rank: number;
}

interface Log<E> {
  /** By position, the ones that wait included. */
  readonly entries: Entry<E>[];
  /** How many of them are in order. */
  ordered: number;
  /** The highest epoch per resource that its last ordered event follows. */
  readonly epochs: Map<string, number>;
  /** Per other log: how many of its events are accounted for in `epochs`. */
  readonly accounted: Map<string, number>;
}

const nowhere: Position = { incarnation: 0, sequence: 0 };

export class CausalOrder<E> {
  readonly #facts: (event: E) => CausalFacts;
  #order: Entry<E>[] = [];
  #logs = new Map<string, Log<E>>();
  #waiting = 0;

  constructor(facts: (event: E) => CausalFacts) {
    this.#facts = facts;
  }

  get length(): number {
    return this.#order.length;
  }

  /** Events that are here while something that they follow is not. */
  get waitingCount(): number {
    return this.#waiting;
  }

  at(place: number): E | undefined {
    return this.#order[place]?.event;
  }

  /** The events in order, from a place on, up to another. */
  events(from = 0, to = Number.POSITIVE_INFINITY): readonly E[] {
    return this.#order.slice(from, to).map(({ event }) => event);
  }

  /** The last ordered event of each log: what a writer has seen. */
  get heads(): Positions {
    const heads: Record<string, Position> = {};
    for (const [node, { entries, ordered }] of this.#logs) {
      const last = entries[ordered - 1];
      if (last !== undefined) heads[node] = positionOf(last);
    }
    return heads;
  }

  /**
   * Takes events in, in whatever order they come; those that are here already change nothing. Returns the first
   * place at which the order is another one than before (its former length where events were only appended).
   */
  add(events: readonly E[]): number {
    let anew = false;
    for (const event of events) anew = this.#keep(event) || anew;
    return anew ? this.#orderAnew() : this.#merge();
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
    const log: Log<E> = { entries: [], ordered: 0, epochs: new Map(), accounted: new Map() };
    this.#logs.set(node, log);
    return log;
  }

  #orderAnew(): number {
    const before = this.#order;
    this.#order = [];
    this.#waiting = 0;
    for (const log of this.#logs.values()) {
      for (const entry of log.entries) entry.place = -1;
      this.#waiting += log.entries.length;
      log.ordered = 0;
      log.epochs.clear();
      log.accounted.clear();
    }
    this.#merge();
    const same = before.findIndex((entry, place) => entry !== this.#order[place]);
    return same === -1 ? before.length : same;
  }

  /**
   * Merges what can be ordered now into the part of the order that it can touch. At each step the next of the old
   * order competes with the first of each log; the smaller one comes next.
   */
  #merge(): number {
    const frontier = new Frontier<E>();
    this.#nominate(frontier);
    const candidates = frontier.entries();
    if (candidates.length === 0) return this.#order.length;

    const tail = this.#order.splice(Math.min(...candidates.map((entry) => this.#earliest(entry))));
    for (const entry of tail) entry.place = -1;
    frontier.clear();
    let changed: number | undefined;
    for (let taken = 0; ; ) {
      this.#nominate(frontier);
      const old = tail[taken];
      const next = frontier.smallest();
      if (next !== undefined && (old === undefined || compareKeys(next, old) < 0)) {
        changed ??= this.#order.length;
        this.#append(next);
        this.#logOf(next.node).ordered += 1;
        this.#waiting -= 1;
        frontier.remove(next);
      } else if (old !== undefined) {
        this.#append(old);
        taken += 1;
      } else return changed ?? this.#order.length;
    }
  }

  #append(entry: Entry<E>): void {
    entry.place = this.#order.length;
    this.#order.push(entry);
  }

  /** Puts the next entry of each log forward, where nothing that it follows is missing, with its rank. */
  #nominate(frontier: Frontier<E>): void {
    for (const [node, log] of this.#logs) {
      if (!frontier.mayHaveNext(node)) continue;
      const index = nextIndex(log);
      const entry = log.entries[index];
      const missing = entry === undefined ? null : this.#missingFor(entry, log.entries[log.ordered - 1]);
      if (entry === undefined || missing !== undefined) {
        frontier.wait(node, missing ?? null);
        continue;
      }
      log.ordered = index;
      this.#account(log, entry);
      const known = entry.subject === null ? 0 : (log.epochs.get(entry.subject) ?? 0);
      entry.rank = entry.epoch ?? known;
      if (entry.subject !== null) log.epochs.set(entry.subject, Math.max(known, entry.rank));
      frontier.put(node, entry);
    }
  }

  /** The first event that this one follows and that is not in order: null where it is not here at all. */
  #missingFor(entry: Entry<E>, before: Entry<E> | undefined): Entry<E> | null | undefined {
    if (before?.place === -1) return before;
    for (const head of entry.seen) {
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

  /** Counts the epochs of the events that this one newly follows. */
  #account(log: Log<E>, entry: Entry<E>): void {
    for (const head of entry.seen) {
      const entries = this.#logs.get(head.node)?.entries ?? [];
      const until = firstAfter(entries, head);
      for (let index = log.accounted.get(head.node) ?? 0; index < until; index++) {
        const { subject, rank } = entries[index] ?? entry;
        if (subject !== null) log.epochs.set(subject, Math.max(rank, log.epochs.get(subject) ?? 0));
      }
      log.accounted.set(head.node, Math.max(until, log.accounted.get(head.node) ?? 0));
    }
  }

  /** The first place that a candidate could take. */
  #earliest(entry: Entry<E>): number {
    const log = this.#logOf(entry.node);
    const before = log.entries[log.ordered - 1];
    const followed = entry.seen.map((head) => this.#seenEntry(head));
    let place = 1 + Math.max(-1, ...[before, ...followed].map((other) => other?.place ?? -1));
    for (let next = this.#order[place]; next !== undefined; next = this.#order[place]) {
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
function nextIndex<E>({ entries, ordered }: Log<E>): number {
  const { incarnation, sequence } = entries[ordered - 1] ?? nowhere;
  const next = entries[ordered];
  if (next?.incarnation === incarnation && next.sequence === sequence + 1) return ordered;
  for (let index = ordered; index < entries.length; index++) {
    const entry = entries[index];
    if (entry !== undefined && entry.sequence === 1 && entry.incarnation > incarnation) return index;
  }
  return entries.length;
}

const positionOf = ({ incarnation, sequence }: Position): Position => ({ incarnation, sequence });

const compareKeys = <E>(a: Entry<E>, b: Entry<E>): number =>
  a.rank - b.rank || (a.node < b.node ? -1 : a.node > b.node ? 1 : comparePositions(a, b));

/** Index of the first entry behind a position. */
function firstAfter<E>(entries: readonly Entry<E>[], position: Position): number {
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
