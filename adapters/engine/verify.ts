import { Buffer } from 'node:buffer';
import { regionSize, type VolumeName } from '../../domain/vocabulary.ts';
import { Bitmap } from '../block/bitmap.ts';
import type { Timer } from './clock.ts';
import type { Comparisons } from './comparisons.ts';
import type { Peer } from './peer.ts';
import type { LockedRange } from './range-lock.ts';
import { hasBit } from './region-digests.ts';
import type { MirrorState, Reign } from './reign.ts';
import { ignore, same } from './replica.ts';
import type { Throttle } from './throttle.ts';
import type { Volume } from './volume.ts';

const chunkBytes = 4 * regionSize;
/** Chunks that are read or compared at one time. */
const windowChunks = 8;
const progressMs = 5000;
/** Ranges that are named in the history; beyond it the count tells. */
const rangesMax = 20;

class Chunk implements LockedRange {
  readonly volume: Volume;
  readonly offset: number;
  readonly end: number;
  blockers = 0;
  waiters: LockedRange[] | null = null;
  slot = 0;
  readonly granted: () => void;

  constructor(volume: Volume, offset: number, end: number, granted: (chunk: Chunk) => void) {
    this.volume = volume;
    this.offset = offset;
    this.end = end;
    this.granted = () => granted(this);
  }
}

interface Difference {
  readonly volume: VolumeName;
  readonly first: number;
  readonly last: number;
}

/**
 * Verify (REQUIREMENTS 2.9): every region of every volume, while the mirror is in use. What differs is marked in the
 * logs of both sides, for the next resync, and counted; until then no clearing takes it for equal (`state.differing`).
 */
export class Verify {
  readonly #reign: Reign;
  readonly #peer: Peer;
  readonly #state: MirrorState;
  readonly #comparisons: Comparisons;
  readonly #throttle: Throttle;
  readonly #ended: () => void;
  #volumeIndex = 0;
  #offset = 0;
  #underWay = 0;
  #regionsCompared = 0;
  /** Per volume, the regions that differ. */
  readonly #found: readonly Bitmap[];
  #percentTold = 0;
  #toldMs: number;
  #timer: Timer | null = null;
  #isOver = false;

  constructor(
    reign: Reign,
    peer: Peer,
    state: MirrorState,
    comparisons: Comparisons,
    throttle: Throttle,
    ended: () => void,
  ) {
    this.#reign = reign;
    this.#peer = peer;
    this.#state = state;
    this.#comparisons = comparisons;
    this.#throttle = throttle;
    this.#ended = ended;
    this.#toldMs = reign.clock.nowMs();
    const none = () => reign.replica.volumes.map(({ regionCount }) => new Bitmap(regionCount));
    this.#found = none();
    if (state.differing.length === 0) state.differing = none();
  }

  get percent(): number {
    const total = this.#reign.replica.volumes.reduce((sum, { regionCount }) => sum + regionCount, 0);
    return Math.floor((100 * this.#regionsCompared) / total);
  }

  pump(): void {
    const { replica, path, clock } = this.#reign;
    while (!this.#isOver && this.#underWay < windowChunks) {
      const volume = replica.volumes[this.#volumeIndex];
      if (volume === undefined) {
        if (this.#underWay === 0) this.#complete();
        return;
      }
      const waitMs = this.#throttle.waitMs(chunkBytes, path.inFlight > 0);
      if (waitMs > 0) {
        this.#timer?.cancel();
        this.#timer = clock.after(waitMs, () => this.pump());
        return;
      }
      const offset = this.#offset;
      const end = Math.min(offset + chunkBytes, volume.byteSize);
      this.#offset = end;
      if (end === volume.byteSize) {
        this.#volumeIndex += 1;
        this.#offset = 0;
      }
      this.#underWay += 1;
      path.lockOf(volume).acquire(new Chunk(volume, offset, end, (chunk) => this.#read(chunk)));
    }
  }

  /** The session, or the reign, is over. */
  stop(): void {
    if (this.#isOver) return;
    this.#end();
    const { node: peer } = this.#peer;
    this.#reign.replica.observe({ type: 'verify-interrupted', peer, percent: this.percent }, same, ignore);
  }

  tick(): void {
    const nowMs = this.#reign.clock.nowMs();
    if (nowMs - this.#toldMs < progressMs || this.percent === this.#percentTold) return;
    this.#toldMs = nowMs;
    this.#percentTold = this.percent;
    this.#reign.notify({ notice: 'verify-progressed', peer: this.#peer.node, percent: this.percent });
  }

  #read(chunk: Chunk): void {
    const { replica, path } = this.#reign;
    const { volume, offset, end } = chunk;
    const release = () => path.lockOf(volume).release(chunk);
    if (this.#isOver) {
      release();
      return;
    }
    const bytes = Buffer.allocUnsafe(end - offset);
    volume.device.read(bytes, offset, (error) => {
      if (error !== null) replica.diskFailed(volume, 'verify', error);
      // FAULTS 31: a write that failed here has left any part of itself, and the targets may have all of it: that is
      // no difference of theirs. It kept its range until it had failed, so what was asked before is sound.
      if (replica.failure !== null) this.stop();
      else if (!this.#isOver) {
        this.#comparisons.ask(volume, offset, bytes, true, (differing) => this.#compared(chunk, differing));
      }
      // It is in the stream: whatever is written from now on comes after it there.
      release();
    });
  }

  #compared({ volume, offset, end }: Chunk, differing: Uint8Array | null): void {
    if (differing === null || this.#isOver) return;
    const first = offset / regionSize;
    const count = Math.ceil((end - offset) / regionSize);
    const { replica } = this.#reign;
    const log = volume.logs.get(this.#peer.node);
    let unmarked = 1;
    const settled = (error: Error | null) => {
      unmarked -= 1;
      if (error !== null) this.stop();
      if (unmarked > 0 || this.#isOver) return;
      this.#regionsCompared += count;
      this.#underWay -= 1;
      this.pump();
    };
    // FAULTS 15: where the bit cannot be written, "invalid: full resync" is.
    const marked = (error: Error | null) => {
      if (error === null) settled(null);
      else replica.logsFailed(volume, error, settled);
    };
    for (let index = 0; index < count; index += 1) {
      if (!hasBit(differing, index)) continue;
      const region = first + index;
      this.#found[volume.index]?.add(region, region);
      this.#state.differing[volume.index]?.add(region, region);
      if (log === undefined) continue;
      unmarked += 1;
      log.mark(region * regionSize, Math.min(regionSize, volume.byteSize - region * regionSize), marked);
    }
    settled(null);
  }

  #complete(): void {
    this.#end();
    const { node: peer } = this.#peer;
    const bytes = this.#reign.replica.volumes.reduce((sum, { byteSize }) => sum + byteSize, 0);
    const differing = this.#found.reduce((sum, { count }) => sum + count, 0);
    const observation = { type: 'verify-completed', peer, bytes, differing, ranges: this.#ranges() } as const;
    this.#reign.replica.observe(observation, same, ignore);
  }

  #ranges(): Difference[] {
    const ranges: Difference[] = [];
    for (const { index, name } of this.#reign.replica.volumes) {
      const found = this.#found[index];
      for (let first = found?.next(0) ?? -1; first >= 0 && ranges.length < rangesMax; ) {
        let last = first;
        while (found?.has(last + 1)) last += 1;
        ranges.push({ volume: name, first, last });
        first = found?.next(last + 1) ?? -1;
      }
    }
    return ranges;
  }

  #end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#ended();
  }
}
