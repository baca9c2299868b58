import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { boundedMemory, type MemoryLine } from './bench/bounded-memory.ts';
import {
  type Comparison,
  type ContestantName,
  comparisons,
  isMissed,
  type Line,
  lineOf,
  median,
} from './bench/comparisons.ts';
import { fio, type Measured } from './bench/fio.ts';
import { BenchMirror } from './bench/mirror.ts';
import { type FairPeer, nbdkitExport, QemuMirror, qemuNbdExport } from './bench/peers.ts';
import { needPrograms } from './bench/processes.ts';

/*
 * Our engine beside the fair peers of PERFORMANCE 1, in one run: all of them are up, rounds are interleaved, medians
 * are taken, and the ratios are what counts. Everything of ours is on: checksums, order, intent log, generations.
 *
 *   npm run bench:engine
 *   npm run bench:engine -- --rounds 9 --seconds 3 --only "sync mirror" --json
 */
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    /** Of each run of fio. */
    seconds: { type: 'string', default: '2' },
    /** Only the lines whose name begins with this. */
    only: { type: 'string', default: '' },
    /** Where the images lie. */
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const MiB = 1024 * 1024;
const byteCount = 256 * MiB;
const resyncBytes = 1024 * MiB;
const resyncName = 'full resync of 1 GiB, MiB/s';
const memoryName = 'bounded memory';

const isWanted = (name: string) => name.startsWith(options.only);
const say = (text: string) => process.stderr.write(`${text}\n`);

type Start = (folder: string) => Promise<FairPeer>;

const ours = (targets: number, mode: string): Start => {
  return async (folder) => {
    mkdirSync(folder);
    const mirror = new BenchMirror(folder, { targets, mode, byteCount });
    await mirror.start();
    return mirror;
  };
};
const qemu = (over: 'tcp' | 'unix', copyMode: 'write-blocking' | 'background'): Start => {
  return (folder) => QemuMirror.start(folder, { byteCount, over, copyMode });
};
const starts: Readonly<Record<ContestantName, Start>> = {
  'ours export': ours(0, 'sync'),
  nbdkit: (folder) => nbdkitExport(folder, byteCount),
  'qemu-nbd': (folder) => qemuNbdExport(folder, byteCount),
  'ours sync': ours(1, 'sync'),
  'qemu sync, tcp': qemu('tcp', 'write-blocking'),
  'qemu sync, unix': qemu('unix', 'write-blocking'),
  'ours async': ours(1, 'async'),
  'qemu async, tcp': qemu('tcp', 'background'),
  'qemu async, unix': qemu('unix', 'background'),
  'ours 2 targets': ours(2, 'sync'),
  'ours 3 targets': ours(3, 'sync'),
  'ours 7 targets': ours(7, 'sync'),
};

interface MemoryAtRest {
  readonly contestant: string;
  readonly process: string;
  readonly MiB: number;
}

/** Every comparison in every round; the contestants of one take turns at being the first. */
async function compareAll(folder: string): Promise<{ lines: Line[]; memory: MemoryAtRest[] }> {
  const wanted = comparisons.filter(({ name }) => isWanted(name));
  const names = [...new Set(wanted.flatMap(({ ours, peers }) => [ours, ...peers]))];
  const contestants = new Map<ContestantName, FairPeer>();
  try {
    for (const [index, name] of names.entries()) {
      say(`starting ${name}`);
      contestants.set(name, await starts[name](join(folder, String(index))));
    }
    const results = new Map(wanted.map((one) => [one, new Map<ContestantName, Measured[]>()]));
    for (let round = 0; round < rounds; round += 1) {
      for (const one of wanted) {
        say(`round ${round + 1} of ${rounds}: ${one.name}`);
        await runRound(one, round, contestants, results.get(one));
      }
    }
    const memory = [...contestants].flatMap(([contestant, { processes }]) =>
      processes.map(({ name, memoryMiB }) => ({ contestant, process: name, MiB: memoryMiB })),
    );
    return { lines: [...results].map(([one, measured]) => lineOf(one, measured)), memory };
  } finally {
    await Promise.all([...contestants.values()].map((contestant) => contestant.end()));
  }
}

async function runRound(
  { ours, peers, workload }: Comparison,
  round: number,
  contestants: ReadonlyMap<ContestantName, FairPeer>,
  measured: Map<ContestantName, Measured[]> | undefined,
): Promise<void> {
  const names = [ours, ...peers];
  const first = round % names.length;
  for (const name of [...names.slice(first), ...names.slice(0, first)]) {
    const uri = contestants.get(name)?.uri;
    if (uri === undefined) throw new Error(`${name} is not up`);
    const result = await fio(uri, workload, seconds, round + 1);
    const before = measured?.get(name);
    if (before === undefined) measured?.set(name, [result]);
    else before.push(result);
  }
}

