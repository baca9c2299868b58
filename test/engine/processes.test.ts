import { describe, expect, it } from 'vitest';
import { killRounds } from './kill-rounds.ts';

const rounds = Number(process.env['KILL_ROUNDS'] ?? 6);

describe('engine processes', () => {
  it('FAULTS 1, 3, 6: kill -9 under load: nothing acknowledged is lost, resyncs are partial, images end equal', async () => {
    const lines: string[] = [];
    const report = await killRounds({ rounds, seed: 11, say: (line) => lines.push(line) });
    expect(report.resyncs).toHaveLength(rounds);
    expect(report.acknowledged).toBeGreaterThan(100 * rounds);
  }, 600_000);
});
