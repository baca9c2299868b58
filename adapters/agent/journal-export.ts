import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exportLines } from '../../journal/export.ts';
import type { Journal } from '../../journal/journal.ts';

/**
 * Writes the journal of a running agent beside it, for whoever asked over its socket: they are on the same machine,
 * and may read the agent's directory. The caller takes the file away.
 * Errors: of the file system; of the journal where it is damaged (what is good is not told for the whole).
 */
export async function exportBeside(journal: Journal, dir: string, isRedacted: boolean): Promise<string> {
  const path = join(dir, `export-${randomUUID()}.ndjson`);
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const lines of exportLines(journal, isRedacted)) await file.write(lines);
    return path;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
