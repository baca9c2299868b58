import type { Heads } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { LevelViews } from '../../journal/level-views.ts';
import { bucketViews, LiveViews, type Standing, type ViewChange } from '../../projections/views.ts';
import type { AgentBus } from '../bus/bus.ts';
import { ViewKey } from '../bus/messages.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import type { Change, History } from './history.ts';
import type { AgentLog } from './ports.ts';

/** The stored views may be that far behind. */
const storeMs = 30_000;
/** A burst of events makes each view once, and no reply waits for views. */
const tellMs = 20;

export interface ViewPublisherOptions {
  readonly history: History;
  readonly bus: AgentBus;
  readonly store: Pick<LevelViews, 'put'>;
  readonly clock: Clock;
  readonly log: AgentLog;
  readonly heads: () => Heads;
}

/** Keeps the views of this node's history, stores them with the place at which they stand, and shows them (REQUIREMENTS 5, Bus). */
export class ViewPublisher {
  readonly #options: ViewPublisherOptions;
  readonly #views = new LiveViews();
  /** Changed since they were stored, as JSON text; null: gone. */
  #unstored: Record<string, string | null> = {};
  #timer: Timer | null = null;
  /** Events whose views are not told yet. */
  readonly #untold: AnyEvent[] = [];
  #telling: Timer | null = null;
  #isAllUntold = false;

  constructor(options: ViewPublisherOptions) {
    this.#options = options;
  }

  get standing(): Standing {
    return this.#options.history.standing;
  }

  start(): void {
    this.#publish(this.#views.changes(this.standing, 'all'));
  }

  changed({ events, isRefolded = false }: Change): void {
    this.#untold.push(...events);
    this.#isAllUntold ||= isRefolded;
    this.#telling ??= this.#options.clock.after(tellMs, () => this.#tell());
  }

  async close(): Promise<void> {
    await this.#store();
    this.#timer?.cancel();
  }

  #tell(): void {
    this.#telling?.cancel();
    this.#telling = null;
    const untold = this.#untold.splice(0);
    this.#publish(this.#views.changes(this.standing, this.#isAllUntold ? 'all' : untold));
    this.#isAllUntold = false;
  }

  #publish(changes: readonly ViewChange[]): void {
    const heads = this.#options.heads();
    for (const { name, view } of changes) {
      this.#unstored[name] = view === null ? null : JSON.stringify(view);
      if (bucketViews.includes(name.split('.')[0] ?? '')) this.#show(name, view, heads);
    }
    if (changes.length === 0 || this.#timer) return;
    this.#timer = this.#options.clock.after(storeMs, () => {
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

  /** In one batch: what is stored is always the fold of exactly the events up to its heads. */
  async #store(): Promise<void> {
    const { store, log, heads } = this.#options;
    this.#tell();
    const views = this.#unstored;
    this.#unstored = {};
    try {
      await store.put(heads(), views);
    } catch (error) {
      log.warn({ error: String(error) }, 'the views could not be stored');
    }
  }
}
