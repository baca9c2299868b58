import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { join } from 'node:path';

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/**
 * An application that takes its files seriously: each is written, fsynced, renamed to its name, and the folder fsynced;
 * only then its name is noted as acknowledged. A file whose writing ended with an error may be there or not.
 */
export class FsyncingWriter {
  /** Name → checksum of what must be found. */
  readonly acknowledged = new Map<string, string>();
  #number = 0;

  /** Writes until a system call fails or `isOver`. */
  async writeUntil(folder: string, isOver: () => boolean): Promise<void> {
    try {
      while (!isOver()) await this.#writeOne(folder);
    } catch {
      // The source is gone: what is acknowledged so far counts.
    }
  }

  async write(folder: string, count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) await this.#writeOne(folder);
  }

  async #writeOne(folder: string): Promise<void> {
    this.#number += 1;
    const name = `file-${this.#number}`;
    const content = randomBytes(1 + ((this.#number * 7919) % 60_000));
    const part = join(folder, `${name}.part`);
    await withFile(part, 'w', async (file) => {
      await file.writeFile(content);
      await file.sync();
    });
    await rename(part, join(folder, name));
    await withFile(folder, 'r', (file) => file.sync());
    this.acknowledged.set(name, hash(content));
  }

  /** Acknowledged files that are not there, or not whole. */
  missing(folder: string): string[] {
    return [...this.acknowledged].flatMap(([name, checksum]) => {
      const path = join(folder, name);
      if (!existsSync(path)) return [`${name} is missing`];
      return hash(readFileSync(path)) === checksum ? [] : [`${name} differs`];
    });
  }
}

async function withFile(
  path: string,
  flags: string,
  use: (file: FileHandle) => Promise<unknown>,
): Promise<void> {
  const file = await open(path, flags);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}
