import { CausalOrder, causalFacts, type Positions } from '../../domain/causality.ts';
import { type EventEnvelope, parseEventId } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import { evolve } from '../../domain/evolve.ts';
import { type ClusterState, emptyState } from '../../domain/state.ts';
import { readEvent } from '../../journal/read-event.ts';
import { type Upcasters, upcast } from '../../journal/upcast.ts';

/** States are kept at this distance, so that an event that comes late refolds no more than it must. */
const checkpointEvery = 256;

interface Checkpoint {
  readonly place: number;
  readonly state: ClusterState;
}

export interface Change {
  readonly before: ClusterState;
  readonly after: ClusterState;
  /** Events that took a place in the order with this change, in order; `refolded` where others moved behind them. */
  readonly events: readonly AnyEvent[];
  readonly refolded: boolean;
}

const upcasters: Upcasters = {};

export const toEvent = (envelope: EventEnvelope): AnyEvent => readEvent(upcast(envelope, upcasters));

function positionsOf(heads: readonly string[]): Positions {
  const positions = heads.map(parseEventId).filter((position) => position !== undefined);
  return Object.fromEntries(
    positions.map(({ node, incarnation, sequence }) => [node, { incarnation, sequence }]),
  );
}

/** The events of all logs in their one order, and the state that they fold to (DESIGN 2). */
export class History {
  readonly #order = new CausalOrder<EventEnvelope>(causalFacts);
  #checkpoints: Checkpoint[] = [{ place: 0, state: emptyState() }];
  #state: ClusterState = emptyState();
  #folded = 0;

  get state(): ClusterState {
    return this.#state;
  }

  get order(): CausalOrder<EventEnvelope> {
    return this.#order;
  }

  /** The events in order, from a place on. */
  events(from = 0): readonly AnyEvent[] {
    return this.#order.events(from).map(toEvent);
  }

  /** At the start: takes events in without folding them; `begin` says what they fold to. */
  load(envelopes: readonly EventEnvelope[]): void {
    this.#order.add(envelopes);
  }

  begin(state: ClusterState): void {
    this.#state = state;
    this.#folded = this.#order.length;
    this.#checkpoints = [
      { place: 0, state: emptyState() },
      { place: this.#folded, state },
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
    const before = this.#state;
    const lengthBefore = this.#folded;
    const from = this.#order.add(envelopes);
    const refolded = from < lengthBefore;
    if (refolded) this.#backTo(from);
    const events = this.#order.events(this.#folded).map(toEvent);
    for (const event of events) this.#fold(event);
    return { before, after: this.#state, events, refolded };
  }

  #backTo(place: number): void {
    this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.place <= place);
    const last = this.#checkpoints.at(-1) ?? { place: 0, state: emptyState() };
    this.#state = last.state;
    this.#folded = last.place;
  }

  #fold(event: AnyEvent): void {
    this.#state = evolve(this.#state, event);
    this.#folded += 1;
    if (this.#folded % checkpointEvery === 0)
      this.#checkpoints.push({ place: this.#folded, state: this.#state });
  }
}
