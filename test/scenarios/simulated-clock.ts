import type { Clock, Timer } from '../../adapters/engine/clock.ts';

interface Due {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** Time that moves only when a test says so; what is due at one moment runs in the order in which it was asked for. */
export class SimulatedClock implements Clock {
  #now = 0;
  #count = 0;
  #due: Due[] = [];

  nowMs(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Timer {
    const due: Due = { at: this.#now + Math.max(0, delayMs), order: this.#count++, run, cancelled: false };
    this.#due.push(due);
    return {
      cancel: () => {
        due.cancelled = true;
      },
    };
  }

  /** Lets time pass, and all that follows from it, until the condition holds or the time is over. */
  async pass(ms: number, until: () => boolean = () => false): Promise<void> {
    const end = this.#now + ms;
    await quiet();
    while (!until()) {
      const next = this.#next(end);
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await quiet();
    }
    if (!until()) this.#now = end;
  }

  #next(end: number): Due | undefined {
    this.#due = this.#due.filter(({ cancelled }) => !cancelled);
    const next = this.#due.reduce<Due | undefined>(
      (first, due) =>
        first && (first.at < due.at || (first.at === due.at && first.order < due.order)) ? first : due,
      undefined,
    );
    if (!next || next.at > end) return undefined;
    this.#due.splice(this.#due.indexOf(next), 1);
    return next;
  }
}

/** All promises that can be settled without the clock have been, when this one is. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
