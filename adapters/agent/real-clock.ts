import type { Clock, Timer } from '../engine/clock.ts';

/** The machine's monotonic clock. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs: number, run: () => void): Timer {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
