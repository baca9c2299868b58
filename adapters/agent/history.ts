import { produce } from 'immer';
import { CausalOrder, causalFacts, type Positions } from '../../domain/causality.ts';
import { type EventEnvelope, parseEventId } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { ClusterState } from '../../domain/state.ts';
import { readEvent } from '../../journal/read-event.ts';
import { type Upcasters, upcast } from '../../journal/upcast.ts';
import { emptyStanding, fold, type Standing } from '../../projections/views.ts';

/** Standings are kept at this distance at most near the end, so that an event that comes late refolds no more than it must. */
const checkpointEvery = 64;
/** Further back the distance grows with the age: this share of it. So they are few, however long the history is (FAULTS I16). */
const checkpointShare = 1 / 8;

export interface Checkpoint {
  readonly place: number;
  readonly standing: Standing;
}

export interface Change {
  readonly before: ClusterState;
  readonly after: ClusterState;
  /** The events that came, in order, with all that stand behind the first of them: these were folded anew. */
  readonly events: readonly AnyEvent[];
}

const upcasters: Upcasters = {};

export const toEvent = (envelope: EventEnvelope): AnyEvent => readEvent(upcast(envelope, upcasters));

function positionsOf(heads: readonly string[]): Positions {
  const positions = heads.map(parseEventId).filter((position) => position !== undefined);
  return Object.fromEntries(
    positions.map(({ node, incarnation, sequence }) => [node, { incarnation, sequence }]),
  );
}

/** The events of all logs in their one order, and what they fold to: the state and the views' memories (DESIGN 2). */
export class History {
  readonly #order = new CausalOrder<EventEnvelope>(causalFacts);
  #checkpoints: Checkpoint[] = [{ place: 0, standing: emptyStanding() }];
  #standing: Standing = emptyStanding();
  #folded = 0;

  get state(): ClusterState {
    return this.#standing.state;
  }

  /** Never changed in place: each event gives the next one. */
  get standing(): Standing {
    return this.#standing;
  }

  get order(): CausalOrder<EventEnvelope> {
    return this.#order;
  }

  /** The events in order, from a place on, up to another. */
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

  /** At the start: takes events in without folding them; `begin` says what they fold to. */
  load(envelopes: readonly EventEnvelope[]): void {
    this.#order.add(envelopes);
  }

  /** @param standing the fold of all loaded events; nobody else changes it */
  begin(standing: Standing): void {
    this.#standing = standing;
    this.#folded = this.#order.length;
    this.#checkpoints = [
      { place: 0, standing: emptyStanding() },
      { place: this.#folded, standing },
    ];
  }

  /** How many events lie up to these heads (event ids, one per log). */
  lengthOf(heads: readonly string[]): number {
    return this.#order.asOf(positionsOf(heads)).length;
  }

  /** Whether the order begins with exactly the events up to these heads. */
  beginsWith(heads: readonly string[]): boolean {
    const events = this.#order.asOf(positionsOf(heads));
    const known = heads.every((id) => events.some((event) => event.id === id));
    return known && events.every((event, place) => event === this.#order.at(place));
  }

  /** Takes events in, in whatever order they come, and folds what can be folded. */
  add(envelopes: readonly EventEnvelope[]): Change {
    const before = this.state;
    const from = Math.min(this.#order.add(envelopes), this.#folded);
    if (from < this.#folded) this.#backTo(from);
    const events = this.events(this.#folded);
    const refolded = from - this.#folded;
    this.#fold(events);
    return { before, after: this.state, events: events.slice(refolded) };
  }

  #backTo(place: number): void {
    this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.place <= place);
    const last = this.checkpointBefore(place);
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
    let next = Number.POSITIVE_INFINITY;
    this.#checkpoints = this.#checkpoints.reduceRight<Checkpoint[]>((kept, checkpoint) => {
      const age = this.#folded - checkpoint.place;
      if (checkpoint.place > 0 && next - checkpoint.place < age * checkpointShare) return kept;
      next = checkpoint.place;
      kept.unshift(checkpoint);
      return kept;
    }, []);
  }
}
