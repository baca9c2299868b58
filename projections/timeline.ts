import { type AnyEvent, eventSchemas } from '../domain/events.ts';
import { isoTime } from './iso-time.ts';
import { type Projection, type Remember, sortedEntries } from './projection.ts';
import { sentenceOf } from './sentences.ts';

/** One line of the history for people: what happened, who wanted it and what brought it about. */
export interface TimelineEntry {
  readonly event: string;
  readonly time: string;
  readonly node: string;
  readonly tag: string | null;
  readonly type: string;
  readonly sentence: string;
  readonly actor: { readonly id: string; readonly via: string; readonly verified: boolean };
  readonly reason: string | null;
  readonly command: string | null;
  /** The event that brought it about. */
  readonly cause: string | null;
}

export function timelineEntry(event: AnyEvent): TimelineEntry {
  const { id, time, node, resource, actor, reason, command, cause } = event;
  return {
    event: id,
    time: isoTime(time),
    node,
    tag: resource,
    type: event.type === 'unknown' ? event.originalType : event.type,
    sentence: sentenceOf(event),
    actor: { id: actor.id, via: actor.via, verified: actor.verified },
    reason,
    command,
    cause,
  };
}

/** `2026-11-20T18:54:16.000Z  eve  datarep-ext3 was …; by root (socket), because "maintenance"; after eve/1/41` */
export function timelineLine({ time, node, sentence, actor, reason, cause }: TimelineEntry): string {
  const by = `by ${actor.id} (${actor.via}${actor.verified ? '' : ', not verified'})`;
  const why = reason === null ? '' : `, because "${reason}"`;
  const after = cause === null ? '' : `; after ${cause}`;
  return `${time}  ${node}  ${sentence}; ${by}${why}${after}`;
}

/** Entries that the view of a resource shows; the whole history is in the journal. */
export const timelineMax = 100;

/** The latest events per resource; those of no resource under `cluster`. */
type Memory = Record<string, AnyEvent[]>;

const cluster = '';

const keep: Remember<Memory, AnyEvent> = (memory, event) => {
  const tag = event.resource ?? cluster;
  memory[tag] ??= [];
  const latest = memory[tag];
  latest.push(event);
  // Cut only now and then: to shift an array at each event would cost more than the rest of the fold.
  if (latest.length >= 2 * timelineMax) latest.splice(0, latest.length - timelineMax);
};

/** How far a resync is has a view of its own, and would fill this one. */
const types = [...Object.keys(eventSchemas), 'unknown'].filter((type) => type !== 'resync.progressed');

export const timeline: Projection<Memory> = {
  name: 'timeline',
  version: 1,
  initial: () => ({}),
  remembers: Object.fromEntries(types.map((type) => [type, keep])),
  views: (memory, _, scope) =>
    sortedEntries(memory)
      .filter(([tag]) => scope === '*' || tag === scope)
      .map(([tag, events]) => [
        tag === cluster ? 'timeline' : `timeline.${tag}`,
        { tag: tag === cluster ? null : tag, entries: events.slice(-timelineMax).map(timelineEntry) },
      ]),
};
