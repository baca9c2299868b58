import type { Clock } from './clock.ts';
import type { ResourceSettings } from './control-protocol.ts';

/** How far ahead of its rate a resync may be, in milliseconds of that rate. */
const burstMs = 100;

/**
 * The pace of a resync: at most `resyncMax` bytes per second (0: as fast as it goes), and while the application is
 * writing only `resyncMin`, which it always gets.
 */
export class Throttle {
  readonly clock: Clock;
  readonly #settings: () => ResourceSettings;
  /** When what was let through would be through at the present rate. */
  #paidUntilMs = 0;

  constructor(clock: Clock, settings: () => ResourceSettings) {
    this.clock = clock;
    this.#settings = settings;
  }

  /** 0: let `byteCount` through now, it is counted; else ask again after so long. */
  waitMs(byteCount: number, isBusy: boolean): number {
    const { resyncMin, resyncMax } = this.#settings();
    const busyRate = resyncMax === 0 ? resyncMin : Math.min(resyncMin, resyncMax);
    const rate = isBusy ? busyRate : resyncMax;
    if (rate === 0) return 0;
    const nowMs = this.clock.nowMs();
    if (this.#paidUntilMs > nowMs + burstMs) return Math.min(this.#paidUntilMs - nowMs - burstMs, 1000);
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + (byteCount * 1000) / rate;
    return 0;
  }
}
