import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { architectureFile, withDiagrams } from '../../tools/diagrams.ts';

it('the state diagrams of ARCHITECTURE.md are those of the machines: if stale, run npm run diagrams', () => {
  const text = readFileSync(architectureFile, 'utf8');
  expect(text).toBe(withDiagrams(text));
});
