import { existsSync, readdirSync, renameSync } from 'node:fs';
import type { ClassicLevel } from 'classic-level';
import { Level } from 'level';
import { JournalError } from './journal.ts';

/** One write to the journal's database. */
export type StoreWrite =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

export interface KeyBounds {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
}

const batchEntries = 1000;
const batchBytes = 4 * 1024 * 1024;
/** Larger than LevelDB's default: fewer and longer compactions beside the appends. */
const writeBufferSize = 16 * 1024 * 1024;

/** The LevelDB database below the journal: text keys, text values, every write durable. */
export class EventStore {
  readonly #path: string;
  #database: Level<string, string>;
  /** What opening found broken; undefined when LevelDB opened as it should. */
  readonly openingFault: string | undefined;

  private constructor(path: string, database: Level<string, string>, openingFault: string | undefined) {
    this.#path = path;
    this.#database = database;
    this.openingFault = openingFault;
  }

  /**
   * Opens or creates. A database that LevelDB refuses to open is salvaged (LevelDB's repair keeps every
   * readable record; what it cannot read it moves to `lost/`), or set aside whole where that fails too.
   * Errors: `locked`.
   */
  static async open(path: string): Promise<EventStore> {
    const missing = missingPart(path);
    try {
      return new EventStore(path, await openDatabase(path), missing);
    } catch (error) {
      if (error instanceof JournalError) throw error;
      const fault = causeOf(error);
      return new EventStore(path, await salvage(path), fault);
    }
  }

  /** Resolves when durable. */
  write(writes: readonly StoreWrite[]): Promise<void> {
    return this.#database.batch([...writes], { sync: true });
  }

  /** Errors: `bad-checksum` when LevelDB finds its own block broken. */
  async get(key: string): Promise<string | undefined> {
    try {
      return await this.#database.get(key);
    } catch (error) {
      throw unreadable(error);
    }
  }

  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    try {
      return await this.#database.getMany([...keys]);
    } catch (error) {
      throw unreadable(error);
    }
  }

  /** The last entry within the bounds. */
  async last(bounds: KeyBounds): Promise<string | undefined> {
    for await (const key of this.#database.keys({ ...bounds, reverse: true, limit: 1 })) return key;
    return undefined;
  }

  /** In key order, the next batch being read while one is worked on. Errors: `bad-checksum`. */
  entries(bounds: KeyBounds): AsyncGenerator<readonly [string, string][]> {
    return prefetched(this.#database.iterator({ ...bounds, highWaterMarkBytes: batchBytes }));
  }

  values(bounds: KeyBounds): AsyncGenerator<readonly string[]> {
    return prefetched(this.#database.values({ ...bounds, highWaterMarkBytes: batchBytes }));
  }

  /** After a write error nothing that LevelDB says can be trusted until it was opened anew (DESIGN 4). */
  async reopen(): Promise<void> {
    await this.#database.close();
    this.#database = await openDatabase(this.#path);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

interface BatchIterator<T> {
  nextv(size: number): Promise<T[]>;
  close(): Promise<void>;
}

async function* prefetched<T>(iterator: BatchIterator<T>): AsyncGenerator<readonly T[]> {
  const read = () => {
    const batch = iterator.nextv(batchEntries);
    batch.catch(() => undefined);
    return batch;
  };
  let next = read();
  try {
    for (;;) {
      const batch = await next;
      if (batch.length === 0) return;
      next = read();
      yield batch;
    }
  } catch (error) {
    throw unreadable(error);
  } finally {
    await next.catch(() => undefined);
    await iterator.close();
  }
}

async function openDatabase(path: string): Promise<Level<string, string>> {
  const database = new Level<string, string>(path, { writeBufferSize });
  try {
    await database.open();
    return database;
  } catch (error) {
    await database.close();
    const cause = (error as Error).cause as (Error & { code?: string }) | undefined;
    if (cause?.code === 'LEVEL_LOCKED')
      throw new JournalError('locked', `${path} is in use by another process`, { cause: error });
    throw error;
  }
}

async function salvage(path: string): Promise<Level<string, string>> {
  try {
    await (Level as unknown as typeof ClassicLevel).repair(path);
    return await openDatabase(path);
  } catch (error) {
    if (error instanceof JournalError) throw error;
    renameSync(path, `${path}.damaged-${Date.now()}`);
    return await openDatabase(path);
  }
}

/** LevelDB opens without its log file as if nothing were missing (DESIGN 4). */
function missingPart(path: string): string | undefined {
  if (!existsSync(path)) return 'the database is not there';
  const files = readdirSync(path);
  if (!files.includes('CURRENT')) return 'the database is not there';
  return files.some((file) => file.endsWith('.log'))
    ? undefined
    : 'the log file of the database is not there';
}

const causeOf = (error: unknown): string => {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
};

const unreadable = (error: unknown): unknown =>
  error instanceof Error && /corrupt|checksum|truncated|bad (block|entry)/i.test(causeOf(error))
    ? new JournalError('bad-checksum', `LevelDB cannot read its own file: ${causeOf(error)}`, {
        cause: error,
      })
    : error;
