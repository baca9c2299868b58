import type { NodeName } from '../../domain/vocabulary.ts';
import { Bitmap } from '../block/bitmap.ts';
import type { Mirror } from './mirror.ts';
import { ignore, type Replica } from './replica.ts';
import { allOf, type Step } from './sequence.ts';
import type { Volume } from './volume.ts';
import type { WritePath } from './write-path.ts';

/** Ranges per message: its content stays small (link.ts, ClearPayload). */
const rangesMax = 1000;

type Range = readonly [first: number, last: number];

/**
 * Step 9 of the write path: clears regions when both sides of a pair have them on stable storage (I5), and when they
 * have been quiet for a while: a region that is written again and again costs no I/O.
 *
 *  1. Close a group: every write so far. Of the group before it, what was not written again is quiet.
 *  2. Wait until the local disk has finished the group.
 *  3. Flush the local disk, and ask every target that gets writes to flush what was sent before.
 *  4. A quiet region that was not written again meanwhile, and that the target is not behind in, is equal on both and
 *     stable on both: clear it here, and let the target clear it, for this pair and for its pairs with other targets
 *     for which the same holds.
 * A target that does not answer keeps its bits: whoever comes back is resynced from them.
 */
export class Clearing {
  readonly #replica: Replica;
  readonly #path: WritePath;
  readonly #mirrors: ReadonlyMap<NodeName, Mirror>;
  /** The group that was closed last, and has not been cleared. */
  #closed: readonly Bitmap[] = [];
  #isRunning = false;
  #isOver = false;

  constructor(replica: Replica, path: WritePath, mirrors: ReadonlyMap<NodeName, Mirror>) {
    this.#replica = replica;
    this.#path = path;
    this.#mirrors = mirrors;
  }

  /** Clears what is quiet; with `all`, everything that was ever written. `done` when it is over, whatever came of it. */
  pass(all: boolean, done: () => void): void {
    if (this.#isRunning || this.#replica.failure !== null) {
      done();
      return;
    }
    const before = this.#closed;
    const group = this.#path.touched;
    const quiet = group.map((touched, index) => {
      const bits = new Bitmap(touched.bitCount);
      bits.unite(0, before[index]?.bytes ?? new Uint8Array());
      if (all) bits.unite(0, touched.bytes);
      else
        bits.intersect(
          0,
          touched.bytes.map((byte) => ~byte),
        );
      return bits;
    });
    this.#closed = all ? [] : group;
    const volumes = this.#replica.volumes.filter(({ index }) => (quiet[index]?.count ?? 0) > 0);
    this.#isRunning = true;
    // 1, 2
    this.#path.closeGroup(() => {
      if (volumes.length > 0) {
        this.#flush(volumes, quiet, done);
      } else {
        this.#isRunning = false;
        done();
      }
    });
  }

  stop(): void {
    this.#isOver = true;
  }

  #flush(volumes: readonly Volume[], quiet: readonly Bitmap[], done: () => void): void {
    const holding = new Set([...this.#mirrors.values()].filter(({ state }) => state.isLive));
    const asked = [...holding];
    const steps = volumes.flatMap((volume): Step[] => [
      (next) =>
        volume.device.flush((error) => {
          if (error !== null) this.#replica.diskFailed(volume, 'flush', error);
          next(error);
        }),
      ...asked.map(
        (mirror): Step =>
          (next) => {
            mirror.stream.barrier(volume, (ok) => {
              if (!ok) holding.delete(mirror);
              next(null);
            });
          },
      ),
    ]);
    // 3
    allOf(steps, (error) => {
      this.#isRunning = false;
      if (error === null && !this.#isOver && this.#replica.failure === null) {
        const live = [...holding].filter(({ state }) => state.isLive);
        for (const volume of volumes) this.#clear(volume, quiet, live);
      }
      done();
    });
  }

  /** 4 */
  #clear(volume: Volume, quiet: readonly Bitmap[], holding: readonly Mirror[]): void {
    const written = quiet[volume.index];
    const again = this.#path.touched[volume.index];
    if (written === undefined || again === undefined) return;
    const isClear = (mirrors: readonly Mirror[]) => (region: number) =>
      !again.has(region) && mirrors.every((mirror) => !mirror.isBehind(volume, region));
    for (const mirror of holding) {
      const { node } = mirror.peer;
      const ranges = rangesOf(written, isClear([mirror]));
      const log = volume.logs.get(node);
      for (const [first, last] of ranges) log?.clear(first, last);
      log?.persist(ignore);
      this.#tell(mirror, volume, [this.#replica.node], ranges);
      for (const other of holding) {
        if (other === mirror) continue;
        this.#tell(mirror, volume, [other.peer.node], rangesOf(written, isClear([mirror, other])));
      }
    }
  }

  #tell(mirror: Mirror, volume: Volume, peers: readonly NodeName[], ranges: readonly Range[]): void {
    for (let at = 0; at < ranges.length; at += rangesMax) {
      mirror.stream.sendClear(volume, peers, ranges.slice(at, at + rangesMax));
    }
  }
}

function rangesOf(bits: Bitmap, wanted: (region: number) => boolean): readonly Range[] {
  const ranges: Range[] = [];
  for (let first = bits.next(0); first >= 0; first = bits.next(first)) {
    if (!wanted(first)) {
      first += 1;
      continue;
    }
    let last = first;
    while (last + 1 < bits.bitCount && bits.has(last + 1) && wanted(last + 1)) last += 1;
    ranges.push([first, last]);
    first = last + 1;
  }
  return ranges;
}
