/**
 * The only source of chance in the simulation: xoshiro128** over a splitmix-expanded seed. Each part of the world
 * draws from its own fork, so that one more draw in the network does not change what the disks do.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number, label = '') {
    let state = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) >>> 0;
    for (let index = 0; index < label.length; index++) {
      state = Math.imul(state ^ label.charCodeAt(index), 0x01000193) >>> 0;
    }
    const expand = () => {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      return (mixed ^ (mixed >>> 16)) >>> 0;
    };
    this.#a = expand();
    this.#b = expand();
    this.#c = expand();
    this.#d = expand() | 1;
  }

  /** An independent stream that depends on this one's state and the label alone. */
  fork(label: string): Random {
    return new Random(this.#word(), label);
  }

  /** In [0, 1). */
  fraction(): number {
    return this.#word() / 2 ** 32;
  }

  /** An integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** A real number in [low, high). */
  span(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined) throw new Error('nothing to pick from');
    return chosen;
  }

  bytes(byteCount: number): Buffer {
    const drawn = Buffer.alloc(byteCount);
    for (let index = 0; index < byteCount; index++) drawn[index] = this.#word() >>> 24;
    return drawn;
  }

  #word(): number {
    const scrambled = Math.imul(this.#b, 5);
    const word = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return word;
  }
}
