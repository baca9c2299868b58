import { Immer } from 'immer';
import { type CausalBase, noBase } from '../../domain/causal-base.ts';
import { beforeBase, CausalOrder, causalFacts } from '../../domain/causality.ts';
import type { EventEnvelope, Head, Heads } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { ClusterState } from '../../domain/state.ts';
import type { ArchiveBase } from '../../journal/archive-base.ts';
import { readEvent } from '../../journal/read-event.ts';
import { emptyStanding, fold, type Standing } from '../../projections/views.ts';

/** Standings are kept at this distance at most near the end, so that an event that comes late refolds no more than it must. */
const checkpointEvery = 64;
/** Further back the distance grows with the age: this share of it. So they are few, however long the history is (FAULTS I16). */
const checkpointShare = 1 / 8;
/** How many events are in memory: what comes late concerns these, all but always. Older ones are in the journal only. */
export interface Window {
  readonly min: number;
  readonly max: number;
}

const usualWindow: Window = { min: 2048, max: 4096 };

export interface Checkpoint {
  readonly place: number;
  readonly standing: Standing;
}

export interface Change {
  readonly before: ClusterState;
  readonly after: ClusterState;
  /** The events that came, in order, with all that stand behind the first of them: these were folded anew. */
  readonly events: readonly AnyEvent[];
  /** A part of the past was folded anew that is not in memory: anything may be another than before. */
  readonly isRefolded?: boolean;
}

/** What the events before a stable cut fold to: all that must be known of them to go on. Plain JSON. */
export interface Cut {
  readonly base: CausalBase;
  /** Of the last event before the cut in each log. */
  readonly heads: Heads;
  readonly standing: Standing;
}

export const toEvent = readEvent;

/** What it gives is never changed in place; to freeze it each time would cost a fifth of the fold. */
const { produce } = new Immer({ autoFreeze: false });

/** Where the journal begins after an archiving: a copy, which nobody else changes. */
export function archivedCut({ floors, base, standing }: ArchiveBase): Cut {
  const heads: Record<string, Head> = {};
  for (const { node, incarnation, sequence, hash } of floors)
    if (incarnation >= (heads[node]?.incarnation ?? 0)) heads[node] = { incarnation, sequence, hash };
  return structuredClone({ base, heads, standing }) as unknown as Cut;
}

const nothing = (): Cut => ({ base: noBase, heads: {}, standing: emptyStanding() });

/**
 * The events of all logs in their one order, and what they fold to: the state and the views' memories (DESIGN 2).
 * A cut stands for the older ones, so that memory does not grow with the history.
 */
export class History {
  readonly #window: Window;
  #order: CausalOrder<EventEnvelope>;
  /** The first one stands at the cut. */
  #checkpoints: Checkpoint[];
  #heads: Heads;
  #standing: Standing;
  #folded: number;

  /** @param cut its standing is nobody else's */
  constructor(cut: Cut = nothing(), window: Window = usualWindow) {
    this.#window = window;
    this.#order = new CausalOrder(causalFacts, cut.base);
    this.#heads = cut.heads;
    this.#standing = cut.standing;
    this.#folded = cut.base.length;
    this.#checkpoints = [{ place: this.#folded, standing: cut.standing }];
  }

  get state(): ClusterState {
    return this.#standing.state;
  }

  /** Never changed in place once everything is loaded: each event gives the next one. */
  get standing(): Standing {
    return this.#standing;
  }

  get length(): number {
    return this.#order.length;
  }

  get order(): CausalOrder<EventEnvelope> {
    return this.#order;
  }

  get window(): Window {
    return this.#window;
  }

  /** So many events can be cut off that it is worth while. */
  get isLong(): boolean {
    return this.#order.length - this.#order.base.length >= this.#window.max;
  }

  /** The events in order, from a place on, up to another, as far as they are not cut off. */
  events(from = 0, to = Number.POSITIVE_INFINITY): readonly AnyEvent[] {
    return this.#order.events(from, to).map(toEvent);
  }

