/**
 * Capacity planning (REQUIREMENTS 2.13): how fast disks change, from copies of `/proc/diskstats` taken at a fixed
 * interval, each behind a line with its date (the admin guide's `( date ; cat /proc/diskstats ) >> FILE`).
 *
 * Sums and peaks are those of the old `roc-calc-diskstats` wherever that is right. It was not where a counter
 * wraps or begins anew (its averages went wrong) and where a device comes or goes (its totals added samples of
 * different moments): here samples are told apart by their date lines, and a total adds rates of one moment.
 */
const sectorSize = 512;

/** One copy of `/proc/diskstats`. */
export interface DiskSample {
  /** The date line, as it stands in the file. */
  readonly date: string;
  /** Sectors written since the machine started, by device. */
  readonly sectors: Map<string, number>;
}

/** Takes the lines of a file, one by one. */
export class DiskSamples {
  readonly #samples: DiskSample[] = [];
  readonly #devices: ReadonlySet<string>;
  readonly #inThisSample = new Set<string>();

  /** `devices`: the ones that count; all when empty. */
  constructor(devices: readonly string[]) {
    this.#devices = new Set(devices);
  }

  /** A date without statistics behind it (a copy that was cut off) is none. */
  get samples(): readonly DiskSample[] {
    return this.#inThisSample.size === 0 ? this.#samples.slice(0, -1) : this.#samples;
  }

  take(line: string): void {
    const text = line.trim();
    if (text === '') return;
    const read = parseDiskLine(text);
    if (read === undefined) this.#begin(text);
    else this.#count(read.device, read.sectors);
  }

  #begin(date: string): void {
    if (this.#inThisSample.size === 0) this.#samples.pop();
    this.#samples.push({ date, sectors: new Map() });
    this.#inThisSample.clear();
  }

