import type { AsOf } from '../../projections/projection.ts';
import type { LiveMirror } from '../../projections/status.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';

/**
 * What the dashboard's page and its server say to each other (types only: the page is bundled on its own).
 *
 * `/events` sends server-sent events: `picture` and `change` carry an id, the position in this agent's own feed; with
 * it as `Last-Event-ID` a page gets every change that it missed, or the whole picture again. `live` and `tick` have no
 * id: what is measured now is sent whole after each connect, and nothing of it can be missed.
 */

/** The views that the page shows (projections/views.ts), by their names: `status.<tag>`, `node.<node>` … */
export const pageViews = ['status', 'progress', 'node', 'alarm', 'exposure'] as const;
export type Views = Readonly<Record<string, object>>;

/** Part of the history, in its one order: entries from the place `from` on (0 is the first event). */
export interface Stretch {
  readonly from: number;
  readonly entries: readonly TimelineEntry[];
}

export interface Picture {
  /** Whose agent tells it. */
  readonly node: string;
  readonly cluster: string;
  readonly asOf: AsOf;
  /** How many events it is the fold of. */
  readonly length: number;
  readonly views: Views;
  /** The last of these events. */
  readonly timeline: Stretch;
}

/** From the place `timeline.from` on the history is now this one: an event that came late moves those behind it. */
export interface PictureChange {
  readonly asOf: AsOf;
  readonly length: number;
  /** null: there is no view of that name any more. */
  readonly views: Readonly<Record<string, object | null>>;
  readonly timeline: Stretch;
}

/** What the engine of a source measures now. */
export interface Measured {
  readonly source: string;
  /** By target. */
  readonly mirrors: Readonly<Record<string, LiveMirror>>;
}

/** By tag; null: nobody measures it any more. */
export type Live = Readonly<Record<string, Measured | null>>;

export interface Tick {
  /** Milliseconds since 1970, by the agent's clock. */
  readonly now: number;
}

/** Entries of the timeline that match, newest last; `more`: the place before which there may be others. */
export interface Found {
  readonly entries: readonly (TimelineEntry & { readonly place: number })[];
  readonly more: number | null;
}
