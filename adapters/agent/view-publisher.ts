import type { Heads } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { LevelViews } from '../../journal/level-views.ts';
import {
  bucketViews,
  emptyStanding,
  fold,
  LiveViews,
  type Standing,
  standingVersion,
  type ViewChange,
} from '../../projections/views.ts';
import type { AgentBus } from '../bus/bus.ts';
import { ViewKey } from '../bus/messages.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import type { Change, History } from './history.ts';
import type { AgentLog } from './ports.ts';

/** What is folded already need not be folded again at the next start: that far behind it may be. */
const checkpointMs = 30_000;
/** A burst of events makes each view once, and no reply waits for views. */
const tellMs = 20;
const checkpointName = 'standing';

export interface ViewPublisherOptions {
  readonly history: History;
  readonly bus: AgentBus;
  readonly store: Pick<LevelViews, 'get' | 'put'>;
  readonly clock: Clock;
  readonly log: AgentLog;
  readonly heads: () => Heads;
}

/** Keeps the views of this node's history, stores them with the place at which they stand, and shows them (REQUIREMENTS 5, Bus). */
export class ViewPublisher {
  readonly #options: ViewPublisherOptions;
  readonly #views = new LiveViews();
  /** Changed since the last checkpoint, as JSON text; null: gone. */
  #unstored: Record<string, string | null> = {};
  #timer: Timer | null = null;
  /** Events whose views are not told yet. */
  readonly #untold: AnyEvent[] = [];
  #telling: Timer | null = null;

  constructor(options: ViewPublisherOptions) {
    this.#options = options;
  }

  get standing(): Standing {
    return this.#options.history.standing;
  }

  /** Goes on from the last checkpoint where the history still begins with what it stands on; else everything is folded. */
  async start(): Promise<void> {
    const { history } = this.#options;
    const stored = await this.#stored();
    const standing = stored ?? emptyStanding();
    const from = stored ? history.lengthOf(Object.values(stored.heads)) : 0;
    fold(standing, history.events(from));
    history.begin(standing);
    this.#publish(this.#views.changes(standing, []));
  }

  async #stored(): Promise<Standing | undefined> {
    const { store, history } = this.#options;
    const view = await store.get(checkpointName);
    if (!view) return undefined;
    const { version, standing } = JSON.parse(view.body) as { version: string; standing: Standing };
    if (version !== standingVersion) return undefined;
    return history.beginsWith(Object.values(standing.heads)) ? standing : undefined;
  }

  changed({ events }: Change): void {
    this.#untold.push(...events);
    this.#telling ??= this.#options.clock.after(tellMs, () => this.#tell());
  }

  /** The last checkpoint. */
  async close(): Promise<void> {
    await this.#store();
    this.#timer?.cancel();
  }

  #tell(): void {
    this.#telling?.cancel();
    this.#telling = null;
    this.#publish(this.#views.changes(this.standing, this.#untold.splice(0)));
  }

  #publish(changes: readonly ViewChange[]): void {
    const heads = this.#options.heads();
    for (const { name, view } of changes) {
      this.#unstored[name] = view === null ? null : JSON.stringify(view);
      if (bucketViews.includes(name.split('.')[0] ?? '')) this.#show(name, view, heads);
    }
    if (changes.length === 0 || this.#timer) return;
    this.#timer = this.#options.clock.after(checkpointMs, () => {
      this.#timer = null;
      void this.#store();
    });
  }

  #show(name: string, view: object | null, heads: Heads): void {
    const { bus, log } = this.#options;
    const key = ViewKey.safeParse(name);
    if (!key.success) return;
    bus.putView(key.data, view, heads).catch((error: unknown) => {
      log.warn({ view: name, error: String(error) }, 'a view could not be shown');
    });
  }

  /** Views and checkpoint in one batch: what is stored is always the fold of exactly the events up to its heads. */
  async #store(): Promise<void> {
    const { store, log, heads } = this.#options;
    this.#tell();
    const views = this.#unstored;
    this.#unstored = {};
    const checkpoint = JSON.stringify({ version: standingVersion, standing: this.standing });
    try {
      await store.put(heads(), { ...views, [checkpointName]: checkpoint });
    } catch (error) {
      log.warn({ error: String(error) }, 'the views could not be stored: the next start folds more');
    }
  }
}
