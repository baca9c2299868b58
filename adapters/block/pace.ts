/** An operation that takes longer holds up the pings of every link: from then on the thread pool waits instead. */
const slowMs = 4;
/** How long after a slow operation none is done in the event loop. */
const holdMs = 1_000;
/** After so long without an operation nothing is known about the disk. */
const idleMs = 250;

/**
 * Whether small operations on a file may be done synchronously, in the event loop: 1.2–3 times faster on cached files
 * than the thread pool (PERFORMANCE 2), but a disk that is slow or frozen would stop the whole process. So the pool
 * tries first: after idle time, and after anything slow, until one of its operations has been quick.
 */
export class Pace {
  readonly #mayBeQuick: boolean;
  #isQuick = false;
  #slowUntilMs = 0;
  #lastMs = 0;

  /** `mayBeQuick` is false for file systems with a network or another process behind them. */
  constructor(mayBeQuick: boolean) {
    this.#mayBeQuick = mayBeQuick;
  }

  /** Whether an operation may be done in the event loop now. */
  isQuick(nowMs: number): boolean {
    if (this.#isQuick && nowMs - this.#lastMs > idleMs) this.#isQuick = false;
    return this.#isQuick;
  }

  /** A small operation has ended, in the loop or in the pool. */
  took(startMs: number, endMs: number): void {
    this.#lastMs = endMs;
    if (endMs - startMs > slowMs) {
      this.#isQuick = false;
      this.#slowUntilMs = endMs + holdMs;
    } else if (endMs >= this.#slowUntilMs) {
      this.#isQuick = this.#mayBeQuick;
    }
  }
}
