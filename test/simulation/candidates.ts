/** One write of the workload; zero and trim are writes of zeros. Steps are those of the world. */
export interface Write {
  /** From 1, unique in the world; 0 is what an image held before anything was written. */
  readonly number: number;
  readonly isZeros: boolean;
  readonly sector: number;
  readonly sectorCount: number;
  readonly issuedStep: number;
  /** When the application got its answer; Infinity: it may still be happening. */
  endedStep: number;
  isAcknowledged: boolean;
}

/** What a blank disk shows. */
export const blank: Write = {
  number: 0,
  isZeros: true,
  sector: 0,
  sectorCount: 0,
  issuedStep: -1,
  endedStep: -1,
  isAcknowledged: true,
};

/**
 * Which writes each sector of one image may show.
 *
 * A write is *superseded* when another one of that sector, issued after its end, is known to be on the image. Of
 * writes in flight at the same time any may win, and one that failed may or may not have happened. So a sector has
 * a short list of candidates, and anything else on it is a lost, resurrected or misplaced write.
 */
export class Candidates {
  readonly #bySector: Write[][];

  constructor(bySector: readonly (readonly Write[])[]) {
    this.#bySector = bySector.map((writes) => [...writes]);
  }

  get sectorCount(): number {
    return this.#bySector.length;
  }

  clone(): Candidates {
    return new Candidates(this.#bySector);
  }

  /** As of now: it changes. */
  of(sector: number): readonly Write[] {
    return this.#bySector[sector] ?? [];
  }

  /** From now on its sectors may show it. */
  mayShow(write: Write): void {
    for (let sector = write.sector; sector < write.sector + write.sectorCount; sector++) {
      this.#bySector[sector]?.push(write);
    }
  }

  /** It is on the image, or something newer is: what had ended before it was issued can no longer show. */
  holds(write: Write): void {
    for (let sector = write.sector; sector < write.sector + write.sectorCount; sector++) {
      const left = this.of(sector).filter((other) => other === write || other.endedStep >= write.issuedStep);
      if (left.length > 0) this.#bySector[sector] = left;
    }
  }

  /** With nothing in flight there, a reader saw this one. */
  settle(sector: number, write: Write): void {
    this.#bySector[sector] = [write];
  }

  /** The union of both, sector by sector. */
  or(other: Candidates): Candidates {
    return new Candidates(
      this.#bySector.map((writes, sector) => [...new Set([...writes, ...other.of(sector)])]),
    );
  }

  /** The latest candidate that the content names, or undefined: the sector must not show that. */
  match(sector: number, shown: number): Write | undefined {
    return this.of(sector).findLast((write) => shows(write, shown));
  }
}

/** Whether a sector that this write left reads as that number. */
export const shows = (write: Write, shown: number) => (write.isZeros ? 0 : write.number) === shown;
