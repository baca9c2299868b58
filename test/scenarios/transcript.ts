/**
 * A transcript: blocks of input lines, `----`, and what comes of them, up to an empty line. Lines that begin with
 * `#` are for the reader.
 *
 *     kill eve
 *     pass 30s
 *     ----
 *     adam       failover.started  lost=eve candidate=adam epoch=2
 */
export interface Block {
  readonly comments: readonly string[];
  readonly inputs: readonly string[];
  readonly output: readonly string[];
}

export function parseTranscript(text: string): Block[] {
  return text
    .split(/\n\s*\n/)
    .map((chunk) => chunk.split('\n').filter((line) => line.trim() !== ''))
    .filter((lines) => lines.length > 0)
    .map((lines) => {
      const rule = lines.indexOf('----');
      const head = rule === -1 ? lines : lines.slice(0, rule);
      return {
        comments: head.filter((line) => line.startsWith('#')),
        inputs: head.filter((line) => !line.startsWith('#')),
        output: rule === -1 ? [] : lines.slice(rule + 1),
      };
    });
}

export function formatTranscript(blocks: readonly Block[]): string {
  return `${blocks.map(formatBlock).join('\n\n')}\n`;
}

function formatBlock({ comments, inputs, output }: Block): string {
  if (inputs.length === 0) return comments.join('\n');
  return [...comments, ...inputs, '----', ...output].join('\n');
}
