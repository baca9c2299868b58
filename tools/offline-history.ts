import { CausalOrder, causalFacts } from '../domain/causality.ts';
import type { EventEnvelope } from '../domain/envelope.ts';
import type { AnyEvent } from '../domain/events.ts';
import { eventsAt } from '../journal/past.ts';
import { withJournal } from './offline-journal.ts';
import { Exit, exitCodes, shortened } from './program.ts';

/** The history of an agent that does not run, in order, up to a moment. Errors: usage, refused, damaged. */
export async function offlineHistory(data: string, moment?: string): Promise<readonly AnyEvent[]> {
  const order = new CausalOrder<EventEnvelope>(causalFacts);
  await withJournal(data, async (journal) => {
    for await (const batch of journal.replay()) order.add(batch);
  });
  const events = eventsAt(order, moment);
  if (events === null)
    throw new Exit(
      exitCodes.usage,
      `"${shortened(moment ?? '')}" is neither an event (NODE/INCARNATION/SEQUENCE or NODE#SEQUENCE) nor a time`,
    );
  return events;
}
