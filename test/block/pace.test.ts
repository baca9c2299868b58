import { beforeEach, describe, expect, it } from 'vitest';
import { Pace } from '../../adapters/block/pace.ts';

describe('Pace: what is done in the event loop (PERFORMANCE 2)', () => {
  let pace: Pace;

  beforeEach(() => {
    pace = new Pace(true);
  });

  it('nothing before the pool has been quick', () => {
    expect(pace.isQuick(0)).toBe(false);
    pace.took(0, 0.1);
    expect(pace.isQuick(0.2)).toBe(true);
  });

  it('nothing for a second after a slow operation, and then only when the pool has been quick', () => {
    pace.took(0, 0.1);
    pace.took(1, 21);
    expect(pace.isQuick(22)).toBe(false);
    pace.took(22, 22.1);
    expect(pace.isQuick(23)).toBe(false);
    expect(pace.isQuick(1_100)).toBe(false);
    pace.took(1_100, 1_100.1);
    expect(pace.isQuick(1_101)).toBe(true);
  });

  it('nothing after idle time: the disk may be frozen by now', () => {
    pace.took(0, 0.1);
    expect(pace.isQuick(200)).toBe(true);
    expect(pace.isQuick(300)).toBe(false);
    pace.took(300, 300.1);
    expect(pace.isQuick(301)).toBe(true);
  });

  it('never where a network or another process is behind the file', () => {
    pace = new Pace(false);
    pace.took(0, 0.1);
    expect(pace.isQuick(0.2)).toBe(false);
  });
});
