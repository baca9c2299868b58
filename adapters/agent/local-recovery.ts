import type { Tag } from '../../domain/vocabulary.ts';
import type { Clock } from '../engine/clock.ts';

/** So often a replica whose disk has failed is started anew in place before rule 15 says what follows. */
export const restartsMax = 3;
/** A disk that has done well for that long, in milliseconds, has failed anew: not once more. */
const forgivenAfterMs = 600_000;

/** How often the engine of a replica was started anew because its disk had failed. */
export class Restarts {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #made = new Map<Tag, { count: number; lastMs: number }>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /** Counts one more; false where there were enough. */
  take(tag: Tag): boolean {
    const nowMs = this.#clock.nowMs();
    const made = this.#made.get(tag);
    const count = made && nowMs - made.lastMs < forgivenAfterMs ? made.count : 0;
    if (count >= restartsMax) return false;
    this.#made.set(tag, { count: count + 1, lastMs: nowMs });
    return true;
  }
}
