import type { CausalFacts } from '../../domain/causal-base.ts';
import { CausalOrder } from '../../domain/causality.ts';
import type { Command } from '../../domain/commands.ts';
import { decide } from '../../domain/decide.ts';
import type { AnyEvent, DomainEvent } from '../../domain/events.ts';
import { apply } from '../../domain/evolve.ts';
import type { Facts } from '../../domain/facts.ts';
import { acceptanceToken } from '../../domain/loss.ts';
import { type ClusterState, emptyState } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { tag } from './given.ts';

/** An event with what the causal order needs to know of it. */
export interface Entry {
  readonly event: AnyEvent;
  readonly facts: CausalFacts;
}

/** A node without a machine: its knowledge of all logs, and decisions that it appends to its own. */
export class ModelNode {
  readonly name: NodeName;
  readonly #order = new CausalOrder<Entry>(({ facts }) => facts);
  #state: ClusterState = emptyState();
  #folded = 0;
  #sequence = 0;
  /** Called with the state before and after each event that is folded. */
  onFold: (before: ClusterState, event: AnyEvent, after: ClusterState) => void = () => {};

  constructor(name: NodeName) {
    this.name = name;
  }

  get state(): ClusterState {
    return this.#state;
  }

  get entries(): readonly Entry[] {
    return this.#order.events();
  }

  add(entries: readonly Entry[]): void {
    if (this.#order.add(entries) < this.#folded) {
      this.#state = emptyState();
      this.#folded = 0;
    }
    for (const { event } of this.#order.events(this.#folded)) {
      const before = this.#state;
      this.#state = structuredClone(before);
      apply(this.#state, event);
      this.#folded += 1;
      this.onFold(before, event, this.#state);
    }
  }

  /** Decides as one who accepts every loss; undefined where it is refused. */
  decide(command: Command, facts: Facts): readonly AnyEvent[] | undefined {
    const accepted = { ...command, acceptLoss: acceptanceToken(this.#state.resources[tag], command) };
    const decision = decide(this.#state, accepted, facts);
    return decision.kind === 'accepted' ? this.append(decision.events, accepted, facts) : undefined;
  }

  append(events: readonly object[], command: Partial<Command>, facts: Pick<Facts, 'now'>): AnyEvent[] {
    return events.map((one) => {
      const event = this.#stamped(one, command, facts);
      this.add([{ event, facts: this.#causalFacts(event) }]);
      return event;
    });
  }

  #stamped(one: object, command: Partial<Command>, { now }: Pick<Facts, 'now'>): DomainEvent {
    this.#sequence += 1;
    return {
      actor: command.actor ?? { id: 'root', via: 'socket', verified: false },
      reason: null,
      cause: null,
      command: command.id ?? null,
      digest: command.digest ?? null,
      ...one,
      time: now,
      node: this.name,
      id: `${this.name}/1/${this.#sequence}`,
    } as DomainEvent;
  }

  #causalFacts({ resource, ...event }: AnyEvent): CausalFacts {
    const epoch = event.type === 'unknown' ? undefined : (event.data as { epoch?: number }).epoch;
    const seen = Object.entries(this.#order.heads)
      .filter(([node]) => node !== this.name)
      .map(([node, head]) => ({ node, ...head, hash16: '' }));
    return {
      node: this.name,
      incarnation: 1,
      sequence: this.#sequence,
      subject: resource,
      epoch: epoch ?? null,
      seen,
    };
  }
}

/** Both know afterwards what either knew. */
export function exchange(a: ModelNode, b: ModelNode): void {
  const [ofA, ofB] = [a.entries, b.entries];
  a.add(ofB);
  b.add(ofA);
}
