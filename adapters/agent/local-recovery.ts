import type { Intent } from '../../domain/react.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import type { Clock } from '../engine/clock.ts';
import { type AgentContext, isDurable } from './context.ts';

/** So often a replica that is being repaired may refuse to open or to serve before rule 15 says what follows. */
const triesMax = 3;

/** So often a replica whose disk has failed is started anew in place before rule 15 says what follows. */
const restartsMax = 3;
/** A disk that has done well for that long, in milliseconds, has failed anew: not once more. */
const forgivenAfterMs = 600_000;

/** How often the engine of a replica was started anew because its disk had failed. */
class Restarts {
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

/** Rule 15: what failed on this node is first repaired in place; the history is told how that ends. */
export class LocalRecovery {
  readonly #context: AgentContext;
  readonly #restarts: Restarts;
  /** Failed attempts, by tag. */
  readonly #tries = new Map<Tag, number>();

  constructor(context: AgentContext) {
    this.#context = context;
    this.#restarts = new Restarts(context.clock);
  }

  /** True once the history says how it ended. A replica whose disk failed takes no more orders until its engine begins anew. */
  async recover(tag: Tag, what: string): Promise<boolean> {
    const { engines } = this.#context;
    let ok = false;
    try {
      if (!engines.isRunning(tag)) await engines.ensure(tag);
      const status = await engines.status(tag);
      const failed = status?.replica?.failed ?? null;
      if (failed !== null && this.#restarts.take(tag)) {
        await engines.giveUp(tag, `its disk failed (${failed})`);
        return false;
      }
      ok = status?.open === true && failed === null;
    } catch {
      ok = false;
    }
    if (ok) this.#tries.delete(tag);
    return isDurable(await this.#context.submit('local-recovery-ended', { tag, what, ok }, 'engine'));
  }

  /** Local recovery is tried a few times; then rule 15 says what follows. */
  async failed(tag: Tag, { do: what }: Intent): Promise<void> {
    const failed = this.#context.state().resources[tag]?.replicas[this.#context.options.node]?.failed;
    if (failed == null || (what !== 'open' && what !== 'serve')) return;
    const tries = (this.#tries.get(tag) ?? 0) + 1;
    this.#tries.set(tag, tries);
    if (tries !== triesMax) return;
    await this.#context.submit('local-recovery-ended', { tag, what: failed, ok: false }, 'engine');
  }
}
