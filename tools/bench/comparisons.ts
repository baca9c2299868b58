import type { Measured, Workload } from './fio.ts';

/** Who takes part: each is started once, all stay up during the whole run. */
export type ContestantName =
  | 'ours export'
  | 'nbdkit'
  | 'qemu-nbd'
  | 'ours sync'
  | 'qemu sync, tcp'
  | 'qemu sync, unix'
  | 'ours async'
  | 'qemu async, tcp'
  | 'qemu async, unix'
  | 'ours 2 targets'
  | 'ours 3 targets'
  | 'ours 7 targets';

/** A line of the table of PERFORMANCE 3: ours beside the best of the others, in the same rounds. */
export interface Comparison {
  readonly name: string;
  readonly workload: Workload;
  readonly ours: ContestantName;
  readonly peers: readonly ContestantName[];
  readonly metric: 'perSecond' | 'latencyUs';
  /** Ratio ours / peer: at least, or at most for a latency. Without: reported only. */
  readonly must?: number;
  readonly aim?: number;
}

const write = (blockSize: string, depth: number): Workload => ({ rw: 'randwrite', blockSize, depth });

const syncPeers = ['qemu sync, tcp', 'qemu sync, unix'] as const;
const asyncPeers = ['qemu async, tcp', 'qemu async, unix'] as const;
const exports = ['nbdkit', 'qemu-nbd'] as const;

const sync = { ours: 'ours sync', peers: syncPeers, metric: 'perSecond' } as const;
const async = { ours: 'ours async', peers: asyncPeers, metric: 'perSecond' } as const;
const alone = { ours: 'ours export', peers: exports, metric: 'perSecond' } as const;

export const comparisons: readonly Comparison[] = [
  { name: 'sync mirror, 4k qd32', workload: write('4k', 32), ...sync, must: 2.0, aim: 3.0 },
  {
    name: 'sync mirror, 4k qd1, p50',
    workload: write('4k', 1),
    ...sync,
    metric: 'latencyUs',
    must: 0.8,
    aim: 0.6,
  },
  { name: 'sync mirror, 64k qd8', workload: write('64k', 8), ...sync, must: 1.2, aim: 1.6 },
  { name: 'sync mirror, 1M qd4', workload: write('1M', 4), ...sync, must: 1.4, aim: 2.0 },
  { name: 'export, 4k write qd32', workload: write('4k', 32), ...alone, must: 1.2, aim: 1.8 },
  {
    name: 'export, 4k read qd32',
    workload: { rw: 'randread', blockSize: '4k', depth: 32 },
    ...alone,
    must: 1.5,
    aim: 2.2,
  },
  { name: 'export, 4k qd1, p50', workload: write('4k', 1), ...alone, metric: 'latencyUs' },
  {
    name: 'export, flush after every write',
    workload: { ...write('4k', 1), flushEvery: 1 },
    ...alone,
    peers: ['nbdkit'],
  },
  {
    name: 'export, flush after 32 writes',
    workload: { ...write('4k', 32), flushEvery: 32 },
    ...alone,
    peers: ['nbdkit'],
  },
  { name: 'sync mirror, flush after every write', workload: { ...write('4k', 1), flushEvery: 1 }, ...sync },
  { name: 'async mirror, 4k qd1', workload: write('4k', 1), ...async, aim: 2.0 },
  { name: 'async mirror, 4k qd32', workload: write('4k', 32), ...async, aim: 1.5 },
  { name: 'async mirror, 64k qd8', workload: write('64k', 8), ...async, aim: 1.4 },
  { name: 'async mirror, 1M qd4', workload: write('1M', 4), ...async, aim: 1.8 },
  {
    name: 'our sync mirror against our export, 4k qd32',
    workload: write('4k', 32),
    ours: 'ours sync',
    peers: ['ours export'],
    metric: 'perSecond',
    aim: 0.65,
  },
  ...(['ours 2 targets', 'ours 3 targets', 'ours 7 targets'] as const).map((ours) => ({
    name: `our ${ours.slice('ours '.length)} against 1, sync, 4k qd32`,
    workload: write('4k', 32),
    ours,
    peers: ['ours sync'] as const,
    metric: 'perSecond' as const,
  })),
];

export interface Line {
  readonly name: string;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  readonly unit: string;
  readonly ratio: number;
  readonly must: number | null;
  readonly aim: number | null;
  /** A smaller ratio is better. */
  readonly isAtMost: boolean;
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** The medians of the rounds; the peer is whichever of them was best. */
export function lineOf(
  { name, ours, peers, metric, must, aim }: Comparison,
  measured: ReadonlyMap<ContestantName, readonly Measured[]>,
): Line {
  const isAtMost = metric === 'latencyUs';
  const of = (contestant: ContestantName) =>
    median((measured.get(contestant) ?? []).map((one) => one[metric]));
  const [best] = peers
    .map((peerName) => ({ peerName, peer: of(peerName) }))
    .sort((a, b) => (isAtMost ? a.peer - b.peer : b.peer - a.peer));
  if (best === undefined) throw new Error(`${name} is compared with nobody`);
  return {
    name,
    ours: of(ours),
    ...best,
    unit: isAtMost ? 'µs' : '/s',
    ratio: of(ours) / best.peer,
    must: must ?? null,
    aim: aim ?? null,
    isAtMost,
  };
}

export const isMissed = ({ ratio, must, isAtMost }: Line): boolean =>
  must !== null && (isAtMost ? ratio > must : ratio < must);
