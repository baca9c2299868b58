import type { Terminal } from './terminal.ts';

const clearBelow = '\u001b[J';
const up = (lines: number): string => (lines === 0 ? '' : `\u001b[${lines}A\r`);

/** Lines that are redrawn in place; where that cannot be, they are written again when their text changed. */
export class Screen {
  readonly #terminal: Terminal;
  #drawn: readonly string[] = [];
  #lineCount = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async draw(lines: readonly string[]): Promise<void> {
    const { output, columns } = this.#terminal;
    const text = `${lines.join('\n')}\n`;
    if (columns() !== null) await output.out(`${up(this.#lineCount)}${clearBelow}${text}`);
    else if (withoutAge(text) !== withoutAge(this.#drawn.join('\n'))) await output.out(text);
    this.#drawn = [...lines, ''];
    this.#lineCount = lines.length;
  }

  /** Below what is drawn. */
  async note(line: string): Promise<void> {
    const lines = this.#drawn.filter((drawn) => drawn !== '' && drawn !== line);
    await this.draw([...lines, line]);
  }
}

/** `0.4 s ago` alone is no news. */
const withoutAge = (text: string): string => text.replaceAll(/, [^,\n]+ ago/g, '');
