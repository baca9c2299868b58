import { noBase } from '../../domain/causal-base.ts';
import { CausalOrder, causalFacts } from '../../domain/causality.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { AnyEvent } from '../../domain/events.ts';
import type { Journal } from '../../journal/journal.ts';
import { orderedEvents } from '../../journal/ordered.ts';
import { emptyStanding, type Standing } from '../../projections/views.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import { archivedCut, type History, toEvent } from './history.ts';

/** A past that somebody looks at is looked at more than once. */
const keptMs = 60_000;

/**
 * All events in their order, for whoever asks about the past: the history in memory holds the latest ones only, the rest
 * is read from the journal when it is asked for, and forgotten soon after.
 */
export class WholeOrder {
  readonly #history: History;
  readonly #journal: Pick<Journal, 'logs' | 'read' | 'archived' | 'ofCommand'>;
  readonly #clock: Clock;
  #read: Promise<CausalOrder<EventEnvelope>> | null = null;
  #forgetting: Timer | null = null;

  constructor(
    history: History,
    journal: Pick<Journal, 'logs' | 'read' | 'archived' | 'ofCommand'>,
    clock: Clock,
  ) {
    this.#history = history;
    this.#journal = journal;
    this.#clock = clock;
  }

  async order(): Promise<CausalOrder<EventEnvelope>> {
    const recent = this.#history.order;
    const archived = this.#journal.archived();
    if (recent.base.length === (archived?.base.length ?? 0)) return recent;
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

  /** The place of the first event that is not archived. */
  get beginsAt(): number {
    return this.#journal.archived()?.base.length ?? 0;
  }

  /** What lies before the first event of the order: nothing, or what was archived. Nobody else's. */
  begin(): Standing {
    const archived = this.#journal.archived();
    return archived === null ? emptyStanding() : archivedCut(archived).standing;
  }

  close(): void {
    this.#forgetting?.cancel();
    this.#forgetting = null;
    this.#read = null;
  }

  async #readAll(): Promise<CausalOrder<EventEnvelope>> {
    const archived = this.#journal.archived();
    const base = archived === null ? noBase : archivedCut(archived).base;
    const order = new CausalOrder<EventEnvelope>(causalFacts, base);
    for await (const batch of orderedEvents(this.#journal, base)) order.add(batch);
    return order;
  }
}
