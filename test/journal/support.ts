import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import type { FetchEvents, Journal } from '../../journal/journal.ts';
import { type LevelJournal, openLevelJournal } from '../../journal/level-journal.ts';

/** Removed when the test is over. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mk-journal-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Closed when the test is over, if it is still open then. */
export async function openJournal(directory: string, node = 'eve'): Promise<LevelJournal> {
  const journal = await openLevelJournal({ directory, node: NodeName.parse(node), cluster: 'test' });
  onTestFinished(() => journal.close());
  return journal;
}

export async function allEvents(journal: Journal): Promise<EventEnvelope[]> {
  const events: EventEnvelope[] = [];
  for await (const batch of journal.replay()) events.push(...batch);
  return events;
}

/** Another node's copy of a log. */
export const copyOf =
  (events: readonly EventEnvelope[]): FetchEvents =>
  async ({ node, incarnation, from, to }) =>
    events.filter(
      (event) =>
        event.node === node &&
        event.incarnation === incarnation &&
        event.sequence >= from &&
        event.sequence <= to,
    );

export async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'nothing was refused',
    (error: { code?: string }) => error.code ?? String(error),
  );
}
