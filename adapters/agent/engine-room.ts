import type { Tag } from '../../domain/vocabulary.ts';
import type { EngineStatus, Notice, NumberedObservation } from '../engine/control-protocol.ts';
import type { Engine, Engines, OrderBody } from './ports.ts';
import { OrderRefused } from './ports.ts';

export interface EngineEvents {
  observed(tag: Tag, observation: NumberedObservation): Promise<void>;
  noticed(tag: Tag, notice: Notice): void;
  gone(tag: Tag): void;
}

interface Running {
  readonly engine: Engine;
  status: EngineStatus | null;
}

/** The engines of this node, by tag: each is run at most once, and its observations are journaled before they are acknowledged. */
export class EngineRoom {
  readonly #engines: Engines;
  readonly #running = new Map<Tag, Running>();
  readonly #starting = new Map<Tag, Promise<void>>();
  #events: EngineEvents | null = null;

  constructor(engines: Engines) {
    this.#engines = engines;
  }

  listen(events: EngineEvents): void {
    this.#events = events;
  }

  home(
    tag: Tag,
    firstVolumePath: string,
    bitmapFolder: string | null,
  ): { folder: string; wasOpened: boolean } {
    return this.#engines.home(tag, firstVolumePath, bitmapFolder);
  }

  noteOpened(tag: Tag): void {
    this.#engines.noteOpened(tag);
  }

  isRunning(tag: Tag): boolean {
    return this.#running.has(tag);
  }

  tags(): Tag[] {
    return [...this.#running.keys()];
  }

  /** Runs the engine if it does not run yet. */
  async ensure(tag: Tag): Promise<void> {
    if (this.#running.has(tag)) return;
    const starting = this.#starting.get(tag) ?? this.#start(tag).finally(() => this.#starting.delete(tag));
    this.#starting.set(tag, starting);
    await starting;
  }

  async #start(tag: Tag): Promise<void> {
    // Observations come while the order to acknowledge them is not possible yet: they queue behind the start.
    let journaled: Promise<void> = Promise.resolve();
    const { engine } = await this.#engines.run(tag, {
      observed: (observation) => {
        journaled = journaled.then(() => this.#observed(tag, observation));
      },
      noticed: (notice) => this.#events?.noticed(tag, notice),
      gone: () => {
        if (this.#running.get(tag)?.engine !== engine) return;
        this.#running.delete(tag);
        this.#events?.gone(tag);
      },
    });
    this.#running.set(tag, { engine, status: null });
  }

  async #observed(tag: Tag, observation: NumberedObservation): Promise<void> {
    await this.#events?.observed(tag, observation);
    await this.order(tag, { order: 'acknowledge', observation: observation.observation }).catch(
      () => undefined,
    );
  }

  order(tag: Tag, order: OrderBody): Promise<Readonly<Record<string, unknown>>> {
    const running = this.#running.get(tag);
    if (!running) return Promise.reject(new OrderRefused('engine-gone', `no engine of ${tag} runs here`));
    return running.engine.order(order);
  }

  /** Asks anew; also the sign of life that tells the engine that its agent is there. */
  async status(tag: Tag): Promise<EngineStatus | null> {
    const running = this.#running.get(tag);
    if (!running) return null;
    running.status = await running.engine.status();
    return running.status;
  }

  /** What the engine said last. */
  lastStatus(tag: Tag): EngineStatus | null {
    return this.#running.get(tag)?.status ?? null;
  }

  /** The replica is no more: ends its engine for certain and forgets it. */
  async remove(tag: Tag): Promise<void> {
    this.#running.delete(tag);
    await this.#engines.kill(tag);
    this.#engines.forget(tag);
  }
}
