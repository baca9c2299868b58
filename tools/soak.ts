import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';

/*
 * The long rounds of the tests of whole processes: `kill -9` and faults of the engines, then the clusters.
 *
 *   npm run soak
 *   npm run soak -- --rounds 500 --seed 7
 */
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '60' },
    /** Of the dice; the same seed kills at the same writes. */
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

/** Resolves with vitest's exit code; what the tests say on the way is shown. */
function test(folder: string): Promise<number> {
  const args = ['vitest', 'run', '--dir', folder, '--no-file-parallelism', '--disable-console-intercept'];
  const rounds = { MIRRORKEEPER_ROUNDS: options.rounds, MIRRORKEEPER_SEED: options.seed };
  const child = spawn('npx', args, { stdio: 'inherit', env: { ...process.env, ...rounds } });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

process.stdout.write(`${options.rounds} rounds, seed ${options.seed}\n`);
for (const folder of ['test/engine-rounds', 'test/end-to-end']) {
  if ((await test(folder)) !== 0) process.exitCode = 1;
}
