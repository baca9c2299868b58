import type { Positions } from '../domain/causal-base.ts';
import type { CausalOrder } from '../domain/causality.ts';
import { type EventEnvelope, parseEventId } from '../domain/envelope.ts';
import type { AnyEvent } from '../domain/events.ts';
import type { ClusterState } from '../domain/state.ts';
import { readEvent } from './read-event.ts';

/**
 * The events up to a moment, in their order: an event with all that it follows, a time by the writers' clocks, or, with
 * `knownBy`, what a node knew then. Without a moment: all. Null where the moment is none, or was archived.
 */
export function eventsAt(
  order: CausalOrder<EventEnvelope>,
  moment: string | undefined,
  knownBy?: string,
): readonly AnyEvent[] | null {
  const events = eventsUpTo(order, moment, knownBy);
  return events?.length === 0 && order.base.length > 0 && moment !== undefined ? null : events;
}

function eventsUpTo(
  order: CausalOrder<EventEnvelope>,
  moment: string | undefined,
  knownBy?: string,
): readonly AnyEvent[] | null {
  const positions = positionOf(moment);
  if (knownBy !== undefined) return order.knownBy(knownBy, positions?.[knownBy]).map(readEvent);
  if (moment === undefined) return order.events().map(readEvent);
  if (positions !== undefined) return order.asOf(positions).map(readEvent);
  const time = Date.parse(moment);
  if (Number.isNaN(time)) return null;
  return order
    .events()
    .slice(
      0,
      order.countAt(time, (event) => Date.parse(event.time)),
    )
    .map(readEvent);
}

/** What the writer of an event knew before it. */
export const knownBefore = (order: CausalOrder<EventEnvelope>, event: string): readonly AnyEvent[] =>
  (eventsAt(order, event) ?? []).filter(({ id }) => id !== event);

/** All of it, with what each writer knew. `begin`: the state before its first event, nobody else's. */
export const knownHistory = (order: CausalOrder<EventEnvelope>, begin: () => ClusterState) => ({
  begin,
  events: order.events().map(readEvent),
  knownBefore: (event: string) => knownBefore(order, event),
});

/** `eve/1/42`, or `eve#42` of the first incarnation as status shows it. */
function positionOf(moment: string | undefined): Positions | undefined {
  const short = /^([A-Za-z0-9][A-Za-z0-9_-]{0,62})#([1-9]\d*)$/.exec(moment ?? '');
  const position = parseEventId(short ? `${short[1]}/1/${short[2]}` : (moment ?? ''));
  return position && { [position.node]: { incarnation: position.incarnation, sequence: position.sequence } };
}
