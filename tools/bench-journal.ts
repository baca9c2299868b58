import { fdatasync, mkdtempSync, openSync, rmSync, write } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Level } from 'level';
import type { Heads } from '../domain/envelope.ts';
import { apply } from '../domain/evolve.ts';
import { emptyState } from '../domain/state.ts';
import { GroupCommit } from '../journal/group-commit.ts';
import { eventKey } from '../journal/keys.ts';
import { type LevelJournal, openLevelJournal } from '../journal/level-journal.ts';
import { readEvent } from '../journal/read-event.ts';
import { stamp } from '../journal/record.ts';
import { emptyStanding, fold, viewsOf } from '../projections/views.ts';
import { draftOf, writer } from './bench-journal-events.ts';

/*
 * What the journal costs beside what nobody can avoid, side by side in one run (PERFORMANCE 3). Rounds are
 * interleaved and medians taken: this kind of machine is noisy, only the ratios mean anything.
 *
 *   npm run bench:journal                            10 k events
 *   npm run bench:journal -- --full                  10 k and 1 M events
 *   npm run bench:journal -- --events 100000 --rounds 3 --directory /mnt/disk
 */
const { values: options } = parseArgs({
  options: {
    events: { type: 'string', multiple: true },
    full: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
    /** Per round and contestant. */
    appends: { type: 'string', default: '300' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const rounds = Number(options.rounds);
const appends = Number(options.appends);
const inFlight = 64;
const sizes = (options.events ?? (options.full ? ['10000', '1000000'] : ['10000'])).map(Number);

const directory = mkdtempSync(join(options.directory, 'mk-bench-'));

/** Ways to make the n-th event durable. */
type Append = (number: number) => Promise<unknown>;

async function benchAppends(): Promise<void> {
  const journal = await open('appends');
  const file = openSync(join(directory, 'file'), 'w');
  const level = new Level<string, string>(join(directory, 'raw'));
  await level.open();

  const intoFile = async (records: readonly string[]) => {
    await writeFile(file, records.join('\n'));
    await syncFile(file);
  };
  const intoLevel = async (records: readonly string[]) => {
    const puts = records.map((value) => ({ type: 'put' as const, key: nextKey(), value }));
    await level.batch(puts, { sync: true });
  };
  const grouped = (commit: (records: readonly string[]) => Promise<void>): Append => {
    const group = new GroupCommit(commit, () => undefined);
    return (number) => group.add([nextRecord(number)]);
  };
  const byJournal: Append = (number) => journal.append([draftOf(number)]);

  // The many first: they warm everything up that a process which has run for a while has warm.
  title(`append, ${inFlight} in flight (events/s; the others encode, hash and group alike)`);
  await compare(
    {
      'file: write + fdatasync': () => throughput(grouped(intoFile)),
      'level: batch {sync}': () => throughput(grouped(intoLevel)),
      journal: () => throughput(byJournal),
    },
    (value) => `${value.toFixed(0)}/s`,
    {
      'journal / file (must ≥ 0.6, aim ≥ 0.77)': ['journal', 'file: write + fdatasync'],
      'journal / level': ['journal', 'level: batch {sync}'],
    },
  );
  const record = nextRecord(0);
  const draft = draftOf(0);
  title('append, 1 in flight (p50, in turn after every append)');
  await compare(
    {
      'file: write + fdatasync': () => timed(() => intoFile([record])),
      'level: batch {sync}': () => timed(() => intoLevel([record])),
      journal: () => timed(() => journal.append([draft])),
    },
    (value) => `${(value * 1000).toFixed(0)} µs`,
    { 'journal / file (must ≤ 1.3, aim ≤ 1.1)': ['journal', 'file: write + fdatasync'] },
    rounds * appends,
  );
  await journal.close();
  await level.close();
}

async function benchReplay(size: number): Promise<void> {
  const name = `replay-${size}`;
  let journal = await open(name);
  const perBatch = 1000;
  for (let number = 0; number < size; number += perBatch)
    await journal.append(
      Array.from({ length: Math.min(perBatch, size - number) }, (_, at) => draftOf(number + at)),
    );
  const sample = await sampleTexts(journal);

  title(`replay of ${size} events (events/s)`);
  await compare(
    {
      'JSON.parse alone': async () => rate(size, () => parseAll(sample, size)),
      'journal: events': () => rate(size, () => replay(journal)),
      'journal: events and state': () => rate(size, () => replayToState(journal)),
      'journal: events, state and all views': () => rate(size, () => replayToViews(journal)),
    },
    (value) => `${value.toFixed(0)}/s`,
    {
      'to all views / JSON.parse (must ≥ 0.4, aim ≥ 0.6)': [
        'journal: events, state and all views',
        'JSON.parse alone',
      ],
    },
    Math.min(rounds, size > 100_000 ? 3 : rounds),
  );

  title(`restart with ${size} events (ms to serving)`);
  const heads = journal.heads();
  await journal.close();
  const restart = async () => {
    const took = await timed(async () => {
      journal = await open(name);
    });
    await journal.close();
    return took;
  };
  const withoutSnapshot = await restart();
  await putSnapshot(name, heads);
  const withSnapshot = await restart();
  print('without a snapshot (all verified first)', `${withoutSnapshot.toFixed(0)} ms`);
  print('with a snapshot at the head', `${withSnapshot.toFixed(0)} ms`);
}

/** Runs all contestants in turn, round after round, and prints medians and ratios of the medians. */
async function compare(
  contestants: Readonly<Record<string, () => Promise<number>>>,
  format: (value: number) => string,
  ratios: Readonly<Record<string, readonly [string, string]>>,
  roundCount = rounds,
): Promise<void> {
  const results = new Map(Object.keys(contestants).map((name) => [name, [] as number[]]));
  for (let round = 0; round < roundCount; round += 1)
    for (const [name, run] of Object.entries(contestants)) results.get(name)?.push(await run());
  const medians = new Map([...results].map(([name, values]) => [name, median(values)]));
  for (const [name, value] of medians) print(name, format(value));
  for (const [name, [ours, theirs]] of Object.entries(ratios))
    print(name, ((medians.get(ours) ?? 0) / (medians.get(theirs) ?? 1)).toFixed(2));
}

/** Milliseconds. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Events per second with `inFlight` callers, each waiting for its own. */
async function throughput(append: Append): Promise<number> {
  const count = appends * inFlight;
  let number = 0;
  const caller = async () => {
    while (number < count) {
      number += 1;
      await append(number);
    }
  };
  return await rate(count, () => Promise.all(Array.from({ length: inFlight }, caller)));
}

async function rate(count: number, work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return (count / (performance.now() - started)) * 1000;
}

async function replay(journal: LevelJournal): Promise<number> {
  let count = 0;
  for await (const events of journal.replay()) count += events.length;
  return count;
}

async function replayToState(journal: LevelJournal): Promise<void> {
  const state = emptyState();
  for await (const events of journal.replay()) for (const one of events) apply(state, readEvent(one));
}

async function replayToViews(journal: LevelJournal): Promise<void> {
  const standing = emptyStanding();
  for await (const events of journal.replay()) fold(standing, events.map(readEvent));
  viewsOf(standing);
}

/** Texts of the first events, parsed again and again: a million strings at once would measure the collector. */
async function sampleTexts(journal: LevelJournal): Promise<string[]> {
  const texts: string[] = [];
  for await (const events of journal.replay()) {
    texts.push(...events.map((one) => JSON.stringify(one)));
    if (texts.length >= 10_000) break;
  }
  return texts;
}

function parseAll(texts: readonly string[], count: number): void {
  for (let number = 0; number < count; number += 1) JSON.parse(texts[number % texts.length] ?? '');
}

const open = (name: string): Promise<LevelJournal> =>
  openLevelJournal({ directory: join(directory, name), node: writer, cluster: 'bench' });

async function putSnapshot(name: string, heads: Heads): Promise<void> {
  const journal = await open(name);
  await journal.putSnapshot('state', { heads, body: '{}' });
  await journal.close();
}

let previous = '';
let sequence = 0;

/** Encoded and hashed as the journal does it. */
function nextRecord(number: number): string {
  sequence += 1;
  const time = new Date().toISOString();
  const place = { cluster: 'bench', node: writer, incarnation: 1, sequence, previous, seen: '', time };
  const { event: stamped, record } = stamp(draftOf(number), place);
  previous = stamped.hash;
  return record;
}

let keys = 0;

function nextKey(): string {
  keys += 1;
  return eventKey({ node: writer, incarnation: 1, sequence: keys });
}

const writeFile = promisify<number, string, unknown>(write);
const syncFile = promisify(fdatasync);

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const title = (text: string) => process.stdout.write(`\n${text}\n`);
const print = (name: string, value: string) =>
  process.stdout.write(`  ${name.padEnd(46)}${value.padStart(14)}\n`);

try {
  await benchAppends();
  for (const size of sizes) await benchReplay(size);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
