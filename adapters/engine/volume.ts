import type { NodeName, VolumeName } from '../../domain/vocabulary.ts';
import { regionSize } from '../../domain/vocabulary.ts';
import type { BlockDevice, Done } from '../block/block-device.ts';
import type { IntentLog } from '../block/intent-log.ts';

/** One volume of the replica: its bytes, and what may differ from each other replica of it. */
export class Volume {
  readonly index: number;
  readonly name: VolumeName;
  /** Of the volume in the resource; the device may be larger. */
  readonly byteSize: number;
  readonly regionCount: number;
  readonly device: BlockDevice;
  readonly #logs = new Map<NodeName, IntentLog>();
  /** The logs that a write marks: those that can be written (FAULTS 15). */
  #markable: readonly IntentLog[] = [];

  constructor(index: number, name: VolumeName, byteSize: number, device: BlockDevice) {
    this.index = index;
    this.name = name;
    this.byteSize = byteSize;
    this.regionCount = Math.ceil(byteSize / regionSize);
    this.device = device;
  }

  get logs(): ReadonlyMap<NodeName, IntentLog> {
    return this.#logs;
  }

  get markable(): readonly IntentLog[] {
    return this.#markable;
  }

  addLog(peer: NodeName, log: IntentLog): void {
    this.#logs.set(peer, log);
    this.selectMarkable();
  }

  removeLog(peer: NodeName): void {
    this.#logs.delete(peer);
    this.selectMarkable();
  }

  /** After a log has become valid again. One that failed unseen stays in until a mark meets it, so that it is told. */
  selectMarkable(): void {
    const before = this.#markable;
    this.#markable = [...this.#logs.values()].filter(
      (log) => log.state !== 'invalid' || before.includes(log),
    );
  }

  /** That they failed is durable beside the replica. */
  leaveOut(failed: readonly IntentLog[]): void {
    this.#markable = this.#markable.filter((log) => !failed.includes(log));
  }

  contains(offset: number, byteCount: number): boolean {
    return offset >= 0 && byteCount > 0 && offset + byteCount <= this.byteSize;
  }
}

export const firstRegionOf = (offset: number): number => Math.floor(offset / regionSize);
export const lastRegionOf = (end: number): number => Math.floor((end - 1) / regionSize);

/**
 * Marks the regions of a range in every log of the volume (I5). True: they were durable already and nothing else has
 * happened meanwhile. False: `done` says when they are, or which log has failed and is invalid now.
 */
export function markRegions(volume: Volume, offset: number, byteCount: number, done: Done): boolean {
  const logs = volume.markable;
  if (areMarked(logs, firstRegionOf(offset), lastRegionOf(offset + byteCount))) return true;
  let left = logs.length + 1;
  let failure: Error | null = null;
  let isAsking = true;
  const marked: Done = (error) => {
    failure ??= error;
    left -= 1;
    if (left === 0 && !isAsking) done(failure);
  };
  for (const log of logs) log.mark(offset, byteCount, marked);
  isAsking = false;
  left -= 1;
  if (left > 0) return false;
  if (failure === null) return true;
  done(failure);
  return false;
}

function areMarked(logs: readonly IntentLog[], first: number, last: number): boolean {
  for (const log of logs) if (!log.isMarkedDurably(first, last)) return false;
  return true;
}
