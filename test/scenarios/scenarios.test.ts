import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { refusalText } from '../../projections/explain-refusal-text.ts';
import { linesMax } from '../../projections/explain-text.ts';
import { Stage } from './stage.ts';
import { type Block, formatTranscript, parseTranscript } from './transcript.ts';

const update = process.env['UPDATE_GOLDEN'] === '1';
const here = new URL('.', import.meta.url);
const explainedFolder = new URL('explained/', here);
const scenarios = readdirSync(here).filter((name) => name.endsWith('.scenario'));

/**
 * Golden transcripts, and what `journal explain` says at the end of each block, where it says something else than
 * before; and what it says of each refusal of a person's command. UPDATE_GOLDEN=1 writes them anew: commit only a difference that you understand.
 */
describe('scenario', () => {
  it.each(scenarios)('%s', { timeout: 60_000 }, async (name) => {
    const file = new URL(name, here);
    const explainedFile = new URL(name.replace(/\.scenario$/, '.txt'), explainedFolder);
    const stage = new Stage();
    const played: Block[] = [];
    const explained: string[] = [];
    for (const block of parseTranscript(readFileSync(file, 'utf8'))) {
      played.push({ ...block, output: await stage.play(block.inputs) });
      const explanation = stage.explanation();
      expect(explanation.length).toBeLessThanOrEqual(linesMax);
      const text = explanation.join('\n');
      if (text !== explained.at(-1)) explained.push(text);
    }
    const refusals = stage.refusals();
    expect(refusals.filter(({ again }) => again !== 'refused alike')).toEqual([]);
    explained.push(...refusals.map((refusal) => refusalText(refusal).join('\n')));
    stage.close();
    check(file, formatTranscript(played));
    check(explainedFile, `${explained.filter((text) => text !== '').join('\n\n')}\n`);
  });
});

function check(file: URL, text: string): void {
  if (update) {
    mkdirSync(new URL('.', file), { recursive: true });
    writeFileSync(file, text);
  } else expect(text).toBe(readFileSync(file, 'utf8'));
}
