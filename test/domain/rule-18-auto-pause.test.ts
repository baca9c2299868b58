import { describe, expect, it } from 'vitest';
import { adam, command, eve, given, mirrored, past } from './given.ts';

const pair = { source: eve, target: adam };
const setting = past('resource.settings-changed', { node: null, peer: null, key: 'auto-pause', value: 60 });
const full = past('mirror.congested', { ...pair, congested: true });
const paused = (by: 'operator' | 'policy') =>
  past('mirror.paused', { ...pair, by, reason: 'its queue stayed full' });

describe('rule 18: a mirror whose queue stays full', () => {
  it('is paused by policy where that is set', () => {
    expect(
      given(...mirrored(), setting, full)
        .when(command('auto-pause', pair))
        .events(),
    ).toEqual([
      expect.objectContaining({ type: 'mirror.paused', data: expect.objectContaining({ by: 'policy' }) }),
    ]);
  });

  it('is not, by default, or when its queue is not full, or when it is another mirror', () => {
    expect(
      given(...mirrored(), full)
        .when(command('auto-pause', pair))
        .refusal(),
    ).toBe('stale-command');
    expect(
      given(...mirrored(), setting)
        .when(command('auto-pause', pair))
        .refusal(),
    ).toBe('stale-command');
    const other = command('auto-pause', { source: adam, target: eve });
    expect(
      given(...mirrored(), setting, full)
        .when(other)
        .refusal(),
    ).toBe('stale-command');
  });

  it('is resumed by itself, unless an operator paused it', () => {
    expect(
      given(...mirrored(), paused('policy'))
        .when(command('auto-resume', pair))
        .types(),
    ).toEqual(['mirror.resumed']);
    expect(
      given(...mirrored(), paused('operator'))
        .when(command('auto-resume', pair))
        .refusal(),
    ).toBe('not-paused');
    expect(
      given(...mirrored(), paused('operator'))
        .when(command('auto-pause', pair))
        .refusal(),
    ).toBe('already-paused');
  });
});
