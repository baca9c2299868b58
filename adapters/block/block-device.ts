/** Called exactly once, possibly before the call that it was given to returns. */
export type Done = (error: Error | null) => void;

/**
 * The one interface of every layer that holds bytes: a file, a partition, the undo log over it, fault injection,
 * the simulated disk. Volumes, replica metadata and intent logs all lie on one.
 *
 * Callers keep ranges inside `byteSize` and leave a buffer alone until `done`. An error carries the code of the
 * operating system (`EIO`, `ENOSPC`, …); after one the state of that range is unknown.
 */
export interface BlockDevice {
  readonly byteSize: number;
  read(into: Uint8Array, offset: number, done: Done): void;
  /** Done when reads see it; volatile until the next `flush`. */
  write(from: Uint8Array, offset: number, done: Done): void;
  /** Reads back as zeros; the space stays allocated. */
  zero(offset: number, byteCount: number, done: Done): void;
  /** Reads back as zeros on every replica alike; the space may be given back. */
  trim(offset: number, byteCount: number, done: Done): void;
  /** Everything whose `done` came before this call is on stable storage when `done` comes. */
  flush(done: Done): void;
  close(done: Done): void;
}
