/**
 * npm run simulate -- SEED                    one seed, with a readable trace
 * npm run simulate -- --seeds FROM COUNT      many, one line each for those that fail, and a summary
 *                       [--until-failure]     ends with the first one that fails
 * npm run simulate -- --minutes N [FROM]      as many as fit
 * npm run simulate -- --mutation NAME         breaks a safety rule on purpose, and shows that it is caught
 *
 * Exit code 1 when an invariant did not hold. A failing seed is run again: the same hash, or I18 does not hold either.
 */
import { spawnSync } from 'node:child_process';
import { tryMutation } from './mutant.ts';
import { mutationSeeds, mutations } from './mutations.ts';
import { type Outcome, simulate } from './simulation.ts';

const [first, ...rest] = process.argv.slice(2);
const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout?.trim();

if (first === '--seeds')
  runSeeds(Number(rest[0]), (count) => count < Number(rest[1]), rest[2] === '--until-failure');
else if (first === '--minutes') runMinutes(Number(rest[0]), Number(rest[1] ?? 1));
else if (first === '--mutation') runMutation(rest[0] ?? '');
else if (first !== undefined && /^\d+$/.test(first)) runOne(Number(first));
else {
  console.error(
    'usage: npm run simulate -- SEED | --seeds FROM COUNT | --minutes N [FROM] | --mutation NAME',
  );
  process.exitCode = 2;
}

function runOne(seed: number): void {
  const outcome = simulate(seed, (line) => console.log(line));
  if (outcome.failure === null)
    console.log(`seed ${seed} is clean: ${outcome.steps} steps, hash ${outcome.hash}`);
  else report(outcome);
}

function runMinutes(minutes: number, from: number): void {
  const endMs = performance.now() + minutes * 60_000;
  runSeeds(from, () => performance.now() < endMs, false);
}

function runMutation(name: string): void {
  const mutation = mutations.find((each) => each.name === name);
  if (mutation === undefined) {
    console.error(`no such mutation; there are: ${mutations.map((each) => each.name).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const { caught, output } = tryMutation(process.cwd(), mutation, mutationSeeds);
  console.log(output);
  console.log(`${mutation.name} (${mutation.rule}): ${caught ? 'caught' : 'NOT CAUGHT'}`);
  if (!caught) process.exitCode = 1;
}

function runSeeds(from: number, goesOn: (count: number) => boolean, isUntilFailure: boolean): void {
  const totals = new Map<string, number>();
  let count = 0;
  let steps = 0;
  let failures = 0;
  let simulatedMs = 0;
  for (let seed = from; goesOn(count); seed++) {
    const outcome = simulate(seed);
    count++;
    steps += outcome.steps;
    simulatedMs += outcome.simulatedMs;
    for (const [what, times] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + times);
    if (outcome.failure === null) continue;
    failures++;
    report(outcome);
    if (isUntilFailure) break;
  }
  for (const [what, times] of [...totals].sort(([left], [right]) => (left < right ? -1 : 1))) {
    console.log(`${String(times).padStart(12)}  ${what}`);
  }
  const simulatedMinutes = Math.round(simulatedMs / 60_000);
  console.log(
    `${count} seeds from ${from}, ${steps} steps, ${simulatedMinutes} simulated minutes, ${failures} failed, commit ${commit}`,
  );
}

function report(outcome: Outcome): void {
  process.exitCode = 1;
  const again = simulate(outcome.seed);
  const same = again.hash === outcome.hash ? 'same trace again' : 'I18: ANOTHER TRACE WHEN RUN AGAIN';
  console.log(
    `FAILED seed ${outcome.seed} commit ${commit} step ${outcome.steps} (${same}): ${outcome.failure}`,
  );
  console.log(`       npm run simulate -- ${outcome.seed}`);
}
