import { comparePositions, type EventPosition, type Head, type Heads } from '../domain/envelope.ts';
import type { LogHead } from './journal.ts';

/** Where every log stands: one per node and incarnation. */
export class Logs {
  readonly #heads = new Map<string, Map<number, LogHead>>();
  readonly #latest: Record<string, Head> = {};

  constructor(heads: Iterable<LogHead>) {
    for (const head of heads) this.advance(head);
  }

  copy(): Logs {
    return new Logs(this.all());
  }

  of(node: string, incarnation: number): LogHead | undefined {
    return this.#heads.get(node)?.get(incarnation);
  }

  /** The head of the newest incarnation before this one that has any event. */
  before(node: string, incarnation: number): LogHead | undefined {
    return [...(this.#heads.get(node)?.values() ?? [])]
      .filter((head) => head.incarnation < incarnation)
      .sort(comparePositions)
      .at(-1);
  }

  latest(node: string): LogHead | undefined {
    return this.before(node, Number.POSITIVE_INFINITY);
  }

  latestOfAll(): Heads {
    return { ...this.#latest };
  }

  /** By node, then incarnation. */
  all(): LogHead[] {
    return [...this.#heads.keys()]
      .sort()
      .flatMap((node) => [...(this.#heads.get(node)?.values() ?? [])].sort(comparePositions));
  }

  advance({ node, incarnation, sequence, hash }: EventPosition & Pick<Head, 'hash'>): void {
    let incarnations = this.#heads.get(node);
    if (incarnations === undefined) {
      incarnations = new Map();
      this.#heads.set(node, incarnations);
    }
    incarnations.set(incarnation, { node, incarnation, sequence, hash });
    if (incarnation >= (this.#latest[node]?.incarnation ?? 0))
      this.#latest[node] = { incarnation, sequence, hash };
  }
}
