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

  const quickInPool = (fromMs: number, count: number) => {
    for (let at = 0; at < count; at += 1) pace.took(fromMs + at / 10, fromMs + at / 10 + 0.1);
  };

  it('a process that was off its processor for once is no slow disk', () => {
    quickInPool(0, 10);
    pace.took(1, 9);
    expect(pace.isQuick(9)).toBe(true);
  });

  it('what held up many operations in flight counts once', () => {
    quickInPool(0, 10);
    for (let at = 0; at < 32; at += 1) pace.took(1, 9 + at / 100);
    expect(pace.isQuick(10)).toBe(true);
  });

  it('nothing once operations are slow on the mean', () => {
    quickInPool(0, 10);
    for (let at = 10; at < 50; at += 8) pace.took(at, at + 8);
    expect(pace.isQuick(51)).toBe(false);
  });

  it('nothing for ten times as long as a slow operation took, and then only when the pool has been quick', () => {
    pace.took(0, 0.1);
    pace.took(1, 51);
    quickInPool(52, 100);
    expect(pace.isQuick(100)).toBe(false);
    expect(pace.isQuick(552)).toBe(false);
    pace.took(552, 552.1);
    expect(pace.isQuick(553)).toBe(true);
  });

  it('a disk that was frozen for long is left to the pool for ten seconds', () => {
    pace.took(0, 20_000);
    quickInPool(20_000, 200);
    pace.took(29_999, 29_999.5);
    expect(pace.isQuick(29_999.6)).toBe(false);
    pace.took(30_000, 30_000.5);
    expect(pace.isQuick(30_001)).toBe(true);
  });

  it('the wait behind others in the pool is not the slowness of the disk', () => {
    pace.took(0, 7, 31);
    expect(pace.isQuick(9)).toBe(true);
    pace.took(9, 150, 31);
    expect(pace.isQuick(151)).toBe(false);
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
