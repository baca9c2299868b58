import type { Heads } from '../../domain/envelope.ts';
import { bucketViews, emptyStanding, fold, LiveViews, type ViewChange } from '../../projections/views.ts';
import type { AgentBus } from '../bus/bus.ts';
import { ViewKey } from '../bus/messages.ts';
import type { Change, History } from './history.ts';
import type { AgentLog } from './ports.ts';

/** Keeps the views of this node's history, and shows those that others watch (REQUIREMENTS 5, Bus). */
export class ViewPublisher {
  readonly #history: History;
  readonly #bus: AgentBus;
  readonly #heads: () => Heads;
  readonly #log: AgentLog;
  readonly #views = new LiveViews(emptyStanding());

  constructor(history: History, bus: AgentBus, heads: () => Heads, log: AgentLog) {
    this.#history = history;
    this.#bus = bus;
    this.#heads = heads;
    this.#log = log;
  }

  /** After the journal was folded: shows everything. */
  start(): void {
    this.#publish(this.#views.append(this.#history.events()));
  }

  changed({ events, refolded }: Change): void {
    if (!refolded) {
      this.#publish(this.#views.append(events));
      return;
    }
    // A late event took its place among others: every view stands on another order now.
    const standing = emptyStanding();
    fold(standing, this.#history.events());
    this.#publish(this.#views.replace(standing));
  }

  get standing() {
    return this.#views.standing;
  }

  #publish(changes: readonly ViewChange[]): void {
    const heads = this.#heads();
    for (const { name, view } of changes) {
      if (!bucketViews.includes(name.split('.')[0] ?? '')) continue;
      const key = ViewKey.safeParse(name);
      if (!key.success) continue;
      this.#bus.putView(key.data, view, heads).catch((error: unknown) => {
        this.#log.warn({ view: name, error: String(error) }, 'a view could not be shown');
      });
    }
  }
}
