/** What arrived, and a promise for what is still to come: tests wait for events, never for time. */
export class Collector<T> {
  readonly all: T[] = [];
  readonly #waiting = new Set<() => void>();

  readonly push = (entry: T): void => {
    this.all.push(entry);
    for (const check of this.#waiting) check();
  };

  /** Resolves with the first entry, present or to come, that fits. */
  first(fits: (entry: T) => boolean = () => true): Promise<T> {
    return this.until((all) => all.find(fits));
  }

  async count(wanted: number): Promise<readonly T[]> {
    await this.until((all) => all.length >= wanted || undefined);
    return this.all;
  }

  /** Resolves with what `find` returns once that is not undefined. The test's own time limit bounds it. */
  until<R>(find: (all: readonly T[]) => R | undefined): Promise<R> {
    return new Promise((resolve) => {
      const check = () => {
        const found = find(this.all);
        if (found === undefined) return;
        this.#waiting.delete(check);
        resolve(found);
      };
      this.#waiting.add(check);
      check();
    });
  }
}
