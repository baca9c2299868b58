import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLevelViews } from '../../journal/level-views.ts';
import { codeOf, temporaryDirectory } from './support.ts';

const heads = (sequence: number) => ({ eve: { incarnation: 1, sequence, hash: 'a'.repeat(64) } });

async function open(directory: string) {
  const views = await openLevelViews(directory);
  onTestFinished(() => views.close());
  return views;
}

describe('stored views', () => {
  it('stand with the heads of their batch, all of it or nothing, also after a restart', async () => {
    const directory = temporaryDirectory();
    const views = await open(directory);
    expect(await views.checkpoint()).toBeUndefined();
    await views.put(heads(1), { 'status.a': '{"x":1}', 'status.b': '{}' });
    await views.put(heads(2), { 'status.a': '{"x":2}', 'status.b': null });
    await views.close();
    const again = await open(directory);
    expect(await again.get('status.a')).toEqual({ heads: heads(2), body: '{"x":2}' });
    expect(await again.get('status.b')).toBeUndefined();
    expect(await again.names()).toEqual(['status.a']);
    expect(await again.checkpoint()).toEqual(heads(2));
    await again.clear();
    expect(await again.checkpoint()).toBeUndefined();
  });

  it('are rebuilt rather than believed when their database cannot be read', async () => {
    const directory = temporaryDirectory();
    const views = await open(directory);
    await views.put(heads(1), { 'status.a': '{}' });
    await views.close();
    for (const name of readdirSync(directory).filter((file) => file.startsWith('MANIFEST')))
      writeFileSync(join(directory, name), 'garbage');
    expect(await (await open(directory)).checkpoint()).toBeUndefined();
  });

  it('belong to one process', async () => {
    const directory = temporaryDirectory();
    await open(directory);
    expect(await codeOf(openLevelViews(directory))).toBe('locked');
  });
});
