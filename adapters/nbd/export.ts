import type { Epoch, VolumeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';

/** What a client may assume of a range (`base:allocation`); false promises nothing. */
export interface Extent {
  readonly byteCount: number;
  /** Not allocated: a later write may fail for want of space. */
  readonly isHole: boolean;
  /** Reads as zeros. */
  readonly isZero: boolean;
}

/**
 * One volume in the reign of one source, as the NBD server needs it: the engine's write path implements it.
 *
 * The server has checked every range against `byteSize`, every flag, and `readOnly`, before it calls; offsets
 * and counts are in bytes, of any alignment, and `byteCount` is at least 1. Calls of all connections go to the same object,
 * many in flight at once.
 *
 * `done` is called exactly once per call, possibly before the call returns. Null is what the client's
 * acknowledgement rests on: it says that the request is complete in the mode of the mirror, and for `fua` that
 * it is on stable storage. An error's `code` (`EIO`, `ENOSPC`, `EDQUOT`, `EFBIG`, `EPERM`, `EROFS`, `EINVAL`,
 * `ENOMEM`, `ESHUTDOWN`) becomes the client's error; any other is sent as EIO.
 *
 * Buffers belong to the export from the call until its `done`: the server neither changes nor reuses them in
 * between, so a write needs no copy. After `done` the export must not touch them again.
 */
export interface Export {
  readonly volume: VolumeName;
  /** The reign that this export belongs to; it goes into the export's name (FAULTS 34). */
  readonly epoch: Epoch;
  readonly byteSize: number;
  readonly readOnly: boolean;
  /** Several requests have come at once: what the calls up to `uncork` lead to may leave in one piece. */
  cork?(): void;
  uncork?(): void;
  /** Fills all of `into`. At most 32 MiB. */
  read(into: Uint8Array, offset: number, done: Done): void;
  /** At most 32 MiB. */
  write(from: Uint8Array, offset: number, fua: boolean, done: Done): void;
  /** Must read back as zeros; up to 4 GiB − 1. `mayTrim` false: the space must stay allocated (NO_HOLE). */
  zero(offset: number, byteCount: number, how: ZeroOptions, done: Done): void;
  /** Up to 4 GiB − 1. */
  trim(offset: number, byteCount: number, fua: boolean, done: Done): void;
  /**
   * I14: every write, zero and trim whose `done` came before this call, on whichever connection, is on stable
   * storage when `done` comes. The server announces multi-conn on the strength of that.
   */
  flush(done: Done): void;
  /**
   * Consecutive extents from `offset` on, at least one, none empty; they may end before or after the range.
   * Without it every byte counts as allocated data, which the protocol always allows.
   */
  blockStatus?(
    offset: number,
    byteCount: number,
    done: (error: Error | null, extents: readonly Extent[]) => void,
  ): void;
}

export interface ZeroOptions {
  readonly fua: boolean;
  readonly mayTrim: boolean;
}
