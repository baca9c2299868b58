import { regionSize, type VolumeName } from '../../domain/vocabulary.ts';
import { StableBits } from './bits.ts';
import type { SimulatedFile } from './disk.ts';
import type { Host, Plan } from './host.ts';

/**
 * I5: at every moment the intent logs that two replicas hold for each other cover every difference between them. Taken
 * at its word: whatever of the unflushed bytes and bits a crash leaves on either side, a region whose bits are clear
 * in both stable logs must have the same bytes in all four layers (cache and stable of both volumes).
 */
export class IntentChecker {
  readonly #pairs: readonly Pair[];

  constructor(hosts: readonly Host[], plan: Plan) {
    this.#pairs = hosts.flatMap((left, index) =>
      hosts
        .slice(index + 1)
        .flatMap((right) =>
          plan.volumes.map(
            ({ name, byteSize }) => new Pair(left, right, name, Math.ceil(byteSize / regionSize)),
          ),
        ),
    );
  }

  /** One sentence per region that differs unmarked (at most one per pair). */
  check(): string[] {
    return this.#pairs.flatMap((pair) => pair.check());
  }
}

class Pair {
  readonly #left: Host;
  readonly #right: Host;
  readonly #volume: VolumeName;
  readonly #regionCount: number;
  readonly #suspects = new Set<number>();
  readonly #logs = new Map<SimulatedFile, StableBits>();
  #versions = '';

  constructor(left: Host, right: Host, volume: VolumeName, regionCount: number) {
    this.#left = left;
    this.#right = right;
    this.#volume = volume;
    this.#regionCount = regionCount;
    for (const host of [left, right]) {
      host.volume(volume).listeners.push((offset, byteCount) => {
        const last = Math.floor((offset + byteCount - 1) / regionSize);
        for (let region = Math.floor(offset / regionSize); region <= last; region++) {
          this.#suspects.add(region);
        }
      });
    }
  }

  check(): string[] {
    const logs = [this.#logOf(this.#left, this.#right), this.#logOf(this.#right, this.#left)];
    if (logs.includes('everything')) return [];
    const known = logs.filter((log) => log instanceof StableBits);
    const versions = known.map((log) => log.version).join(' ');
    if (versions !== this.#versions) {
      this.#versions = versions;
      for (let region = 0; region < this.#regionCount; region++) this.#suspects.add(region);
    }
    for (const region of this.#suspects) {
      if (known.some((log) => log.has(region))) continue;
      this.#suspects.delete(region);
      if (!this.#differs(region)) continue;
      const pair = `${this.#left.node} and ${this.#right.node}`;
      return [`I5: region ${region} of ${this.#volume} differs between ${pair}, and no stable bit says so`];
    }
    return [];
  }

  /** What `node` holds about `peer`: `everything` where the next resync is full anyway. */
  #logOf(host: Host, peer: Host): StableBits | 'everything' {
    const record = host.record?.generation.peers[peer.node];
    const file = host.intentLogFile(this.#volume, peer.node);
    if (record === undefined || record.intentLog !== 'kept' || file === null) return 'everything';
    const known = this.#logs.get(file) ?? new StableBits(file, this.#regionCount);
    this.#logs.set(file, known);
    return known;
  }

  #differs(region: number): boolean {
    const start = region * regionSize;
    const end = Math.min(start + regionSize, this.#left.volume(this.#volume).byteSize);
    const [left, right] = [this.#left.volume(this.#volume), this.#right.volume(this.#volume)];
    const layers = [left.stable, right.cache, right.stable];
    return layers.some((layer) => left.cache.compare(layer, start, end, start, end) !== 0);
  }
}
