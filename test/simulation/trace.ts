/**
 * What happened, as a hash (I18: the same seed and commit give the same one) and, for people, the last lines.
 */
export class Trace {
  readonly #follow: ((line: string) => void) | undefined;
  readonly #last: string[] = [];
  #low = 0x811c9dc5;
  #high = 0x01234567;

  constructor(follow?: (line: string) => void) {
    this.#follow = follow;
  }

  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  /** The latest lines, oldest first. */
  get last(): readonly string[] {
    return this.#last;
  }

  /** For what happens too often to be a line. */
  mix(value: number): void {
    this.#low = Math.imul(this.#low ^ (value | 0), 0x01000193) >>> 0;
    this.#high = (Math.imul(this.#high ^ this.#low, 0x85ebca6b) ^ (this.#high >>> 15)) >>> 0;
  }

  note(atMs: number, who: string, what: string): void {
    const line = `${atMs.toFixed(3).padStart(11)}  ${who.padEnd(10)} ${what}`;
    for (let index = 0; index < line.length; index++) this.mix(line.charCodeAt(index));
    this.#follow?.(line);
    this.#last.push(line);
    if (this.#last.length > 200) this.#last.shift();
  }
}

const hex = (word: number) => word.toString(16).padStart(8, '0');
