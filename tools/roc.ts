import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Command } from 'commander';
import {
  type DiskSample,
  DiskSamples,
  forecast,
  parseBandwidth,
  parseInterval,
  ratesOfChange,
  totalName,
} from '../domain/rate-of-change.ts';
import { Exit, exitCodes, type Output, shortened } from './program.ts';
import { svgChart } from './roc-chart.ts';
import { csvText, dateLine, forecastText, type Sampling, summaryText, terminalChart } from './roc-text.ts';

const run = promisify(execFile);

interface RocOptions {
  readonly csv?: true;
  readonly chart?: string;
  readonly bandwidth?: string;
}

/** `mirrorkeeper roc …` (REQUIREMENTS 2.13): what `roc-calc-diskstats` did, and whether a bandwidth would keep up. */
export function rocCommand(output: Output): Command {
  const roc = new Command('roc')
    .description('rate of change of disks, from timestamped copies of /proc/diskstats')
    .argument('<interval>', 'from one copy to the next: 120, 2m, 1hour')
    .argument('<start>', 'time of the first copy, as `date --date` takes it')
    .argument('<file>', 'the copies: ( date ; cat /proc/diskstats ) >> FILE, by cron or by `roc record`')
    .argument('[devices]', 'only these, separated by commas')
    .option('--csv', 'bytes per second of each sample, to standard error')
    .option('--chart <file>', 'the total over time as SVG; - draws it in the terminal')
    .option('--bandwidth <rate>', 'would this keep up? e.g. 45Mb')
    .addHelpText('after', '\nExample: mirrorkeeper roc 2m "Jul 22 16:04:01" /root/diskstats.txt sdb1,sdb2')
    .action(
      (interval: string, start: string, file: string, devices: string | undefined, options: RocOptions) =>
        analyze({ interval, start, file, devices: devices ?? '' }, options, output),
    );
  roc
    .command('record')
    .description('adds a timestamped copy of /proc/diskstats to a file at each interval, until it is stopped')
    .argument('<file>')
    .argument('[interval]', '120, 2m, 1hour', '2m')
    .action((file: string, interval: string) => record(file, secondsOf(interval)));
  return roc;
}

interface RocArguments {
  readonly interval: string;
  readonly start: string;
  readonly file: string;
  readonly devices: string;
}

async function analyze(args: RocArguments, options: RocOptions, output: Output): Promise<void> {
  const intervalSeconds = secondsOf(args.interval);
  const bandwidth = options.bandwidth === undefined ? null : bandwidthOf(options.bandwidth);
  const start = await momentOf(args.start);
  const devices = args.devices.split(',').filter((device) => device !== '');
  const samples = await readSamples(args.file, devices);
  if (samples.length < 2) {
    throw new Exit(
      exitCodes.usage,
      `${shortened(args.file)} holds ${samples.length} samples; a rate takes two`,
    );
  }
  const missing = devices.filter((device) => !samples.some(({ sectors }) => sectors.has(device)));
  if (missing.length > 0)
    throw new Exit(exitCodes.usage, `${shortened(args.file)} has no ${missing.join(', ')}`);
  const sampling: Sampling = { intervalSeconds, start, samples };
  const rates = ratesOfChange(samples, intervalSeconds);
  const total = rates.find(({ device }) => device === totalName);

  await output.out(summaryText(sampling, rates));
  if (bandwidth !== null && total !== undefined) {
    const prediction = forecast(total, intervalSeconds, bandwidth);
    await output.out(forecastText(sampling, options.bandwidth ?? '', prediction));
  }
  if (options.csv) output.err(csvText(rates).trimEnd());
  if (options.chart === '-') await output.out(terminalChart(rates));
  else if (options.chart !== undefined) await writeFile(options.chart, svgChart(sampling, rates, bandwidth));
}

function secondsOf(interval: string): number {
  const seconds = parseInterval(interval);
  if (seconds === undefined)
    throw new Exit(exitCodes.usage, `"${shortened(interval)}" is no interval: 120, 2m, 1hour`);
  return seconds;
}

function bandwidthOf(text: string): number {
  const bytesPerSecond = parseBandwidth(text);
  if (bytesPerSecond === undefined) {
    throw new Exit(
      exitCodes.usage,
      `"${shortened(text)}" is no bandwidth: 45Mb (bits) or 5MB (bytes) a second`,
    );
  }
  return bytesPerSecond;
}

/** Dates are read by `date`, as the old tool did: it knows every spelling. */
async function momentOf(text: string): Promise<number> {
  const { stdout } = await run('date', ['+%s', `--date=${text}`]).catch(() => ({ stdout: '' }));
  const seconds = Number.parseInt(stdout, 10);
  if (Number.isNaN(seconds))
    throw new Exit(exitCodes.usage, `"${shortened(text)}" is no time that \`date\` knows`);
  return seconds * 1000;
}

async function readSamples(file: string, devices: readonly string[]): Promise<readonly DiskSample[]> {
  const read = new DiskSamples(devices);
  try {
    for await (const line of createInterface({ input: createReadStream(file) })) read.take(line);
  } catch (error) {
    throw new Exit(exitCodes.usage, `${shortened(file)} cannot be read: ${(error as Error).message}`);
  }
  return read.samples;
}

/** Adds one copy: the date, then the statistics as they stand. */
export async function recordSample(file: string, now: Date, statistics = '/proc/diskstats'): Promise<void> {
  await appendFile(file, `${dateLine(now)}\n${await readFile(statistics, 'utf8')}`);
}

/** Until the process is stopped; an error to write ends it. */
async function record(file: string, intervalSeconds: number): Promise<void> {
  await recordSample(file, new Date());
  await new Promise<never>((_, failed) => {
    setInterval(() => void recordSample(file, new Date()).catch(failed), intervalSeconds * 1000);
  });
}
