import type { Mode, NodeName } from '../../domain/vocabulary.ts';
import { NodeName as Name, regionSize, VolumeName } from '../../domain/vocabulary.ts';
import type { DiskHabits } from './disk.ts';
import { sectorSize } from './disk.ts';
import { type Plan, pairKey } from './host.ts';
import type { NetworkHabits } from './network.ts';
import type { Random } from './random.ts';
import type { Habits } from './workload.ts';

/**
 * What one seed draws before anything happens: the cluster, the habits of its parts, and which faults it may meet.
 * Each seed switches each kind of fault on or off, so that rare ones are not drowned by frequent ones.
 */
export interface Profile {
  readonly plan: Plan;
  readonly disk: DiskHabits;
  readonly network: NetworkHabits;
  readonly workload: Habits;
  readonly faults: readonly FaultKind[];
  readonly meanFaultMs: number;
  readonly faultsFromMs: number;
  readonly faultsForMs: number;
}

export const faultKinds = [
  'engine killed',
  'agent killed',
  'engine and agent killed',
  'power failure',
  'power failure everywhere',
  'engine stopped',
  'path cut',
  'path cut one way',
  'node cut off',
  'bus silent',
  'path clogged',
  'connections reset',
  'bits flipped on the link',
  'disk slow',
  'disk frozen',
  'EIO on a volume',
  'ENOSPC on a volume',
  'EIO on a flush',
  'bitmap cannot be written',
  'metadata cannot be written',
  'decay of a bitmap',
  'decay of metadata',
  'switchover',
  'pause',
  'force-online',
  'wrong order',
] as const;
export type FaultKind = (typeof faultKinds)[number];

const names = ['adam', 'eve', 'cain', 'seth', 'enos', 'noah', 'shem', 'ham'].map((name) => Name.parse(name));
const modes: readonly Mode[] = ['sync', 'sync', 'sync', 'async', 'memory-sync'];

export function drawProfile(random: Random): Profile {
  const narrow: Profile = {
    plan: drawPlan(random),
    disk: {
      latencyMs: random.pick([
        [0.01, 0.1],
        [0.05, 3],
      ] as const),
      flushMs: random.pick([
        [0.1, 1],
        [0.5, 8],
      ] as const),
      immediate: random.pick([0, 0.5, 0.95]),
      writeBack: random.pick([0, 0.2, 0.8]),
    },
    network: {
      latencyMs: random.pick([
        [0.02, 0.2],
        [0.1, 5],
        [0.5, 30],
      ] as const),
      bytesPerMs: random.pick([5_000, 100_000, 1_000_000]),
      bitFlip: 0,
    },
    workload: drawWorkload(random),
    faults: faultKinds.filter(() => random.chance(0.4)),
    meanFaultMs: random.pick([200, 600, 2_000]),
    faultsFromMs: random.pick([0, 0, 3_000]),
    faultsForMs: random.pick([3_000, 6_000, 12_000]),
  };
  const plan = random.chance(0.15) ? widened(narrow.plan, random) : narrow.plan;
  const clearAfterMs = random.pick([50, 500, 5_000]);
  const enlarged = plan === narrow.plan && random.chance(0.1) ? withLargeVolume(plan, random) : plan;
  const compress = random.chance(0.3) ? drawPairs(plan.nodes, () => random.pick([0, 1, 6])) : plan.compress;
  const resyncChecksums = random.chance(0.3);
  const verifies = random.chance(0.3);
  return { ...narrow, plan: { ...enlarged, clearAfterMs, compress, resyncChecksums, verifies } };
}

/** More regions than an intent log marks one by one (intent-log.ts). */
function withLargeVolume(plan: Plan, random: Random): Plan {
  const [first, ...others] = plan.volumes;
  if (first === undefined) return plan;
  return { ...plan, volumes: [{ ...first, byteSize: random.between(70, 160) * regionSize }, ...others] };
}

/** Up to seven targets. */
function widened(plan: Plan, random: Random): Plan {
  const nodes = names.slice(0, random.between(5, names.length));
  return { ...plan, nodes, modes: drawPairs(nodes, () => random.pick(modes)) };
}

function drawPairs<T>(nodes: readonly NodeName[], draw: () => T): ReadonlyMap<string, T> {
  const pairs = nodes.flatMap((left, index) => nodes.slice(index + 1).map((right) => pairKey(left, right)));
  return new Map(pairs.map((pair) => [pair, draw()]));
}

function drawPlan(random: Random): Plan {
  const nodes = names.slice(0, random.pick([2, 2, 3, 3, 4]));
  const volumeCount = random.pick([1, 1, 1, 2]);
  const volumes = Array.from({ length: volumeCount }, (_, index) => ({
    name: VolumeName.parse(`v${index}`),
    byteSize: random.between(4, 32) * regionSize + random.pick([0, random.between(1, 127)]) * sectorSize,
  }));
  return {
    nodes,
    volumes,
    modes: drawPairs(nodes, () => random.pick(modes)),
    compress: new Map(),
    asyncLimit: random.pick([4, 64, 256]),
    intentLogs: random.chance(0.9) ? 'kept' : 'none',
    timing: { heartbeatMs: 200, lostAfter: 5 },
    writeTimeoutMs: 2_000,
    clearAfterMs: 5_000,
    resyncChecksums: false,
    verifies: false,
  };
}

function drawWorkload(random: Random): Habits {
  return {
    depth: random.pick([1, 4, 16]),
    thinkMs: random.pick([
      [0, 24],
      [0, 60],
      [5, 200],
    ] as const),
    rest: random.pick([0, 0.002, 0.01]),
    sectorsMax: random.pick([8, 64, 200]),
    hotShare: random.pick([0, 0.3, 0.9]),
    share: { read: random.pick([0.1, 0.4]), zero: 0.04, trim: 0.04, flush: random.pick([0.01, 0.1]) },
    fua: random.pick([0, 0.1]),
    together: random.pick([0, 0.3]),
  };
}
