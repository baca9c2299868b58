import type { Tag } from '../../domain/vocabulary.ts';
import type { AgentContext } from './context.ts';

/** Rule 14: failovers of this node that wait to be confirmed; a restart of the agent begins the wait anew. */
export class ConfirmationWait {
  readonly #context: AgentContext;
  readonly #waits = new Map<Tag, { readonly key: string; readonly cancel: () => void }>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** `key` tells one wait from the next. */
  wait(tag: Tag, seconds: number, key: string): void {
    if (this.#waits.get(tag)?.key === key) return;
    this.stop(tag);
    const timer = this.#context.clock.after(seconds * 1000, () => {
      this.#waits.delete(tag);
      void this.#context.submit('confirmation-timed-out', { tag }, 'policy');
    });
    this.#waits.set(tag, { key, cancel: () => timer.cancel() });
  }

  stop(tag: Tag): void {
    this.#waits.get(tag)?.cancel();
    this.#waits.delete(tag);
  }

  close(): void {
    for (const tag of this.#waits.keys()) this.stop(tag);
  }
}
