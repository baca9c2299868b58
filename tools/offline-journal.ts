import { join } from 'node:path';
import { type Damage, JournalError } from '../journal/journal.ts';
import type { LevelJournal } from '../journal/level-journal.ts';
import { openOffline } from '../journal/offline.ts';
import { Exit, exitCodes } from './program.ts';

/** Where an agent with this data directory keeps its journal. */
export const journalOf = (data: string): string => join(data, 'journal');

/** Whatever can be read is shown first; then damage has its say and its exit code. */
export async function withJournal(
  data: string,
  work: (journal: LevelJournal) => Promise<void>,
): Promise<void> {
  const journal = await refusing(() => openOffline(journalOf(data)));
  if (journal === undefined) throw new Exit(exitCodes.usage, `there is no journal in ${data}`);
  try {
    await work(journal);
    throwDamage(journal.damage());
  } finally {
    await journal.close();
  }
}

export async function refusing<T>(open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    const isLocked = error.code === 'locked';
    const hint = isLocked ? '; an agent that runs is asked by --socket' : '';
    throw new Exit(
      isLocked ? exitCodes.refused : exitCodes.damaged,
      `${error.code}: ${error.message}${hint}`,
    );
  }
}

export function throwDamage(damage: readonly Pick<Damage, 'code' | 'message'>[]): void {
  if (damage.length === 0) return;
  throw new Exit(exitCodes.damaged, damage.map(({ code, message }) => `${code}: ${message}`).join('\n'));
}