  /** A device that comes up again without a date line in between begins the next sample. */
  #count(device: string, sectors: number): void {
    if (this.#samples.length === 0 || this.#inThisSample.has(device)) this.#begin('');
    this.#inThisSample.add(device);
    if (this.#devices.size > 0 && !this.#devices.has(device)) return;
    this.#samples.at(-1)?.sectors.set(device, sectors);
  }
}

/**
 * A line of `/proc/diskstats`: 14 fields since Linux 2.6.25, 18 since 4.18, 20 since 5.5; before, a partition had
 * only 7 (reads, sectors read, writes, sectors written). Undefined: another line, so a date.
 */
export function parseDiskLine(line: string): { device: string; sectors: number } | undefined {
  const fields = line.split(/\s+/);
  const [major = '', minor = '', device = '', ...counters] = fields;
  const isNumber = (field: string) => /^\d+$/.test(field);
  if (!isNumber(major) || !isNumber(minor) || counters.length < 4 || !counters.every(isNumber))
    return undefined;
  return { device, sectors: Number(counters.length < 11 ? counters[3] : counters[6]) };
}

/** How one device, or all together, changed: bytes per second. */
export interface DeviceRates {
  readonly device: string;
  /** Between each sample and the one before it: the first rate ends at the second sample. 0 while it is absent. */
  readonly rates: readonly number[];
  readonly peak: number;
  /** The sample at which the peak ended; 0 where nothing was ever written. */
  readonly peakSample: number;
  readonly average: number;
}

export const totalName = 'total';

/** By device name, the total among them. `intervalSeconds`: from one sample to the next. */
export function ratesOfChange(
  samples: readonly DiskSample[],
  intervalSeconds: number,
): readonly DeviceRates[] {
  const names = new Set(samples.flatMap(({ sectors }) => [...sectors.keys()]));
  const steps = Math.max(0, samples.length - 1);
  const devices = [...names].map((device) => {
    const { bytes, sampled } = bytesWritten(samples, device);
    return ratesOf(device, bytes, sampled, intervalSeconds);
  });
  const total = Array.from({ length: steps }, (_, step) =>
    devices.reduce((sum, { rates }) => sum + (rates[step] ?? 0) * intervalSeconds, 0),
  );
  return [...devices, ratesOf(totalName, total, steps, intervalSeconds)].sort((a, b) =>
    a.device < b.device ? -1 : 1,
  );
}

function ratesOf(device: string, bytes: readonly number[], sampled: number, interval: number): DeviceRates {
  const rates = bytes.map((count) => count / interval);
  let peak = 0;
  let peakSample = 0;
  for (const [step, rate] of rates.entries()) {
    if (rate <= peak) continue;
    peak = rate;
    peakSample = step + 1;
  }
  const sum = bytes.reduce((all, count) => all + count, 0);
  return { device, rates, peak, peakSample, average: sampled === 0 ? 0 : sum / (interval * sampled) };
}

/** Bytes from sample to sample, and over how many of these steps the device was there at both ends. */
function bytesWritten(samples: readonly DiskSample[], device: string): { bytes: number[]; sampled: number } {
  const bytes = samples.slice(1).map(() => 0);
  let sampled = 0;
  let last: { at: number; sectors: number } | undefined;
  for (const [at, sample] of samples.entries()) {
    const sectors = sample.sectors.get(device);
    if (sectors === undefined) continue;
    if (last !== undefined) {
      const written = sectorsWritten(last.sectors, sectors) * sectorSize;
      // What was written while samples are missing is spread over them.
      for (let step = last.at; step < at; step++) bytes[step] = written / (at - last.at);
      sampled += at - last.at;
    }
    last = { at, sectors };
  }
  return { bytes, sampled };
}

const wrap = 2 ** 32;

/**
 * A smaller counter than before: a 32-bit one that was in its upper half has wrapped; any other began at 0 with the
 * machine or the device.
 */
function sectorsWritten(before: number, now: number): number {
  if (now >= before) return now - before;
  return before >= wrap / 2 && before < wrap && now < wrap / 2 ? wrap - before + now : now;
}

/** Whether a link keeps up with the changes, and how far an asynchronous mirror over it would lag. */
export interface Forecast {
  readonly keepsUp: boolean;
  readonly queueBytesMax: number;
  /** How long the last write in the longest queue waits. */
  readonly lagSecondsMax: number;
  /** The sample at which the queue is longest; 0 where there is none. */
  readonly worstSample: number;
  /** Still queued after the last sample. */
  readonly queueBytesAtEnd: number;
  /** The least bandwidth that keeps up on average: bytes per second. */
  readonly averageNeeded: number;
}

export function forecast(
  { rates, average }: DeviceRates,
  intervalSeconds: number,
  bytesPerSecond: number,
): Forecast {
  let queue = 0;
  let queueBytesMax = 0;
  let worstSample = 0;
  for (const [step, rate] of rates.entries()) {
    queue = Math.max(0, queue + (rate - bytesPerSecond) * intervalSeconds);
    if (queue <= queueBytesMax) continue;
    queueBytesMax = queue;
    worstSample = step + 1;
  }
  return {
    keepsUp: queueBytesMax === 0,
    queueBytesMax,
    lagSecondsMax: queueBytesMax / bytesPerSecond,
    worstSample,
    queueBytesAtEnd: queue,
    averageNeeded: average,
  };
}

const secondsPer: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `120`, `2m`, `1hour`, `1d`: seconds. Undefined: not an interval. */
export function parseInterval(text: string): number | undefined {
  const match = /^(\d+)([a-z]*)$/i.exec(text.trim());
  const suffix = match?.[2]?.[0]?.toLowerCase() ?? 's';
  const seconds = Number(match?.[1]) * (secondsPer[suffix] ?? Number.NaN);
  return seconds > 0 ? seconds : undefined;
}

/** `45Mb` (bits, as links are sold), `5MB` (bytes), with K, M or G of 1,000: bytes per second. */
export function parseBandwidth(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(b|B)(?:ps|\/s)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, amount, prefix = '', unit] = match;
  const factor = { '': 1, K: 1e3, M: 1e6, G: 1e9 }[prefix.toUpperCase()] ?? Number.NaN;
  const bytes = (Number(amount) * factor) / (unit === 'B' ? 1 : 8);
  return bytes > 0 ? bytes : undefined;
}
