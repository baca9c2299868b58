import type { AnyEvent, DomainEvent } from '../domain/events.ts';
import type { ClusterState } from '../domain/state.ts';

/**
 * A projection: views that people and programs read, as a fold of the events (DESIGN 2).
 *
 * Most of what a view shows is in the state already. What it has to remember besides (when something began, the
 * last sentences) is its memory: plain JSON, changed in place, stored with the checkpoint. A view is a function of
 * memory and state alone, so what a rebuild gives is byte for byte what grew live.
 */
export interface Projection<Memory> {
  /** Before the first dot of its views' names. */
  readonly name: string;
  /** Raised when memory or views take another shape: whatever is stored of an older one is rebuilt. */
  readonly version: number;
  readonly initial: () => Memory;
  /** Events that it remembers something of; `state` is already what it is after the event. */
  readonly remembers: {
    readonly [T in AnyEvent['type']]?: Remember<Memory, Extract<AnyEvent, { type: T }>>;
  };
  /** All views, or those that events of one resource (or of none) can change. */
  readonly views: (memory: Memory, state: ClusterState, scope: Scope) => Iterable<ViewEntry>;
}

export type Remember<Memory, Event = DomainEvent> = (
  memory: Memory,
  event: Event,
  state: ClusterState,
) => void;

/** `*`: everything. A tag: what is about that resource. */
export type Scope = '*' | string;

/** Its name (also its key in the bucket of views, REQUIREMENTS 5) and its value without `asOf`. */
export type ViewEntry = readonly [name: string, value: object];

/** Where a view stands: what REQUIREMENTS 5 calls `asOf`. */
export interface AsOf {
  /** Per node: incarnation and sequence of the last event. */
  readonly heads: Readonly<Record<string, readonly [incarnation: number, sequence: number]>>;
  /** Of the last event in order, by its writer's clock; ISO 8601. */
  readonly time: string | null;
}

export type Stamped<V extends object> = V & { readonly asOf: AsOf };

/** Entries of a record in the order of their keys: what has one meaning has one text. */
export const sortedEntries = <V>(record: Readonly<Record<string, V>>): [string, V][] =>
  Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));

/** The resources in scope that exist, by tag. */
export const resourcesIn = (state: ClusterState, scope: Scope) =>
  sortedEntries(scope === '*' ? state.resources : pick(state.resources, scope))
    .map(([, resource]) => resource)
    .filter(({ phase }) => phase !== 'deleted');

const pick = <V>(record: Readonly<Record<string, V>>, key: string): Record<string, V> => {
  const value = record[key];
  return value === undefined ? {} : { [key]: value };
};
