import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NodeName } from '../domain/vocabulary.ts';
import { EventStore } from './event-store.ts';
import { readPlainHead } from './head-file.ts';
import { ownerKey } from './keys.ts';
import { type LevelJournal, openLevelJournal } from './level-journal.ts';

/**
 * Opens the journal of an agent that is not running: the head beside the database says whose it is, or the
 * database itself. Undefined when there is no journal. Errors: `locked` while an agent holds it.
 */
export async function openOffline(directory: string): Promise<LevelJournal | undefined> {
  const head = readPlainHead(join(directory, 'head'));
  if (head !== undefined) return await openLevelJournal({ directory, ...head });
  const events = join(directory, 'events');
  if (!existsSync(events)) return undefined;
  const store = await EventStore.open(events);
  const owner = await store.get(ownerKey).finally(() => store.close());
  const [node, cluster = ''] = owner?.split('/') ?? [auditor];
  return await openLevelJournal({ directory, node: NodeName.parse(node), cluster });
}

/** Who holds a journal that only collects the logs of others: no agent of that name ever writes to it. */
const auditor = NodeName.parse('auditor');

/** A journal to import into where there is none yet. An agent refuses it: it is nobody's own. */
export const createForAuditor = (directory: string): Promise<LevelJournal> =>
  openLevelJournal({ directory, node: auditor, cluster: '' });
