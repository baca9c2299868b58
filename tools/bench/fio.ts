import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';

export interface Workload {
  readonly rw: 'randwrite' | 'randread';
  /** As fio writes it: `4k`, `1M`. */
  readonly blockSize: string;
  readonly depth: number;
  /** A flush after so many writes. */
  readonly flushEvery?: number;
}

export interface Measured {
  readonly perSecond: number;
  /** Median latency of a request, µs. */
  readonly latencyUs: number;
  readonly latencyP99Us: number;
}

const Side = z.object({
  iops: z.number(),
  clat_ns: z.object({ percentile: z.record(z.string(), z.number()).optional() }),
});
const Output = z.object({ jobs: z.array(z.object({ error: z.int(), read: Side, write: Side })).length(1) });

/**
 * Before it counts: what is measured is the steady state. Ours marks regions that were quiet for a while on stable
 * storage first, which others do not do at all.
 */
const rampSeconds = 1;

/** One run of fio against an NBD export. */
export async function fio(uri: string, workload: Workload, seconds: number, seed: number): Promise<Measured> {
  const { rw, blockSize, depth, flushEvery } = workload;
  const { stdout } = await promisify(execFile)(
    'fio',
    [
      '--name=bench',
      '--ioengine=nbd',
      `--uri=${uri}`,
      `--rw=${rw}`,
      `--bs=${blockSize}`,
      `--iodepth=${depth}`,
      ...(flushEvery === undefined ? [] : [`--fsync=${flushEvery}`]),
      '--time_based',
      `--runtime=${seconds}`,
      `--ramp_time=${rampSeconds}`,
      `--randseed=${seed}`,
      '--norandommap',
      '--output-format=json',
    ],
    { timeout: (seconds + 60) * 1000, maxBuffer: 1 << 24 },
  );
  const [job] = Output.parse(JSON.parse(stdout.slice(stdout.indexOf('{')))).jobs;
  if (job === undefined || job.error !== 0) throw new Error(`fio failed on ${uri}`);
  const side = rw === 'randread' ? job.read : job.write;
  const percentile = (name: string) => (side.clat_ns.percentile?.[name] ?? 0) / 1000;
  return {
    perSecond: side.iops,
    latencyUs: percentile('50.000000'),
    latencyP99Us: percentile('99.000000'),
  };
}