  /** The last standing that is kept of the places up to this one. */
  checkpointBefore(place: number): Checkpoint {
    return (
      this.#checkpoints.findLast((checkpoint) => checkpoint.place <= place) ?? {
        place: 0,
        standing: emptyStanding(),
      }
    );
  }

  /**
   * At the start: the events behind the cut, in order. Folded fast, in place; `begin` ends it. False where one belongs
   * before the cut: then an earlier one is needed.
   */
  load(ordered: readonly EventEnvelope[]): boolean {
    if (this.#order.add(ordered) === beforeBase) return false;
    const place = this.isLong ? this.#stablePlace() : undefined;
    if (place === undefined) return true;
    fold(this.#standing, this.events(this.#folded, place));
    this.#cutAt(place, this.#standing);
    return true;
  }

  begin(): void {
    this.#fold(this.events(this.#folded));
  }

  /** Takes events in, in whatever order they come, and folds what can be folded. Undefined as `load` is false. */
  add(envelopes: readonly EventEnvelope[]): Change | undefined {
    const before = this.state;
    const changed = this.#order.add(envelopes);
    if (changed === beforeBase) return undefined;
    const from = Math.min(changed, this.#folded);
    if (from < this.#folded) this.#backTo(from);
    const events = this.events(this.#folded);
    const refolded = from - this.#folded;
    this.#fold(events);
    return { before, after: this.state, events: events.slice(refolded) };
  }

  /** Cuts off what is old enough; undefined where nothing is, or events go past each other all the time. */
  cut(): Cut | undefined {
    const place = this.#stablePlace();
    const last = place === undefined ? undefined : this.#checkpoints.findLast((one) => one.place <= place);
    if (place === undefined || last === undefined) return undefined;
    const events = this.events(last.place, place);
    const standing = produce(last.standing, (draft: Standing) => fold(draft, events));
    this.#cutAt(place, standing);
    return this.lastCut;
  }

  get lastCut(): Cut {
    const standing = this.#checkpoints[0]?.standing ?? this.#standing;
    return { base: this.#order.base, heads: this.#heads, standing };
  }

  /** Goes on as another one, which nobody uses any more. */
  become(other: History): void {
    this.#order = other.#order;
    this.#checkpoints = other.#checkpoints;
    this.#heads = other.#heads;
    this.#standing = other.#standing;
    this.#folded = other.#folded;
  }

  #stablePlace(): number | undefined {
    return this.#order.stablePlace(this.#order.length - this.#window.min);
  }

  #cutAt(place: number, standing: Standing): void {
    const heads: Record<string, Head> = { ...this.#heads };
    for (const { node, incarnation, sequence, hash } of this.#order.events(0, place))
      heads[node] = { incarnation, sequence, hash };
    this.#heads = heads;
    this.#order.cut(place);
    this.#folded = Math.max(this.#folded, place);
    const later = this.#checkpoints.filter((checkpoint) => checkpoint.place > place);
    this.#checkpoints = [{ place, standing }, ...later];
  }

  #backTo(place: number): void {
    this.#checkpoints = this.#checkpoints.filter((checkpoint, at) => at === 0 || checkpoint.place <= place);
    const last = this.#checkpoints.at(-1);
    if (last === undefined) return;
    this.#standing = last.standing;
    this.#folded = last.place;
  }

  /** Many at once: what immer copies, it copies once for all of them. */
  #fold(events: readonly AnyEvent[]): void {
    for (let at = 0; at < events.length; ) {
      const count = Math.min(events.length - at, checkpointEvery - (this.#folded % checkpointEvery));
      const some = events.slice(at, at + count);
      this.#standing = produce(this.#standing, (draft: Standing) => fold(draft, some));
      this.#folded += count;
      at += count;
      if (this.#folded % checkpointEvery === 0) this.#keep();
    }
  }

  #keep(): void {
    this.#checkpoints.push({ place: this.#folded, standing: this.#standing });
    const first = this.#checkpoints[0]?.place ?? 0;
    let next = Number.POSITIVE_INFINITY;
    this.#checkpoints = this.#checkpoints.reduceRight<Checkpoint[]>((kept, checkpoint) => {
      const age = this.#folded - checkpoint.place;
      if (checkpoint.place > first && next - checkpoint.place < age * checkpointShare) return kept;
      next = checkpoint.place;
      kept.unshift(checkpoint);
      return kept;
    }, []);
  }
}
