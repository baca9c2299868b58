import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tryMutation } from './mutant.ts';
import { mutationSeeds, mutations } from './mutations.ts';

const root = join(import.meta.dirname, '../..');

describe('the simulation catches a safety rule that is broken on purpose', () => {
  it.each(mutations)('$name: $rule', { timeout: 300_000 }, (mutation) => {
    const { caught, output } = tryMutation(root, mutation, mutationSeeds);
    expect(caught, output).toBe(true);
    expect(output).toMatch(/FAILED seed \d+/);
  });
});
