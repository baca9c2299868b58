import { type CausalBase, noBase } from '../domain/causal-base.ts';
import { CausalOrder, causalFacts } from '../domain/causality.ts';
import type { EventEnvelope } from '../domain/envelope.ts';
import type { AnyEvent } from '../domain/events.ts';
import type { ArchiveBase } from '../journal/archive-base.ts';
import type { Journal } from '../journal/journal.ts';
import { eventsAt } from '../journal/past.ts';
import { emptyStanding, type Standing } from '../projections/views.ts';
import { withJournal } from './offline-journal.ts';
import { Exit, exitCodes, shortened } from './program.ts';

/** The logs of an agent that does not run, in their one order. */
export interface OfflineHistory {
  readonly order: CausalOrder<EventEnvelope>;
  /** Before its first event: nothing, or what was archived. Nobody else's. */
  readonly begin: () => Standing;
}

/** Errors: usage, refused, damaged. */
export async function offlineHistory(data: string): Promise<OfflineHistory> {
  const histories: OfflineHistory[] = [];
  await withJournal(data, async (journal) => {
    histories.push(await historyOf(journal));
  });
  const [history] = histories;
  if (history === undefined) throw new Exit(exitCodes.usage, `there is no journal in ${data}`);
  return history;
}

export async function historyOf(journal: Pick<Journal, 'replay' | 'archived'>): Promise<OfflineHistory> {
  const archived = journal.archived();
  const order = new CausalOrder<EventEnvelope>(causalFacts, causalBaseOf(archived));
  for await (const batch of journal.replay()) order.add(batch);
  return { order, begin: () => standingOf(archived) };
}

export const causalBaseOf = (archived: ArchiveBase | null): CausalBase =>
  archived === null ? noBase : (structuredClone(archived.base) as unknown as CausalBase);

export const standingOf = (archived: ArchiveBase | null): Standing =>
  archived === null ? emptyStanding() : (structuredClone(archived.standing) as unknown as Standing);

/** Its events up to a moment. Errors: usage, where the moment is none. */
export function eventsUntil({ order }: OfflineHistory, moment: string | undefined): readonly AnyEvent[] {
  const events = eventsAt(order, moment);
  if (events !== null) return events;
  throw new Exit(
    exitCodes.usage,
    `"${shortened(moment ?? '')}" is neither an event (NODE/INCARNATION/SEQUENCE or NODE#SEQUENCE) nor a time, or it was archived`,
  );
}
