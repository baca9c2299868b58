import { decide } from '../domain/decide.ts';
import type { AnyEvent, DomainEvent } from '../domain/events.ts';
import { decisionOf, type RecordedDecision } from '../domain/recorded-decision.ts';
import type { RefusalCode } from '../domain/refusals.ts';
import type { ClusterState } from '../domain/state.ts';
import { whatWouldAllow } from '../domain/what-would-allow.ts';
import { factSentences } from './explain-facts.ts';
import { type RuleText, ruleTexts } from './rule-texts.ts';
import { type TimelineEntry, timelineEntry } from './timeline.ts';

/** `journal explain --refusal ID`: why a command was refused, and under what else it would not have been. */
export interface RefusalExplanation {
  readonly entry: TimelineEntry;
  /** What was asked, with its arguments. */
  readonly asked: Readonly<Record<string, unknown>>;
  readonly code: RefusalCode;
  readonly rule: RuleText;
  readonly message: string;
  readonly facts: readonly string[];
  /** Events that led there. */
  readonly because: readonly TimelineEntry[];
  /** As the refusal itself said. */
  readonly allowed: readonly string[];
  /** Each a smallest set of things that, had they been otherwise, would have let it pass. */
  readonly ifOnly: readonly (readonly string[])[];
  /** Whether the same rule speaks when it is decided again from what the decider knew; null: nothing recorded. */
  readonly again: 'refused alike' | 'otherwise' | null;
}

export type Refused = Extract<DomainEvent, { type: 'command.refused' }>;

/** By the id of its event, or of the command. The last one where a command was refused more than once. */
export const refusedEvent = (events: readonly AnyEvent[], id: string): Refused | undefined =>
  events.findLast(
    (event): event is Refused =>
      event.type === 'command.refused' && (event.id === id || event.data.commandId === id),
  );

/** @param state what the decider knew when it refused; @param events to find what led there */
export function explainRefusal(
  refused: Refused,
  state: ClusterState,
  events: readonly AnyEvent[],
): RefusalExplanation {
  const { data } = refused;
  const decision = decisionOf(refused);
  const code = data.code as RefusalCode;
  const because = events.filter(({ id }) => data.because.includes(id));
  return {
    entry: timelineEntry(refused),
    asked: argumentsOf(decision, data.command),
    code,
    rule: ruleTexts[code],
    message: data.message,
    facts: factSentences(decision),
    because: because.map(timelineEntry),
    allowed: data.allowed,
    ifOnly: decision === undefined ? [] : whatWouldAllow({ state, ...decision }),
    again: decision === undefined ? null : decidedAgain(state, decision, code),
  };
}

function decidedAgain(state: ClusterState, decision: RecordedDecision, code: RefusalCode) {
  // Of two commands with one id that are under way at once, the second is refused before it is decided.
  if (code === 'command-id-reused') return 'refused alike';
  const again = decide(state, decision.command, decision.facts);
  return again.kind === 'refused' && again.refusal.code === code ? 'refused alike' : 'otherwise';
}

function argumentsOf(decision: RecordedDecision | undefined, command: string): Record<string, unknown> {
  if (decision === undefined) return { command };
  const {
    id: _id,
    actor: _actor,
    digest: _digest,
    reason: _reason,
    dryRun: _dryRun,
    ...asked
  } = decision.command;
  return asked;
}
