import { describe, expect, it } from 'vitest';
import { killRounds } from './kill-rounds.ts';

/** `npm run soak` asks for more. */
const rounds = Number(process.env['MIRRORKEEPER_ROUNDS'] ?? 6);
const seed = Number(process.env['MIRRORKEEPER_SEED'] ?? 11);
const roundMs = 20_000;

describe('kill -9 of the source, the target and both under a verifying workload', () => {
  it(
    'FAULTS 1, 3, 6: nothing acknowledged is lost, resyncs are partial and small, images end equal',
    async () => {
      const say = (line: string) => process.stdout.write(`${line}\n`);
      const report = await killRounds({ rounds, seed, say });
      expect(report.resyncs).toHaveLength(rounds);
      expect(report.acknowledged).toBeGreaterThan(100 * rounds);
    },
    rounds * roundMs,
  );
});
