/**
 * Group commit: while one group is being made durable, everything that comes in gathers into the next.
 *
 * Everything behind a failed group was built upon it (the hash chain), so it fails too; `onFailure` runs in the
 * same turn as these rejections, so that nothing new can be built on what failed.
 */
export class GroupCommit<Item> {
  readonly #write: (items: readonly Item[]) => Promise<void>;
  readonly #onFailure: () => void;
  #waiting: { items: readonly Item[]; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #isRunning = false;

  constructor(write: (items: readonly Item[]) => Promise<void>, onFailure: () => void) {
    this.#write = write;
    this.#onFailure = onFailure;
  }

  /** Resolves when the items are durable. */
  add(items: readonly Item[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      // A turn of the microtask queue later, so that callers of the same moment share the first group.
      queueMicrotask(() => void this.#run());
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#isRunning) await this.add([]).catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(group.flatMap(({ items }) => items));
        for (const { resolve } of group) resolve();
      } catch (error) {
        const failed = [...group, ...this.#waiting];
        this.#waiting = [];
        this.#onFailure();
        for (const { reject } of failed) reject(error);
      }
    }
    this.#isRunning = false;
  }
}
