import type { Clock, Timer } from '../../adapters/engine/clock.ts';
import type { World } from './world.ts';

/**
 * The life of one engine process. Everything that reaches the code inside (timers, bytes, finished I/O) enters
 * here, so that a killed process never runs again and a stopped one (SIGSTOP) gets it all when it continues.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly #world: World;
  readonly #atExit: (() => void)[] = [];
  readonly #startMs: number;
  #held: (() => void)[] | null = null;
  #isProceeding = false;
  #alive = true;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.#startMs = world.random.span(0, 1e6) - world.nowMs;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get stopped(): boolean {
    return this.#held !== null;
  }

  /** Monotonic, with an arbitrary start of its own; goes on while the process is stopped. */
  readonly clock: Clock = {
    nowMs: () => this.#world.nowMs + this.#startMs,
    after: (delayMs: number, run: () => void): Timer => {
      let isCancelled = false;
      const timer = this.#world.after(delayMs, () =>
        this.enter(() => {
          if (!isCancelled) run();
        }),
      );
      return {
        cancel: () => {
          isCancelled = true;
          timer.cancel();
        },
      };
    },
  };

  enter(run: () => void): void {
    if (!this.#alive) return;
    if (this.#held === null) run();
    else this.#held.push(run);
  }

  /** What the operating system does when the process is gone: connections closed, files closed. */
  onExit(run: () => void): void {
    this.#atExit.push(run);
  }

  stop(): void {
    this.#held ??= [];
    this.#isProceeding = false;
  }

  /** What was held comes first, each as an event of its own, in order. */
  proceed(): void {
    if (this.#held === null || this.#isProceeding) return;
    this.#isProceeding = true;
    this.#world.after(0, () => this.#releaseNext());
  }

  #releaseNext(): void {
    if (!this.#alive || !this.#isProceeding) return;
    const run = this.#held?.shift();
    if (run === undefined) {
      this.#held = null;
      this.#isProceeding = false;
      return;
    }
    this.#world.after(0, () => this.#releaseNext());
    run();
  }

  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const run of this.#atExit) run();
  }
}