async function compareResync(folder: string): Promise<Line> {
  say('starting the contestants of the resync');
  const oursFolder = join(folder, 'ours');
  mkdirSync(oursFolder, { recursive: true });
  const mirror = new BenchMirror(oursFolder, { targets: 1, mode: 'sync', byteCount: resyncBytes });
  const peers: { name: string; peer: QemuMirror; speeds: number[] }[] = [];
  const speeds: number[] = [];
  try {
    await mirror.start();
    for (const over of ['tcp', 'unix'] as const) {
      const mirrorOptions = { byteCount: resyncBytes, over, copyMode: 'write-blocking' } as const;
      const peer = await QemuMirror.start(join(folder, over), mirrorOptions);
      peers.push({ name: `qemu mirror job, ${over}`, peer, speeds: [] });
    }
    for (let round = 0; round < rounds; round += 1) {
      say(`round ${round + 1} of ${rounds}: ${resyncName}`);
      speeds.push(resyncBytes / MiB / (await mirror.resync()));
      for (const one of peers) {
        await one.peer.stopMirroring();
        one.speeds.push(resyncBytes / MiB / (await one.peer.copy()));
      }
    }
  } finally {
    await Promise.all([mirror.end(), ...peers.map(({ peer }) => peer.end())]);
  }
  const [best] = peers
    .map((one) => ({ peerName: one.name, peer: median(one.speeds) }))
    .sort((a, b) => b.peer - a.peer);
  if (best === undefined) throw new Error('nobody to compare with');
  const mine = median(speeds);
  return {
    name: resyncName,
    ours: mine,
    ...best,
    unit: 'MiB/s',
    ratio: mine / best.peer,
    must: 0.8,
    aim: 1.1,
    isAtMost: false,
  };
}

interface Report {
  readonly machine: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly lines: readonly Line[];
  readonly memory: readonly MemoryAtRest[];
  readonly boundedMemory: readonly MemoryLine[];
}

function print({ machine, lines, memory, boundedMemory: bounded }: Report): void {
  const rows = [
    ['', 'ours', 'best peer', '', 'ratio', 'must', 'aim', ''],
    ...lines.map((line) => {
      const sign = line.isAtMost ? '≤ ' : '≥ ';
      const goal = (value: number | null) => (value === null ? '' : sign + value);
      return [
        line.name,
        `${line.ours.toFixed(0)} ${line.unit}`,
        `${line.peer.toFixed(0)} ${line.unit}`,
        line.peerName,
        line.ratio.toFixed(2),
        goal(line.must),
        goal(line.aim),
        isMissed(line) ? 'MISSED' : '',
      ];
    }),
  ];
  table(rows);
  table([
    ['memory after the runs', 'process', 'MiB'],
    ...memory.map((one) => [one.contestant, one.process, one.MiB.toFixed(0)]),
  ]);
  table([
    ['memory under load', 'process', 'before, MiB', 'peak, MiB'],
    ...bounded.map((one) => [one.name, one.process, one.beforeMiB.toFixed(0), one.peakMiB.toFixed(0)]),
  ]);
  process.stdout.write(`\n${machine}\n`);
}

function table(rows: readonly (readonly string[])[]): void {
  if (rows.length < 2) return;
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  process.stdout.write(`\n${lines.map((line) => line.trimEnd()).join('\n')}\n`);
}

function machineLine(): string {
  const [first] = cpus();
  const loads = loadavg().map((load) => load.toFixed(1));
  return [
    `${cpus().length} × ${first?.model ?? 'unknown processor'}`,
    `${Math.round(totalmem() / 1024 / MiB)} GiB`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
    `load average ${loads.join(' ')}`,
    `${rounds} rounds of ${seconds} s`,
    new Date().toISOString(),
  ].join(', ');
}

needPrograms({
  fio: 'fio',
  nbdkit: 'nbdkit',
  nbdfuse: 'nbdfuse',
  fusermount3: 'fuse3',
  'qemu-nbd': 'qemu-utils',
  'qemu-storage-daemon': 'qemu-system-common',
});
const directory = mkdtempSync(join(options.directory, 'mk-bench-engine-'));
process.setMaxListeners(0);
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const { lines, memory } = await compareAll(directory);
if (isWanted(resyncName)) lines.push(await compareResync(join(directory, 'resync')));
const bounded = isWanted(memoryName)
  ? await boundedMemory(join(directory, 'memory'), byteCount, Math.max(seconds, 5))
  : [];
const report = { machine: machineLine(), rounds, seconds, lines, memory, boundedMemory: bounded };
if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
else print(report);
if (lines.some(isMissed)) process.exitCode = 1;
