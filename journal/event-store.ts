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
  /** False when LevelDB's own files are missing or broken. */
  isWhole: boolean;

  private constructor(path: string, database: Level<string, string>, isWhole: boolean) {
    this.#path = path;
    this.#database = database;
    this.isWhole = isWhole;
  }

  /**
   * Opens or creates. A database that LevelDB refuses to open is salvaged (LevelDB's repair keeps every
   * readable record; what it cannot read it moves to `lost/`), or set aside whole where that fails too.
   * Errors: `locked`.
   */
  static async open(path: string): Promise<EventStore> {
    const isWhole = hasItsFiles(path);
    try {
      return new EventStore(path, await openDatabase(path), isWhole);
    } catch (error) {
      if (error instanceof JournalError) throw error;
      return new EventStore(path, await salvage(path), false);
    }
  }

  /** Drops what LevelDB cannot read, where it keeps even its keys from being listed. */
  async salvage(): Promise<void> {
    await this.#database.close();
    this.#database = await salvage(this.#path);
    this.isWhole = false;
  }

  /** Resolves when durable. A chained batch costs less than half of an array. */
  async write(writes: readonly StoreWrite[]): Promise<void> {
    const batch = this.#database.batch();
    for (const write of writes) {
      if (write.type === 'put') batch.put(write.key, write.value);
      else batch.del(write.key);
    }
    await batch.write({ sync: true });
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

  /** The last key within the bounds. Errors: `bad-checksum`. */
  async last(bounds: KeyBounds): Promise<string | undefined> {
    try {
      const [key] = await this.#database.keys({ ...bounds, reverse: true, limit: 1 }).all();
      return key;
    } catch (error) {
      throw unreadable(error);
    }
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
function hasItsFiles(path: string): boolean {
  const files = existsSync(path) ? readdirSync(path) : [];
  return files.includes('CURRENT') && files.some((file) => file.endsWith('.log'));
}

function unreadable(error: unknown): unknown {
  const { code, message, cause } = error as Error & { code?: string };
  const isCorrupt =
    code === 'LEVEL_CORRUPTION' || (cause as { code?: string } | undefined)?.code === 'LEVEL_CORRUPTION';
  return isCorrupt
    ? new JournalError('bad-checksum', `LevelDB cannot read its own files: ${message}`, { cause: error })
    : error;
}
