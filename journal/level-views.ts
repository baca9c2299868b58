import { mkdirSync, rmSync } from 'node:fs';
import { Level } from 'level';
import { z } from 'zod';
import type { Heads } from '../domain/envelope.ts';
import { JournalError } from './journal.ts';
import { seal, unseal } from './record.ts';

/**
 * The views in a LevelDB database of their own (`DIR/views`). Everything in it follows from the journal: a
 * database that cannot be read is thrown away, a view that does not verify is absent, and both are rebuilt.
 *
 * A view is one record, heads and value together, and all views that one batch of events changed are written
 * in one batch with the checkpoint: what is there is always the fold of exactly the events up to its heads.
 * Not synced: after a power failure the views stand at an earlier checkpoint and the journal's tail is folded
 * in again.
 */
export interface StoredView {
  readonly heads: Heads;
  /** JSON text. */
  readonly body: string;
}

export interface LevelViews {
  /** Undefined when there is none or it does not verify. */
  get(name: string): Promise<StoredView | undefined>;
  names(): Promise<readonly string[]>;
  /** All or nothing; `null` takes a view away. */
  put(heads: Heads, views: Readonly<Record<string, string | null>>): Promise<void>;
  /** Heads of the last `put`; undefined when nothing was put yet. */
  checkpoint(): Promise<Heads | undefined>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

const HeadsSchema = z.record(
  z.string(),
  z.object({ incarnation: z.int(), sequence: z.int(), hash: z.string() }),
);
const viewKey = (name: string) => `v!${name}`;
const allViews = { gte: 'v!', lt: 'v"' } as const;
const checkpointKey = 'c!';

/** Errors: `locked`. */
export async function openLevelViews(directory: string): Promise<LevelViews> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = await open(directory).catch(async (error: unknown) => {
    if (error instanceof JournalError) throw error;
    rmSync(directory, { recursive: true, force: true });
    return await open(directory);
  });
  const read = async (key: string): Promise<StoredView | undefined> => {
    const record = await database.get(key).catch(() => undefined);
    return record === undefined ? undefined : parse(record);
  };
  return {
    get: (name) => read(viewKey(name)),
    names: async () => (await database.keys(allViews).all()).map((key) => key.slice(viewKey('').length)),
    put: (heads, views) =>
      database.batch([
        { type: 'put', key: checkpointKey, value: record(heads, '') },
        ...Object.entries(views).map(([name, body]) =>
          body === null
            ? ({ type: 'del', key: viewKey(name) } as const)
            : ({ type: 'put', key: viewKey(name), value: record(heads, body) } as const),
        ),
      ]),
    checkpoint: async () => (await read(checkpointKey))?.heads,
    clear: () => database.clear(),
    close: () => database.close(),
  };
}

async function open(directory: string): Promise<Level<string, string>> {
  const database = new Level<string, string>(directory);
  try {
    await database.open();
    return database;
  } catch (error) {
    await database.close();
    const { cause } = error as { cause?: { code?: string } };
    if (cause?.code === 'LEVEL_LOCKED')
      throw new JournalError('locked', `${directory} is in use by another process`, { cause: error });
    throw error;
  }
}

const record = (heads: Heads, body: string): string => seal(`${JSON.stringify(heads)}\n${body}`);

function parse(sealed: string): StoredView | undefined {
  const text = unseal(sealed);
  if (text === undefined) return undefined;
  const end = text.indexOf('\n');
  const heads = HeadsSchema.safeParse(JSON.parse(text.slice(0, end)));
  return heads.success ? { heads: heads.data, body: text.slice(end + 1) } : undefined;
}
