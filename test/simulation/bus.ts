import type { Random } from './random.ts';
import type { World } from './world.ts';

/**
 * The message bus between agents: one-way messages, at most once, late, twice, or lost when a path is cut. Requests
 * and their replies are two messages; whoever asks must live without an answer.
 */
export interface BusHabits {
  readonly latencyMs: readonly [low: number, high: number];
  readonly duplicate: number;
}

export class SimulatedBus<Message> {
  readonly #world: World;
  readonly #random: Random;
  readonly #habits: BusHabits;
  readonly #receivers = new Map<string, (from: string, message: Message) => void>();
  readonly #blocked = new Set<string>();

  constructor(world: World, habits: BusHabits) {
    this.#world = world;
    this.#random = world.random.fork('bus');
    this.#habits = habits;
  }

  /** Null: nobody listens there (any more). */
  subscribe(node: string, receive: ((from: string, message: Message) => void) | null): void {
    if (receive === null) this.#receivers.delete(node);
    else this.#receivers.set(node, receive);
  }

  send(from: string, to: string, message: Message): void {
    const copies = this.#random.chance(this.#habits.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#world.after(this.#random.span(...this.#habits.latencyMs), () => {
        if (!this.#blocked.has(`${from} -> ${to}`)) this.#receivers.get(to)?.(from, message);
      });
    }
  }

  block(from: string, to: string): void {
    this.#blocked.add(`${from} -> ${to}`);
  }

  heal(from: string, to: string): void {
    this.#blocked.delete(`${from} -> ${to}`);
  }

  healAll(): void {
    this.#blocked.clear();
  }
}
