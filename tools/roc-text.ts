import { type DeviceRates, type DiskSample, type Forecast, totalName } from '../domain/rate-of-change.ts';

/** When samples were taken, as the command line says it. */
export interface Sampling {
  readonly intervalSeconds: number;
  /** Milliseconds since 1970 of the first sample. */
  readonly start: number;
  readonly samples: readonly DiskSample[];
}

const timeOf = ({ start, intervalSeconds }: Sampling, sample: number) =>
  localTime(new Date(start + sample * intervalSeconds * 1000));

/** What `roc-calc-diskstats` printed, line for line (admin guide, "Analyze Collected Detailed Rate of Change Data"). */
export function summaryText(sampling: Sampling, devices: readonly DeviceRates[]): string {
  const { intervalSeconds, samples } = sampling;
  const steps = Math.max(0, samples.length - 1);
  const raw = [samples[0], samples.at(-1)].map((sample) =>
    (sample?.date ?? '').split(/\s+/).slice(0, 6).join(' '),
  );
  return [
    `Sample start time: ${timeOf(sampling, 0)}`,
    `Sample end time: ${timeOf(sampling, steps)}`,
    `Sample interval: ${intervalSeconds}s #Samples: ${steps} Sample length: ${steps * intervalSeconds}s`,
    `(Raw times from file: ${raw.join(', ')})`,
    `Rate of change for devices ${devices.map(({ device }) => device).join(', ')}`,
    ...devices.map((one) => deviceLine(sampling, one)),
    '',
  ].join('\n');
}

function deviceLine(sampling: Sampling, { device, peak, peakSample, average }: DeviceRates): string {
  const both = (rate: number) => `${size(rate)}B/s (${size(rate * 8)}b/s)`;
  return `${device} peak:${both(peak)} (@ ${timeOf(sampling, peakSample)}) average:${both(average)}`;
}

export function forecastText(sampling: Sampling, bandwidth: string, prediction: Forecast): string {
  const { keepsUp, queueBytesMax, lagSecondsMax, worstSample, queueBytesAtEnd, averageNeeded } = prediction;
  const needed = `the average needs ${size(averageNeeded * 8)}b/s`;
  if (keepsUp) return `Bandwidth ${bandwidth}: keeps up with every sample; ${needed}\n`;
  const queue = `queue up to ${size(queueBytesMax)}B, lag up to ${Math.ceil(lagSecondsMax)} s (@ ${timeOf(sampling, worstSample)})`;
  const end =
    queueBytesAtEnd > 0 ? `; ${size(queueBytesAtEnd)}B still queued at the end` : '; caught up at the end';
  return `Bandwidth ${bandwidth}: does not keep up with the peaks: ${queue}${end}; ${needed}\n`;
}

/** One line per device: its name, then bytes per second at each sample after the first. */
export function csvText(devices: readonly DeviceRates[]): string {
  return devices.map(({ device, rates }) => `${device},${rates.map(csvNumber).join(',')}\n`).join('');
}

const csvNumber = (rate: number) => String(Number(rate.toPrecision(15)));

/** 1 KB is 1,024 bytes, as the old tool counted. */
function size(amount: number): string {
  const prefixes = ['', 'K', 'M', 'G', 'T', 'P'];
  let value = amount;
  let prefix = 0;
  while (value >= 1024 && prefix < prefixes.length - 1) {
    value /= 1024;
    prefix += 1;
  }
  return `${value.toFixed(1)} ${prefixes[prefix]}`;
}

const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const monthNames = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number) => String(value).padStart(2, '0');

/** `Tue Jul 12 23:44:01 2011`, as C and Perl print local time. */
function localTime(date: Date): string {
  const day = `${dayNames[date.getDay()]} ${monthNames[date.getMonth()]} ${String(date.getDate()).padStart(2)}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time} ${date.getFullYear()}`;
}

/** `Tue Jul 12 23:44:01 UTC 2011`, as `date` prints it: what `roc record` writes before each copy. */
export function dateLine(date: Date): string {
  const day = `${dayNames[date.getUTCDay()]} ${monthNames[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)}`;
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  return `${day} ${time} UTC ${date.getUTCFullYear()}`;
}

const levels = '▁▂▃▄▅▆▇█';
const columns = 72;

/** The total over time in one line, each column the peak of its samples, and what the full height means. */
export function terminalChart(devices: readonly DeviceRates[]): string {
  const total = devices.find(({ device }) => device === totalName);
  if (total === undefined || total.rates.length === 0) return '';
  const perColumn = Math.max(1, Math.ceil(total.rates.length / columns));
  const peaks: number[] = [];
  for (let at = 0; at < total.rates.length; at += perColumn) {
    peaks.push(Math.max(...total.rates.slice(at, at + perColumn)));
  }
  const bars = peaks
    .map((rate) => (total.peak === 0 ? '▁' : levels[Math.round((rate / total.peak) * 7)]))
    .join('');
  return `${bars}  ${size(total.peak)}B/s\n`;
}
