import type { Command } from '../../domain/commands.ts';
import { dryRun, type Plan } from '../../domain/dry-run.ts';
import { replay } from '../../domain/evolve.ts';
import { pastFacts } from '../../domain/past-facts.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { eventsAt } from '../../journal/past.ts';
import type { AgentContext } from './context.ts';
import { type Addressed, deciderOf } from './decider.ts';
import { gatherFacts } from './facts.ts';
import type { WholeOrder } from './whole-order.ts';

/** For a moment that is none. */
export const noMoment = (moment: string): Refusal =>
  refuse(
    'invalid-request',
    `--as-of ${moment} is neither an event (NODE/INCARNATION/SEQUENCE or NODE#SEQUENCE) nor a time, or it was archived`,
  );

/**
 * `--dry-run --as-of`: what would have come of a command at a past moment. Any agent answers, as the node that would
 * have decided it then. What lies at the paths that a command names is looked up now: no history tells it.
 */
export async function planThen(
  context: AgentContext,
  past: WholeOrder,
  { asOf = '', ...command }: Command,
): Promise<{ readonly plan: Plan; readonly decider: NodeName }> {
  const self = context.options.node;
  const events = eventsAt(await past.order(), asOf);
  if (events === null) return { plan: { kind: 'refused', refusal: noMoment(asOf) }, decider: self };
  const state = replay(past.begin().state, events);
  const asked = command as Command;
  const decider = deciderOf(state, asked.command, asked as Addressed, self);
  const facts = { ...pastFacts(state, events, asked, decider), ...(await foundNow(context, asked)) };
  return { plan: dryRun(state, asked, facts), decider };
}

async function foundNow(context: AgentContext, command: Command): Promise<object> {
  if (command.command !== 'create' && command.command !== 'extend') return {};
  const { paths, replication } = await gatherFacts(context, command);
  return { ...(paths ? { paths } : {}), ...(replication ? { replication } : {}) };
}
