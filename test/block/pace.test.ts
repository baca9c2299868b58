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

  it('nothing for ten times as long as a slow operation took, and then only when the pool has been quick', () => {
    pace.took(0, 0.1);
    pace.took(1, 21);
    expect(pace.isQuick(22)).toBe(false);
    pace.took(22, 22.1);
    expect(pace.isQuick(23)).toBe(false);
    expect(pace.isQuick(222)).toBe(false);
    pace.took(222, 222.1);
    expect(pace.isQuick(223)).toBe(true);
  });

  it('a disk that was frozen for long is left to the pool for a second', () => {
    pace.took(0, 20_000);
    pace.took(20_999, 20_999.5);
    expect(pace.isQuick(20_999.6)).toBe(false);
    pace.took(21_000, 21_000.5);
    expect(pace.isQuick(21_001)).toBe(true);
  });

  it('the wait behind others in the pool is not the slowness of the disk', () => {
    pace.took(0, 8, 31);
    expect(pace.isQuick(9)).toBe(true);
    pace.took(9, 50, 31);
    expect(pace.isQuick(51)).toBe(false);
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
