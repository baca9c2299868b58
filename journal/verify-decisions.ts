import { type CausalBase, noBase } from '../domain/causal-base.ts';
import { CausalOrder, causalFacts } from '../domain/causality.ts';
import type { Command } from '../domain/commands.ts';
import { type Decision, decide } from '../domain/decide.ts';
import { comparePositions, type EventEnvelope, envelopeType, parseSeen } from '../domain/envelope.ts';
import { eventSchemas } from '../domain/events.ts';
import { apply } from '../domain/evolve.ts';
import type { Facts } from '../domain/facts.ts';
import { type ClusterState, emptyState } from '../domain/state.ts';
import { canonicalJson } from './canonical-json.ts';
import { readEvent } from './read-event.ts';
import type { Finding } from './verify.ts';

/**
 * Decides every recorded decision again (REQUIREMENTS 4): from what its writer had seen and the facts that it
 * recorded must follow the events that it wrote. Needs all logs whole and not redacted, from behind `begin` on.
 */
export function verifyDecisions(
  logs: ReadonlyMap<string, readonly EventEnvelope[]>,
  begin: Begin = { base: noBase, state: emptyState },
): {
  readonly decisionCount: number;
  readonly findings: readonly Finding[];
} {
  const findings: Finding[] = [];
  let decisionCount = 0;
  for (const [node, log] of logs) {
    const knowledge = new Knowledge(logs, begin);
    for (const [index, event] of log.entries()) {
      knowledge.see(event);
      const decision = event.data['decision'] as RecordedDecision | undefined;
      if (decision !== undefined) {
        decisionCount += 1;
        const again = decide(knowledge.state, decision.command, decision.facts);
        const message = difference(again, log.slice(index));
        if (message !== undefined)
          findings.push({
            code: 'bad-chain',
            message: `event ${event.id} does not follow from what ${node} knew: ${message}`,
          });
      }
      knowledge.add([event]);
    }
  }
  return { decisionCount, findings };
}

/** What was archived, where anything was. */
export interface Begin {
  readonly base: CausalBase;
  /** Nobody else's. */
  readonly state: () => ClusterState;
}

interface RecordedDecision {
  readonly command: Command;
  readonly facts: Facts;
}

/** What a node knew at each of its events: folded on as its knowledge grows, anew where a late event came between. */
class Knowledge {
  readonly #logs: ReadonlyMap<string, readonly EventEnvelope[]>;
  readonly #begin: Begin;
  readonly #order: CausalOrder<EventEnvelope>;
  readonly #taken = new Map<string, number>();
  #state: ClusterState;
  #folded: number;

  constructor(logs: ReadonlyMap<string, readonly EventEnvelope[]>, begin: Begin) {
    this.#logs = logs;
    this.#begin = begin;
    this.#order = new CausalOrder<EventEnvelope>(causalFacts, begin.base);
    this.#state = begin.state();
    this.#folded = begin.base.length;
  }

  /** Everything of the others that the writer had seen. */
  see(event: EventEnvelope): void {
    for (const { node, incarnation, sequence } of parseSeen(event.seen) ?? []) {
      if (node === event.node) continue;
      const log = this.#logs.get(node) ?? [];
      let to = this.#taken.get(node) ?? 0;
      const from = to;
      for (let next = log[to]; next !== undefined; next = log[to]) {
        if (comparePositions(next, { incarnation, sequence }) > 0) break;
        to += 1;
      }
      this.#taken.set(node, to);
      if (to > from) this.add(log.slice(from, to));
    }
  }

  add(events: readonly EventEnvelope[]): void {
    if (this.#order.add(events) < this.#folded) {
      this.#state = this.#begin.state();
      this.#folded = this.#begin.base.length;
    }
  }

  get state(): ClusterState {
    for (const event of this.#order.events(this.#folded)) apply(this.#state, readEvent(event));
    this.#folded = this.#order.length;
    return this.#state;
  }
}

/** What is recorded beside what was decided; undefined when it is the same. */
function difference(again: Decision, recorded: readonly EventEnvelope[]): string | undefined {
  const [first] = recorded;
  const refusal = first?.type === envelopeType('command.refused', 1) ? String(first.data['code']) : undefined;
  // Of two commands with one id that are under way at once, the second is refused before it is decided.
  if (refusal === 'command-id-reused') return undefined;
  if (again.kind === 'refused')
    return refusal === again.refusal.code ? undefined : `it would be refused with ${again.refusal.code}`;
  if (refusal !== undefined) return `it was refused with ${refusal} and would be accepted`;
  const index = again.events.findIndex((event, at) => {
    const stored = recorded[at];
    const { decision: _, ...data } = stored?.data ?? {};
    return (
      stored?.type !== envelopeType(event.type, eventSchemas[event.type].version) ||
      (stored.subject ?? null) !== event.resource ||
      canonicalJson(data) !== canonicalJson(event.data)
    );
  });
  const wrong = again.events[index];
  return wrong === undefined ? undefined : `${wrong.type} would be its event ${index + 1}`;
}
