import { CausalOrder, causalFacts } from '../domain/causality.ts';
import type { EventEnvelope } from '../domain/envelope.ts';
import type { AnyEvent } from '../domain/events.ts';
import { eventsAt } from '../journal/past.ts';
import { withJournal } from './offline-journal.ts';
import { Exit, exitCodes, shortened } from './program.ts';

/** The logs of an agent that does not run, in their one order. Errors: usage, refused, damaged. */
export async function offlineOrder(data: string): Promise<CausalOrder<EventEnvelope>> {
  const order = new CausalOrder<EventEnvelope>(causalFacts);
  await withJournal(data, async (journal) => {
    for await (const batch of journal.replay()) order.add(batch);
  });
  return order;
}

/** Its events up to a moment. Errors: also usage, where the moment is none. */
export async function offlineHistory(data: string, moment?: string): Promise<readonly AnyEvent[]> {
  const events = eventsAt(await offlineOrder(data), moment);
  if (events !== null) return events;
  throw new Exit(
    exitCodes.usage,
    `"${shortened(moment ?? '')}" is neither an event (NODE/INCARNATION/SEQUENCE or NODE#SEQUENCE) nor a time`,
  );
}
