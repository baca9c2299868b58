import { parseEventId } from '../domain/envelope.ts';
import type { AnyEvent } from '../domain/events.ts';
import { apply } from '../domain/evolve.ts';
import { type ClusterState, emptyState } from '../domain/state.ts';
import { alarms } from './alarms.ts';
import { exposure } from './exposure.ts';
import { isoTime } from './iso-time.ts';
import { lastOwner } from './last-owner.ts';
import { nodes } from './nodes.ts';
import { progress } from './progress.ts';
import {
  type AsOf,
  type Projection,
  type Remember,
  type Scope,
  type Stamped,
  sortedEntries,
} from './projection.ts';
import { status } from './status.ts';
import { timeline } from './timeline.ts';

/**
 * All projections, folded together over the events in their one order (domain/causality.ts).
 *
 * A standing is everything that the events up to its heads give: state and memories, plain JSON. It is changed in
 * place, fast, by whoever owns it (replay) or as a draft (live); a stored one goes on from where it stood. `LiveViews`
 * tells which of the bucket's views a batch of events changed; the others are made when asked for.
 */
const registry = { status, last_owner: lastOwner, progress, node: nodes, alarm: alarms, exposure, timeline };
type Name = keyof typeof registry;
type MemoryOf<P> = P extends Projection<infer Memory> ? Memory : never;

export interface Standing {
  readonly state: ClusterState;
  readonly memories: { [N in Name]: MemoryOf<(typeof registry)[N]> };
  /** By node: the id of its last event. */
  readonly heads: Record<string, string>;
  /** Of the last event in order. */
  time: number | null;
}

/** The views that go into the bucket (REQUIREMENTS 5): by the first part of their names. */
export const bucketViews: readonly string[] = ['status', 'last_owner', 'progress', 'node', 'alarm'];

const projections = Object.entries(registry) as unknown as [Name, Projection<unknown>][];

export function emptyStanding(): Standing {
  const memories = Object.fromEntries(projections.map(([name, { initial }]) => [name, initial()]));
  return { state: emptyState(), memories: memories as Standing['memories'], heads: {}, time: null };
}

/** By event type: what has to be told, and where. Looked up once per event. */
const listeners = new Map<string, readonly [Name, Remember<unknown, AnyEvent>][]>();

function listenersOf(type: AnyEvent['type']): readonly [Name, Remember<unknown, AnyEvent>][] {
  const known = listeners.get(type);
  if (known !== undefined) return known;
  const found = projections.flatMap(([name, { remembers }]) => {
    const remember = remembers[type] as Remember<unknown, AnyEvent> | undefined;
    return remember === undefined ? [] : [[name, remember] as const];
  });
  listeners.set(type, found as [Name, Remember<unknown, AnyEvent>][]);
  return listenersOf(type);
}

/** Folds events, in order, into a standing that nobody else holds. */
export function fold(standing: Standing, events: Iterable<AnyEvent>): void {
  const { state, memories, heads } = standing;
  for (const event of events) {
    apply(state, event);
    for (const [name, remember] of listenersOf(event.type)) remember(memories[name], event, state);
    heads[event.node] = event.id;
    standing.time = event.time;
  }
}

export function asOf({ heads, time }: Standing): AsOf {
  const positions = sortedEntries(heads).map(([node, id]) => {
    const { incarnation = 0, sequence = 0 } = parseEventId(id) ?? {};
    return [node, [incarnation, sequence] as const];
  });
  return { heads: Object.fromEntries(positions), time: time === null ? null : isoTime(time) };
}

/** Every view by its name, without `asOf`; with a scope only those that its events can change. */
export function viewsOf(
  standing: Standing,
  scope: Scope = '*',
  names: readonly string[] = Object.keys(registry),
): Map<string, object> {
  const views = new Map<string, object>();
  for (const [name, projection] of projections) {
    if (!names.includes(name)) continue;
    for (const [key, view] of projection.views(standing.memories[name], standing.state, scope))
      views.set(key, view);
  }
  return views;
}

export const stamped = <V extends object>(view: V, at: AsOf): Stamped<V> => ({ ...view, asOf: at });

/** A view that another text stands for now; null: there is none of that name any more. */
export interface ViewChange {
  readonly name: string;
  readonly view: Stamped<object> | null;
}

/** What was last told of each view, so that only what changes is told. */
export class LiveViews {
  /** By tag ('' for what is about none), by name: the text without `asOf`. */
  readonly #told = new Map<string, Map<string, string>>();
  readonly #names: readonly string[];

  /** @param names the first parts of the names of the views that are told */
  constructor(names: readonly string[] = bucketViews) {
    this.#names = names;
  }

  /**
   * Views that are others now. `events`: all that came since the last call, and those behind them in the order; or
   * `all`, where more than these may have changed. The first call tells every view.
   */
  changes(standing: Standing, events: readonly AnyEvent[] | 'all'): readonly ViewChange[] {
    const scopes = new Set(events === 'all' ? ['*'] : events.map(scopeOf));
    if (this.#told.size === 0 || scopes.has('*')) return this.#changesIn(standing, '*');
    return [...scopes].flatMap((scope) => this.#changesIn(standing, scope));
  }

  #changesIn(standing: Standing, scope: Scope): readonly ViewChange[] {
    const at = asOf(standing);
    const views = viewsOf(standing, scope, this.#names);
    const changes: ViewChange[] = [];
    for (const [name, view] of views) {
      const text = JSON.stringify(view);
      const told = this.#toldOf(tagOf(view) ?? '');
      if (told.get(name) === text) continue;
      told.set(name, text);
      changes.push({ name, view: stamped(view, at) });
    }
    for (const told of scope === '*' ? this.#told.values() : [this.#toldOf(scope)]) {
      for (const name of told.keys()) {
        if (views.has(name)) continue;
        told.delete(name);
        changes.push({ name, view: null });
      }
    }
    return changes;
  }

  #toldOf(tag: string): Map<string, string> {
    const told = this.#told.get(tag) ?? new Map<string, string>();
    this.#told.set(tag, told);
    return told;
  }
}

/** What is about one resource changes only the views of that resource; an alarm is named by its id alone. */
const scopeOf = ({ type, resource }: AnyEvent): Scope =>
  type === 'alarm.acknowledged' ? '*' : (resource ?? '*');

const tagOf = (view: { readonly tag?: string | null }): string | null => view.tag ?? null;
