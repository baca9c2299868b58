/** An operation that takes longer holds up the pings of every link: from then on the thread pool waits instead. */
const slowMs = 4;
/**
 * After a slow operation none is done in the event loop for so many times as long as it took, at most a second: a
 * slow disk holds it up for a small part of the time, and a process that was only off the processor soon goes on.
 */
const holdTimes = 10;
const holdMsMax = 1_000;
/** Threads of libuv's pool. */
const poolThreads = 4;
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

  /** A small operation has ended: in the loop, or in the pool, where `ahead` others were before it. */
  took(startMs: number, endMs: number, ahead = 0): void {
    this.#lastMs = endMs;
    const turns = Math.floor(ahead / poolThreads) + 1;
    const tookMs = (endMs - startMs) / turns;
    if (tookMs > slowMs) {
      this.#isQuick = false;
      this.#slowUntilMs = endMs + Math.min(tookMs * holdTimes, holdMsMax);
    } else if (endMs >= this.#slowUntilMs) {
      this.#isQuick = this.#mayBeQuick;
    }
  }
}
