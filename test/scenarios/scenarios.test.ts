import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Stage } from './stage.ts';
import { type Block, formatTranscript, parseTranscript } from './transcript.ts';

const update = process.env['UPDATE_GOLDEN'] === '1';
const here = new URL('.', import.meta.url);
const scenarios = readdirSync(here).filter((name) => name.endsWith('.scenario'));

/** Golden transcripts. UPDATE_GOLDEN=1 writes them anew: commit only a difference that you understand. */
describe('scenario', () => {
  it.each(scenarios)('%s', { timeout: 60_000 }, async (name) => {
    const file = new URL(name, here);
    const golden = readFileSync(file, 'utf8');
    const stage = new Stage();
    const played: Block[] = [];
    for (const block of parseTranscript(golden))
      played.push({ ...block, output: await stage.play(block.inputs) });
    stage.close();
    const transcript = formatTranscript(played);
    if (update) writeFileSync(file, transcript);
    else expect(transcript).toBe(golden);
  });
});
