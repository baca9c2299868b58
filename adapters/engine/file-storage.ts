import type { BlockDevice, Done } from '../block/block-device.ts';
import { FileDevice } from '../block/file-device.ts';
import type { IntentLog } from '../block/intent-log.ts';
import { openIntentLog } from '../block/open-intent-log.ts';
import { ReplicaError } from '../block/replica-error.ts';
import {
  createMetadataFile,
  createReplicaFolder,
  openIntentLogFile,
  openMetadataFile,
} from '../block/replica-files.ts';
import { ReplicaLock } from '../block/replica-lock.ts';
import type { ReplicaMetadata } from '../block/replica-metadata.ts';
import type { ReplicaIdentity, ReplicaRecord } from '../block/replica-record.ts';
import type { Storage } from './ports.ts';

type OpenIntentLog = Storage['openIntentLog'];

/** Files, partitions and disks of this machine. */
export class FileStorage implements Storage {
  readonly #holder: string;
  readonly #locks = new Map<string, ReplicaLock>();

  /** `holder`: what another process is told that wants the same replica. */
  constructor(holder: string) {
    this.#holder = holder;
  }

  openVolume(path: string, done: (error: Error | null, device: BlockDevice | null) => void): void {
    settled(FileDevice.open(path), done);
  }

  openMetadata(
    folder: string,
    expected: ReplicaIdentity,
    fresh: ReplicaRecord | null,
    done: (error: Error | null, metadata: ReplicaMetadata | null) => void,
  ): void {
    settled(this.#openMetadata(folder, expected, fresh), done);
  }

  openIntentLog(...[folder, options, done]: Parameters<OpenIntentLog>): void {
    if (folder === null) openIntentLog({ ...options, device: null }, (log) => done(null, log));
    else settled<IntentLog>(inFolder(folder, options), done);
  }

  release(folder: string, done: Done): void {
    const lock = this.#locks.get(folder);
    this.#locks.delete(folder);
    settled(lock?.release() ?? Promise.resolve(), (error) => done(error));
  }

  async #openMetadata(
    folder: string,
    expected: ReplicaIdentity,
    fresh: ReplicaRecord | null,
  ): Promise<ReplicaMetadata> {
    if (fresh !== null) await createReplicaFolder(folder);
    const lock = await ReplicaLock.acquire(folder, this.#holder).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      throw new ReplicaError('metadata-missing', `there is no replica in ${folder}`);
    });
    try {
      const metadata = await openMetadataFile(folder, expected).catch((error: unknown) => {
        const isNew = error instanceof ReplicaError && error.code === 'metadata-missing' && fresh !== null;
        if (!isNew) throw error;
        return createMetadataFile(folder, fresh);
      });
      this.#locks.set(folder, lock);
      return metadata;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }
}

async function inFolder(folder: string, options: Parameters<OpenIntentLog>[1]): Promise<IntentLog> {
  await createReplicaFolder(folder);
  return openIntentLogFile(folder, options);
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';

function settled<T>(promise: Promise<T>, done: (error: Error | null, value: T | null) => void): void {
  promise.then(
    (value) => setImmediate(done, null, value),
    (error: unknown) => setImmediate(done, error instanceof Error ? error : new Error(String(error)), null),
  );
}
