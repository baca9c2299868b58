import { describe, expect, it } from 'vitest';
import { simulate } from './simulation.ts';

const seeds = Array.from({ length: 8 }, (_, index) => index + 1);

describe('the engine in the simulated world', () => {
  it.each(seeds)('keeps every invariant: seed %i', { timeout: 60_000 }, (seed) => {
    const { failure, steps } = simulate(seed);
    expect(failure).toBeNull();
    expect(steps).toBeGreaterThan(1_000);
  });

  it('goes the same way twice: same seed, same trace (I18)', { timeout: 120_000 }, () => {
    for (const seed of seeds.slice(0, 3)) {
      const [first, second] = [simulate(seed), simulate(seed)];
      expect(second.hash).toBe(first.hash);
      expect(second.steps).toBe(first.steps);
    }
    expect(simulate(1).hash).not.toBe(simulate(2).hash);
  });
});
