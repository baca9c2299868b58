import type { Command } from './commands.ts';
import type { AnyEvent, Loss } from './events.ts';
import type { Facts } from './facts.ts';

/**
 * What the first event of each decision holds beside its payload (journal/execute.ts): the command and the facts that
 * it followed from, so that the decision can be explained and taken again.
 */
export interface RecordedDecision {
  readonly command: Command;
  readonly facts: Facts;
  readonly loss?: Loss;
  readonly token?: string;
}

/** Undefined on the other events of a decision. The payload is trusted: its hash was verified when it came in. */
export function decisionOf(event: AnyEvent): RecordedDecision | undefined {
  if (event.type === 'unknown') return undefined;
  return (event.data as { readonly decision?: RecordedDecision }).decision;
}
