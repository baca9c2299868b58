/**
 * A process that appends until it is killed, eight at a time, and prints each event's id and hash once it is
 * acknowledged; or prints the code that kept it from opening. Argument: the journal's directory.
 */
import { NodeName } from '../../domain/vocabulary.ts';
import { JournalError } from '../../journal/journal.ts';
import { openLevelJournal } from '../../journal/level-journal.ts';
import { draft } from './drafts.ts';

const inFlight = 8;

try {
  const journal = await openLevelJournal({
    directory: process.argv[2] ?? '',
    node: NodeName.parse('eve'),
    cluster: 'test',
  });
  for (let lane = 0; lane < inFlight; lane += 1)
    void (async () => {
      for (let number = 0; ; number += 1)
        for (const { id, hash } of await journal.append([draft(number)]))
          process.stdout.write(`${id} ${hash}\n`);
    })();
} catch (error) {
  if (!(error instanceof JournalError)) throw error;
  process.stdout.write(`${error.code}\n`);
}
