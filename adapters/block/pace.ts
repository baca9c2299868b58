/**
 * Mean duration above which the event loop is spared: a mean, because a process that the system takes off its
 * processor for a few milliseconds has met no slow disk.
 */
const slowMeanMs = 1;
/** Operations that the mean looks back on, about. */
const meanOver = 16;
/**
 * After a slow operation none is done in the event loop for so many times as long as it took, at most ten seconds:
 * whatever the disk does, it holds up the event loop for a small part of the time.
 */
const holdTimes = 10;
const holdMsMax = 10_000;
/** After so long without an operation nothing is known about the disk. */
const idleMs = 250;
/** Threads of libuv's pool. */
const poolThreads = 4;

/**
 * Whether small operations on a file may be done synchronously, in the event loop: 1.2–3 times faster on cached files
 * than the thread pool (PERFORMANCE 2), but a disk that is slow or frozen would stop the whole process. So the pool
 * tries first: after idle time, and after anything slow, until one of its operations has been quick.
 */
export class Pace {
  readonly #mayBeQuick: boolean;
  #isQuick = false;
  #meanMs = 0;
  #slowUntilMs = 0;
  #lastMs = 0;
  /** End of the last slow operation that counted. */
  #countedUntilMs = 0;

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
    // Whatever held up one has held up all that were in flight with it: that counts once.
    if (tookMs > slowMeanMs) {
      if (startMs < this.#countedUntilMs) return;
      this.#countedUntilMs = endMs;
    }
    this.#meanMs += (tookMs - this.#meanMs) / meanOver;
    if (this.#meanMs > slowMeanMs) {
      this.#isQuick = false;
      this.#slowUntilMs = Math.max(this.#slowUntilMs, endMs + Math.min(tookMs * holdTimes, holdMsMax));
    } else if (endMs >= this.#slowUntilMs && tookMs <= slowMeanMs) {
      this.#isQuick = this.#mayBeQuick;
    }
  }
}
