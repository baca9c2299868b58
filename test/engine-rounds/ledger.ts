/**
 * What each sector of a volume may hold, by the numbers of the writes that named it: a write that is acknowledged
 * supersedes every write that was acknowledged before it was issued; one that is not may be there or not.
 */
export class Ledger {
  readonly #sectors: (Entry[] | undefined)[] = [];
  #time = 0;

  issue(number: number, first: number, count: number): Ticket {
    this.#time += 1;
    const entry: Entry = { number, issued: this.#time, acknowledged: null };
    for (let sector = first; sector < first + count; sector += 1) {
      const entries = this.#sectors[sector];
      if (entries === undefined) this.#sectors[sector] = [entry];
      else entries.push(entry);
    }
    return { entry, first, count };
  }

  acknowledge({ entry, first, count }: Ticket): void {
    this.#time += 1;
    entry.acknowledged = this.#time;
    for (let sector = first; sector < first + count; sector += 1) {
      const entries = this.#sectors[sector] ?? [];
      const left = entries.filter(
        ({ acknowledged }) => acknowledged === null || acknowledged >= entry.issued,
      );
      this.#sectors[sector] = left;
    }
  }

  /** What may be there now, whatever is acknowledged later. */
  copy(): Ledger {
    const copy = new Ledger();
    copy.#time = this.#time;
    for (const [sector, entries] of this.#sectors.entries()) {
      copy.#sectors[sector] = entries?.map((entry) => ({ ...entry }));
    }
    return copy;
  }

  /** Sectors of an image that hold what they must not; empty is good. `before`: what was there at the start. */
  wrong(image: Buffer, sectorSize: number): readonly string[] {
    const wrong: string[] = [];
    for (const [sector, entries] of this.#sectors.entries()) {
      if (entries === undefined) continue;
      const found = image.readUInt32LE(sector * sectorSize);
      const isAnyAcknowledged = entries.some(({ acknowledged }) => acknowledged !== null);
      const isAllowed = entries.some(({ number }) => number === found) || (!isAnyAcknowledged && found === 0);
      if (!isAllowed) {
        wrong.push(
          `sector ${sector} holds ${found}, not ${entries.map(({ number }) => number).join(' or ')}`,
        );
      }
    }
    return wrong;
  }

  /** After a crash: what a sector holds now is what it will hold; unacknowledged writes are decided. */
  settle(image: Buffer, sectorSize: number): void {
    for (const [sector, entries] of this.#sectors.entries()) {
      if (entries === undefined) continue;
      const found = image.readUInt32LE(sector * sectorSize);
      this.#time += 1;
      const kept = entries.find(({ number }) => number === found);
      this.#sectors[sector] = kept === undefined ? undefined : [{ ...kept, acknowledged: this.#time }];
    }
  }
}

interface Entry {
  readonly number: number;
  readonly issued: number;
  acknowledged: number | null;
}

export interface Ticket {
  readonly entry: Entry;
  readonly first: number;
  readonly count: number;
}
