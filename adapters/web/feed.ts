import { randomUUID } from 'node:crypto';
import type { Stamped } from '../../projections/projection.ts';
import { timelineEntry } from '../../projections/timeline.ts';
import { asOf, LiveViews, viewsOf } from '../../projections/views.ts';
import type { Change, History } from '../agent/history.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import { type Picture, type PictureChange, pageViews } from './picture.ts';

/** A burst of events is one change; the first of them waits for nothing. */
const gapMs = 20;
/** So far back a page can resume: it misses nothing for as long as this keeps what it missed. */
const keptMax = 4000;
const keptBytesMax = 16 * 1024 * 1024;
/** A change of more events than that is told as a new picture. */
const changeEventsMax = 1000;
/** Of the timeline, in a picture. */
const pictureEvents = 200;

export interface FeedMessage {
  /** Where the feed is after it: the position that `since` takes. */
  readonly id: string;
  readonly event: 'picture' | 'change';
  /** JSON. */
  readonly data: string;
}

export interface FeedOptions {
  readonly history: History;
  readonly clock: Clock;
  readonly node: string;
  readonly cluster: string;
}

/**
 * This agent's own ordered feed of what happened and of the views that it changed. A position is the number of a message
 * of this run; that of another run, or one too far back, is unknown.
 */
export class Feed {
  readonly #options: FeedOptions;
  readonly #run = randomUUID().slice(0, 8);
  readonly #views = new LiveViews(pageViews);
  readonly #listeners = new Set<(message: FeedMessage) => void>();
  readonly #kept: FeedMessage[] = [];
  #keptBytes = 0;
  #count = 0;
  /** The first place of the history whose events are not told yet. */
  #untoldFrom: number | null = null;
  #telling: Timer | null = null;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#views.changes(options.history.standing, []);
  }

  changed({ events, isRefolded = false }: Change): void {
    if (events.length === 0 && !isRefolded) return;
    const { history, clock } = this.#options;
    const from = isRefolded ? 0 : history.length - events.length;
    this.#untoldFrom = Math.min(from, this.#untoldFrom ?? from);
    const dueMs = this.#toldMs + gapMs - clock.nowMs();
    this.#telling ??= clock.after(Math.max(0, dueMs), () => this.#tell());
  }

  /** Everything as it is, with the position from which changes follow. */
  picture(): FeedMessage {
    this.#tell();
    return { id: this.#position, event: 'picture', data: JSON.stringify(this.#pictureNow()) };
  }

  /** What followed that position, oldest first; null where it is unknown. */
  since(position: string): readonly FeedMessage[] | null {
    this.#tell();
    const [run, number] = position.split('-');
    const missed = this.#count - Number(number);
    if (run !== this.#run || !(missed >= 0 && missed <= this.#kept.length)) return null;
    return this.#kept.slice(this.#kept.length - missed);
  }

  /** Every message from now on. Returns unsubscribe. */
  listen(listener: (message: FeedMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  close(): void {
    this.#telling?.cancel();
  }

  get #position(): string {
    return `${this.#run}-${this.#count}`;
  }

  #tell(): void {
    this.#telling?.cancel();
    this.#telling = null;
    if (this.#untoldFrom === null) return;
    const { history, clock } = this.#options;
    const from = this.#untoldFrom;
    const isWhole = from < history.order.base.length;
    const events = history.events(from);
    this.#untoldFrom = null;
    this.#toldMs = clock.nowMs();
    const views = this.#views.changes(history.standing, isWhole ? 'all' : events);
    if (isWhole || events.length > changeEventsMax) {
      this.#send('picture', this.#pictureNow());
      return;
    }
    const change: PictureChange = {
      asOf: asOf(history.standing),
      length: history.length,
      views: Object.fromEntries(views.map(({ name, view }) => [name, view && unstamped(view)])),
      timeline: { from, entries: events.map(timelineEntry) },
    };
    this.#send('change', change);
  }

  #send(event: FeedMessage['event'], body: Picture | PictureChange): void {
    this.#count += 1;
    const message = { id: this.#position, event, data: JSON.stringify(body) };
    this.#kept.push(message);
    this.#keptBytes += message.data.length;
    while (this.#kept.length > keptMax || this.#keptBytes > keptBytesMax)
      this.#keptBytes -= this.#kept.shift()?.data.length ?? 0;
    for (const listener of this.#listeners) listener(message);
  }

  #pictureNow(): Picture {
    const { history, node, cluster } = this.#options;
    const from = Math.max(0, history.length - pictureEvents);
    return {
      node,
      cluster,
      asOf: asOf(history.standing),
      length: history.length,
      views: Object.fromEntries(viewsOf(history.standing, '*', pageViews)),
      timeline: { from, entries: history.events(from).map(timelineEntry) },
    };
  }
}

/** The change itself says as of when it is. */
const unstamped = ({ asOf: _, ...view }: Stamped<object>): object => view;
