import { setImmediate as turn } from 'node:timers/promises';
import type { AnyEvent } from '../../domain/events.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';
import { timelineEntry } from '../../projections/timeline.ts';
import { asOf, fold, type Standing, viewsOf } from '../../projections/views.ts';
import { type History, toEvent } from '../agent/history.ts';
import type { WholeOrder } from '../agent/whole-order.ts';
import { type Found, type Picture, pageViews } from './picture.ts';

/** Between two turns of the event loop: a long history must not keep the agent from its heartbeat. */
const eventsPerTurn = 2000;
/** Standings of the past that are kept, so that a slider moves on from where it was. */
const keptMax = 8;
const pastEvents = 200;

export interface Wanted {
  readonly before?: number | undefined;
  readonly limit: number;
  readonly tag?: string | undefined;
  readonly type?: string | undefined;
  readonly actor?: string | undefined;
  /** Part of the sentence or the reason, in any case. */
  readonly text?: string | undefined;
}

/** What the history was at any place of its order. Long folds are done in turns, one after the other. */
export class Past {
  readonly #history: History;
  readonly #whole: WholeOrder;
  readonly #identity: { readonly node: string; readonly cluster: string };
  #kept: { readonly place: number; readonly standing: Standing }[] = [];
  #work: Promise<unknown> = Promise.resolve();

  constructor(
    history: History,
    whole: WholeOrder,
    identity: { readonly node: string; readonly cluster: string },
  ) {
    this.#history = history;
    this.#whole = whole;
    this.#identity = identity;
  }

  /** An event that came late: what was folded of the places behind it is another past now. */
  changedFrom(place: number): void {
    this.#kept = this.#kept.filter((kept) => kept.place <= place);
  }

  /** The picture after the first `place` events. */
  async pictureAt(place: number): Promise<Picture> {
    const end = Math.max(this.#whole.beginsAt, Math.min(place, this.#history.length));
    const standing = await this.standingAt(end);
    const from = Math.max(this.#whole.beginsAt, end - pastEvents);
    return {
      ...this.#identity,
      asOf: asOf(standing),
      length: end,
      views: Object.fromEntries(viewsOf(standing, '*', pageViews)),
      timeline: { from, entries: (await this.#events(from, end)).map(timelineEntry) },
    };
  }

  /** What the first `place` events fold to. */
  async standingAt(place: number): Promise<Standing> {
    return await this.#inTurn(() =>
      this.#standingAt(Math.max(this.#whole.beginsAt, Math.min(place, this.#history.length))),
    );
  }

  /** How many events had happened by then, by their writers' clocks. */
  async placeAt(timeMs: number): Promise<number> {
    return (await this.#whole.order()).countAt(timeMs, ({ time }) => Date.parse(time));
  }

  async find({ before, limit, ...wanted }: Wanted): Promise<Found> {
    const found: (TimelineEntry & { place: number })[] = [];
    const matches = matcher(wanted);
    let end = Math.min(before ?? Number.POSITIVE_INFINITY, this.#history.length);
    while (end > this.#whole.beginsAt && found.length < limit) {
      const from = Math.max(0, end - eventsPerTurn);
      const entries = (await this.#events(from, end)).map(timelineEntry);
      for (let index = entries.length - 1; index >= 0 && found.length < limit; index -= 1) {
        const entry = entries[index];
        end = from + index;
        if (entry !== undefined && matches(entry)) found.push({ ...entry, place: end });
      }
      await turn();
    }
    return { entries: found.reverse(), more: end > this.#whole.beginsAt ? end : null };
  }

  async #standingAt(place: number): Promise<Standing> {
    const known = this.#kept.find((kept) => kept.place === place);
    if (known !== undefined) return known.standing;
    const nearest = this.#nearest(place);
    const standing = structuredClone(nearest.standing);
    for (let from = nearest.place; from < place; from += eventsPerTurn) {
      fold(standing, await this.#events(from, Math.min(from + eventsPerTurn, place)));
      await turn();
    }
    this.#kept = [{ place, standing }, ...this.#kept].slice(0, keptMax);
    return standing;
  }

  async #events(from: number, to: number): Promise<readonly AnyEvent[]> {
    if (from >= this.#history.order.base.length) return this.#history.events(from, to);
    return (await this.#whole.order()).events(from, to).map(toEvent);
  }

  #nearest(place: number): { readonly place: number; readonly standing: Standing } {
    const checkpoint = this.#history.checkpointBefore(place);
    const kept = this.#kept.filter((one) => one.place <= place);
    // A checkpoint of nothing is of no use where the first events are archived.
    const begin = { place: this.#whole.beginsAt, standing: this.#whole.begin() };
    return [...kept, checkpoint, begin].reduce((best, one) => (one.place > best.place ? one : best));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => undefined);
    return result;
  }
}

function matcher({ tag, type, actor, text }: Omit<Wanted, 'before' | 'limit'>) {
  const part = text?.toLowerCase();
  return (entry: TimelineEntry): boolean =>
    (tag === undefined || entry.tag === tag) &&
    (type === undefined || entry.type === type || entry.type.startsWith(`${type}.`)) &&
    (actor === undefined || entry.actor.id === actor) &&
    (part === undefined || `${entry.sentence} ${entry.reason ?? ''}`.toLowerCase().includes(part));
}
