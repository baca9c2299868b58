import type { AnyEvent, Reign } from '../domain/events.ts';
import { type TimelineEntry, timelineEntry } from './timeline.ts';

/** What became of a resource on one side of a split: who became its source there, when and why, and what followed. */
export interface BranchView {
  readonly node: string;
  readonly epoch: number;
  /** `resource.entered-service` of this reign. */
  readonly entered: TimelineEntry | null;
  /** Its first write without the others, and without whom. */
  readonly began: TimelineEntry | null;
  readonly without: readonly string[];
  /** What its node wrote down of the resource since the last common point. */
  readonly entries: readonly TimelineEntry[];
}

export interface BranchesView {
  readonly tag: string;
  /** The last event of the resource that both sides had seen when they parted. */
  readonly common: TimelineEntry | null;
  readonly branches: readonly BranchView[];
}

/**
 * The branches of a resource whose reigns did not know of each other.
 *
 * @param events of this resource, in order
 * @param knownBy ids of the events that a node had seen when it wrote the event of that id
 */
export function branchesOf(
  tag: string,
  reigns: readonly Reign[],
  events: readonly AnyEvent[],
  knownBy: (event: string) => ReadonlySet<string>,
): BranchesView {
  const parting = reigns.map((reign) => ({ ...reign, ...partingOf(reign, events) }));
  const known = parting.flatMap(({ parted }) => (parted === undefined ? [] : [knownBy(parted.id)]));
  const common = events.findLastIndex(({ id }) => known.length > 0 && known.every((ids) => ids.has(id)));
  const since = events.slice(common + 1);
  return {
    tag,
    common: entryOf(events[common]),
    branches: parting.map(({ node, epoch, entered, began }) => ({
      node,
      epoch,
      entered: entryOf(entered),
      began: entryOf(began),
      without: began?.data.absent ?? [],
      entries: since.filter((event) => event.node === node).map(timelineEntry),
    })),
  };
}

type Of<T extends AnyEvent['type']> = Extract<AnyEvent, { type: T }>;

/** Where a reign went its own way: by its first write without others, or by taking over. */
function partingOf({ node, epoch }: Reign, events: readonly AnyEvent[]) {
  const entered = events.findLast(
    (event): event is Of<'resource.entered-service'> =>
      event.type === 'resource.entered-service' && event.data.node === node && event.data.epoch === epoch,
  );
  const began = events.findLast(
    (event): event is Of<'generation.started'> =>
      event.type === 'generation.started' && event.data.node === node && event.data.epoch === epoch,
  );
  return { entered, began, parted: began ?? entered };
}

const entryOf = (event: AnyEvent | undefined) => (event === undefined ? null : timelineEntry(event));
