import { CausalOrder, causalFacts } from '../../domain/causality.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { Journal } from '../../journal/journal.ts';
import { orderedEvents } from '../../journal/ordered.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import { type History, toEvent } from './history.ts';

/** A past that somebody looks at is looked at more than once. */
const keptMs = 60_000;

/**
 * All events in their order, for whoever asks about the past: the history in memory holds the latest ones only, the rest
 * is read from the journal when it is asked for, and forgotten soon after.
 */
export class WholeOrder {
  readonly #history: History;
  readonly #journal: Pick<Journal, 'logs' | 'read' | 'ofCommand'>;
  readonly #clock: Clock;
  #read: Promise<CausalOrder<EventEnvelope>> | null = null;
  #forgetting: Timer | null = null;

  constructor(history: History, journal: Pick<Journal, 'logs' | 'read' | 'ofCommand'>, clock: Clock) {
    this.#history = history;
    this.#journal = journal;
    this.#clock = clock;
  }

  async order(): Promise<CausalOrder<EventEnvelope>> {
    const recent = this.#history.order;
    if (recent.base.length === 0) return recent;
    this.#forgetting?.cancel();
    this.#forgetting = this.#clock.after(keptMs, () => this.close());
    this.#read ??= this.#readAll();
    const order = await this.#read;
    order.add(this.#history.order.events());
    if (order.length >= this.#history.length) return order;
    // More has happened since than the history has in memory.
    this.#read = this.#readAll();
    return await this.#read;
  }

  /** What came of a command, however long ago. */
  async ofCommand(id: string): Promise<readonly AnyEvent[]> {
    return (await this.#journal.ofCommand(id)).map(toEvent);
  }

  close(): void {
    this.#forgetting?.cancel();
    this.#forgetting = null;
    this.#read = null;
  }

  async #readAll(): Promise<CausalOrder<EventEnvelope>> {
    const order = new CausalOrder<EventEnvelope>(causalFacts);
    for await (const batch of orderedEvents(this.#journal)) order.add(batch);
    return order;
  }
}
