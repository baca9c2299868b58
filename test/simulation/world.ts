import type { Timer } from '../../adapters/engine/clock.ts';
import { Random } from './random.ts';
import { Trace } from './trace.ts';

interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/**
 * Time and chance of one simulated world: a queue of events by simulated time, equal times in the order in which
 * they were scheduled. Nothing happens between two events, so a step is the unit at which invariants are checked.
 */
export class World {
  readonly random: Random;
  readonly trace: Trace;
  readonly counts = new Map<string, number>();
  readonly #queue: Scheduled[] = [];
  #nowMs = 0;
  #steps = 0;
  #order = 0;

  constructor(seed: number, trace = new Trace()) {
    this.random = new Random(seed, 'world');
    this.trace = trace;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  after(delayMs: number, run: () => void): Timer {
    const event: Scheduled = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    push(this.#queue, event);
    return {
      cancel: () => {
        event.run = null;
      },
    };
  }

  /** Runs the next event; false when nothing is left. */
  step(): boolean {
    for (;;) {
      const event = pop(this.#queue);
      if (event === undefined) return false;
      if (event.run === null) continue;
      this.#nowMs = event.atMs;
      this.#steps++;
      this.trace.mix(event.order);
      const { run } = event;
      event.run = null;
      run();
      return true;
    }
  }

  /** A line of the trace. */
  note(who: string, what: string): void {
    this.trace.note(this.#nowMs, who, what);
  }

  /** One more of something that the final report lists. */
  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

const before = (left: Scheduled, right: Scheduled) =>
  left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);

function push(heap: Scheduled[], event: Scheduled): void {
  let index = heap.length;
  heap.push(event);
  while (index > 0) {
    const parentIndex = (index - 1) >> 1;
    const parent = heap[parentIndex];
    if (parent === undefined || !before(event, parent)) break;
    heap[index] = parent;
    index = parentIndex;
  }
  heap[index] = event;
}

function pop(heap: Scheduled[]): Scheduled | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  let index = 0;
  for (;;) {
    const leftIndex = 2 * index + 1;
    const left = heap[leftIndex];
    if (left === undefined) break;
    const right = heap[leftIndex + 1];
    const isRight = right !== undefined && before(right, left);
    const child = isRight ? right : left;
    if (!before(child, last)) break;
    heap[index] = child;
    index = isRight ? leftIndex + 1 : leftIndex;
  }
  heap[index] = last;
  return first;
}
