import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Timer } from '../engine/clock.ts';
import type { Feed, FeedMessage } from './feed.ts';
import type { LiveWatch } from './live-watch.ts';
import type { Live, Tick } from './picture.ts';

/** A page that has so much unread is cut off; it comes back, and gets what it missed. */
const unreadBytesMax = 8 * 1024 * 1024;
const streamsMax = 128;
/** Tells both sides that the other is there. */
const tickMs = 5000;
/** After which a page that was cut off comes back. */
const retryMs = 1000;

export interface StreamsOptions {
  readonly feed: Pick<Feed, 'listen' | 'since' | 'picture'>;
  readonly live: Pick<LiveWatch, 'listen' | 'now' | 'watched'>;
  readonly clock: Clock;
  readonly wallNow: () => number;
}

/** Pages that are open, each with its server-sent events (WHATWG HTML, 9.2). */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #open = new Set<ServerResponse>();
  readonly #unsubscribe: readonly (() => void)[];
  #timer: Timer;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#unsubscribe = [
      options.feed.listen((message) => this.#toAll(textOf(message))),
      options.live.listen((live) => this.#toAll(unnumbered('live', live))),
    ];
    this.#timer = options.clock.after(tickMs, () => this.#tick());
  }

  get count(): number {
    return this.#open.size;
  }

  /** @param position where the page was, as far as it knows */
  open(request: IncomingMessage, response: ServerResponse, position: string | undefined): void {
    if (this.#open.size >= streamsMax) {
      response.writeHead(503, { 'retry-after': '5' }).end();
      return;
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    request.socket.setNoDelay(true);
    const { feed, live } = this.#options;
    const missed = position === undefined ? null : feed.since(position);
    response.write(`retry: ${retryMs}\n\n${(missed ?? [feed.picture()]).map(textOf).join('')}`);
    response.write(unnumbered('live', live.now()) + this.#tickText());
    this.#open.add(response);
    response.once('close', () => this.#forget(response));
    live.watched(this.#open.size > 0);
  }

  close(): void {
    this.#timer.cancel();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const response of this.#open) response.destroy();
  }

  #forget(response: ServerResponse): void {
    this.#open.delete(response);
    this.#options.live.watched(this.#open.size > 0);
  }

  #toAll(text: string): void {
    for (const response of this.#open) {
      response.write(text);
      if (response.writableLength > unreadBytesMax) response.destroy();
    }
  }

  #tick(): void {
    this.#timer = this.#options.clock.after(tickMs, () => this.#tick());
    this.#toAll(this.#tickText());
  }

  #tickText(): string {
    return unnumbered('tick', { now: this.#options.wallNow() } satisfies Tick);
  }
}

/** JSON text has no line ends. */
const textOf = ({ id, event, data }: FeedMessage): string => `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`;

const unnumbered = (event: 'live' | 'tick', body: Live | Tick): string =>
  `event: ${event}\ndata: ${JSON.stringify(body)}\n\n`;
