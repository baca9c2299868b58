import type { FileHandle } from 'node:fs/promises';
import { open, readFile } from 'node:fs/promises';
import { lockFile } from './file-lock.ts';
import { ReplicaError } from './replica-error.ts';
import { lockPath } from './replica-paths.ts';

/**
 * One engine, or one offline tool, per replica. The kernel ends the lock with its holder (file-lock.ts); what the
 * file says is for people only.
 */
export class ReplicaLock {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** `holder` is what a refused one is told. Errors: `replica-in-use`, or the system's. */
  static async acquire(folder: string, holder: string): Promise<ReplicaLock> {
    const path = lockPath(folder);
    const handle = await open(path, 'a');
    try {
      if (!(await lockFile(handle.fd))) {
        const other = (await readFile(path, 'utf8')).trim();
        throw new ReplicaError(
          'replica-in-use',
          `the replica in ${folder} is in use by ${other || 'another process'}`,
        );
      }
      await handle.truncate(0);
      await handle.appendFile(`${holder}, process ${process.pid}\n`);
      return new ReplicaLock(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async release(): Promise<void> {
    await this.#handle.truncate(0);
    await this.#handle.close();
  }
}
