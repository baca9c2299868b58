import type { Tag } from '../../domain/vocabulary.ts';
import type { Clock, Timer } from '../engine/clock.ts';
import type { EngineStatus, Notice } from '../engine/control-protocol.ts';
import type { Engine, Engines, OrderBody, ToldObservation } from './ports.ts';
import { OrderRefused } from './ports.ts';

export interface EngineEvents {
  /** Resolves with true once it is journaled, or needs no event; with false where it has to be told again. */
  observed(tag: Tag, observation: ToldObservation): Promise<boolean>;
  noticed(tag: Tag, notice: Notice): void;
  /** The engine's process is gone for certain, and why. */
  gone(tag: Tag, why: string): void;
}

export interface Patience {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly lostAfter: number;
}

interface Running {
  readonly engine: Engine;
  /** Observations that are not journaled yet, oldest first. */
  readonly news: ToldObservation[];
  journaling: Promise<void> | null;
  status: EngineStatus | null;
}

/** An engine may stand still for a moment, whatever the heartbeat is: killing it costs its clients their connection. */
const patienceMsMin = 3000;

/**
 * The engines of this node, by tag: each is run at most once. Its observations are journaled in order before they are
 * acknowledged; what the journal did not take is told again with the next sign of life. An engine that leaves `status`
 * without an answer for lost-after heartbeats hangs: it is killed (rule 24).
 */
export class EngineRoom {
  readonly #engines: Engines;
  readonly #patience: Patience;
  readonly #running = new Map<Tag, Running>();
  readonly #starting = new Map<Tag, Promise<void>>();
  /** Engines that are being killed: none is started or adopted before they are dead. */
  readonly #ending = new Map<Tag, Promise<void>>();
  #events: EngineEvents | null = null;

  constructor(engines: Engines, patience: Patience) {
    this.#engines = engines;
    this.#patience = patience;
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
    await this.#ending.get(tag);
    const news: ToldObservation[] = [];
    const { engine } = await this.#engines.run(tag, {
      observed: (observation) => {
        news.push(observation);
        this.#journal(tag);
      },
      noticed: (notice) => this.#events?.noticed(tag, notice),
      gone: () => {
        if (this.#running.get(tag)?.engine !== engine) return;
        this.#running.delete(tag);
        this.#events?.gone(tag, 'the engine died');
      },
    });
    this.#running.set(tag, { engine, news, journaling: null, status: null });
    this.#journal(tag);
  }

  /** Resolves with true when all that the engine has told so far is journaled; with false where it could not be. */
  async journaled(tag: Tag): Promise<boolean> {
    const running = this.#running.get(tag);
    this.#journal(tag);
    await running?.journaling;
    return running === undefined || running.news.length === 0;
  }

  #journal(tag: Tag): void {
    const running = this.#running.get(tag);
    if (!running || running.journaling !== null || running.news.length === 0) return;
    running.journaling = this.#journalNews(tag, running).finally(() => {
      running.journaling = null;
    });
  }

  /** Never rejects: whatever stands in the way now, the same observation comes first again. */
  async #journalNews(tag: Tag, { engine, news }: Running): Promise<void> {
    for (let next = news[0]; next !== undefined; next = news[0]) {
      if (!(await this.#events?.observed(tag, next).catch(() => false))) return;
      news.shift();
      await engine.order({ order: 'acknowledge', observation: next.observation }).catch(() => undefined);
    }
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
    const status = await this.#inTime(running.engine.status(), () => {
      void this.#kill(tag, running, 'the engine did not answer and was killed');
    });
    running.status = status;
    this.#journal(tag);
    return status;
  }

  /**
   * Time is counted in steps of a heartbeat, each begun after the one before: an agent that itself stood still finds
   * one step over when it goes on, not all of them, and kills no engine that answered meanwhile.
   */
  async #inTime<T>(answer: Promise<T>, late: () => void): Promise<T> {
    const { clock, heartbeatMs, lostAfter } = this.#patience;
    let steps = Math.max(lostAfter, Math.ceil(patienceMsMin / heartbeatMs));
    let timer: Timer | null = null;
    const lateness = new Promise<never>((_, reject) => {
      const step = () => {
        steps -= 1;
        if (steps >= 0) {
          timer = clock.after(heartbeatMs, step);
          return;
        }
        late();
        reject(new OrderRefused('engine-gone', 'the engine does not answer'));
      };
      step();
    });
    try {
      return await Promise.race([answer, lateness]);
    } finally {
      (timer as Timer | null)?.cancel();
    }
  }

  /** Ends an engine that can do nothing more, so that it is started anew in place (rule 15). Resolves when it is gone. */
  async giveUp(tag: Tag, why: string): Promise<void> {
    const running = this.#running.get(tag);
    if (running) await this.#kill(tag, running, why);
  }

  async #kill(tag: Tag, running: Running, why: string): Promise<void> {
    if (this.#running.get(tag) !== running) return;
    this.#running.delete(tag);
    const ending = this.#engines
      .kill(tag)
      .catch(() => undefined)
      .then(() => {
        this.#ending.delete(tag);
        this.#events?.gone(tag, why);
      });
    this.#ending.set(tag, ending);
    await ending;
  }

  /** What the engine said last. */
  lastStatus(tag: Tag): EngineStatus | null {
    return this.#running.get(tag)?.status ?? null;
  }

  /** The replica is no more: ends its engine for certain and forgets it. */
  async remove(tag: Tag): Promise<void> {
    this.#running.delete(tag);
    await this.#ending.get(tag);
    await this.#engines.kill(tag);
    this.#engines.forget(tag);
  }
}
