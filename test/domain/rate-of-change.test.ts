import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DeviceRates,
  DiskSamples,
  forecast,
  parseBandwidth,
  parseDiskLine,
  parseInterval,
  ratesOfChange,
} from '../../domain/rate-of-change.ts';

const line = (device: string, sectors: number) => `   8       0 ${device} 10 0 20 5 20 0 ${sectors} 9 0 4 6`;

/** One sample per row: sectors written by device; undefined where the device is not there. */
function samplesOf(rows: readonly Record<string, number | undefined>[], devices: readonly string[] = []) {
  const read = new DiskSamples(devices);
  for (const [at, row] of rows.entries()) {
    read.take(`Fri Jul 22 16:0${at}:01 UTC 2011`);
    for (const [device, sectors] of Object.entries(row)) {
      if (sectors !== undefined) read.take(line(device, sectors));
    }
  }
  return read.samples;
}

function ratesFor(rows: readonly Record<string, number | undefined>[], device: string): DeviceRates {
  const found = ratesOfChange(samplesOf(rows), 10).find((one) => one.device === device);
  if (found === undefined) throw new Error(`no ${device}`);
  return found;
}

describe('a line of /proc/diskstats', () => {
  it.each([
    ['2.6 before 2.6.25, a partition', '   8    1 sda1 100 800 200 1600', 1600],
    ['2.6.25 to 4.17', '   8    1 sda1 100 0 800 5 200 0 1600 9 0 4 6', 1600],
    ['4.18, with discards', '   8    1 sda1 100 0 800 5 200 0 1600 9 0 4 6 1 2 3 4', 1600],
    ['5.5 to 6.x, with flushes', ' 259   1 nvme0n1p1 100 0 800 5 200 0 1600 9 0 4 6 1 2 3 4 5 6', 1600],
  ])('of Linux %s', (_, text, sectors) => {
    expect(parseDiskLine(text.trim())?.sectors).toBe(sectors);
  });

  it.each([
    'Fri Jul 22 16:04:01 UTC 2011',
    '2026-11-20T18:54:16+00:00',
    'Fr 22. Jul 16:04:01 CEST 2011',
    '8 0 sda',
  ])('is not: %s', (text) => {
    expect(parseDiskLine(text)).toBeUndefined();
  });
});

describe('samples', () => {
  it('are told apart by their date lines, in any language', () => {
    const read = new DiskSamples([]);
    for (const text of [
      'Fr 22. Jul 16:04:01 CEST 2011',
      line('sda', 1),
      '',
      'ven. juil. 22',
      line('sda', 2),
    ]) {
      read.take(text);
    }
    expect(read.samples.map(({ date, sectors }) => [date, sectors.get('sda')])).toEqual([
      ['Fr 22. Jul 16:04:01 CEST 2011', 1],
      ['ven. juil. 22', 2],
    ]);
  });

  it('without date lines begin where a device comes up again', () => {
    const read = new DiskSamples(['sdb']);
    for (const text of [line('sda', 1), line('sdb', 2), line('sda', 3), line('sdb', 4)]) read.take(text);
    expect(read.samples.map(({ sectors }) => [...sectors])).toEqual([[['sdb', 2]], [['sdb', 4]]]);
  });

  it('a date with nothing behind it is none', () => {
    const read = new DiskSamples([]);
    for (const text of ['Fri 1', 'Fri 2', line('sda', 1), 'Fri 3']) read.take(text);
    expect(read.samples.map(({ date }) => date)).toEqual(['Fri 2']);
  });
});

describe('the rate of change', () => {
  it('is bytes per second, with the first highest one as the peak', () => {
    const rows = [{ sda: 100 }, { sda: 300 }, { sda: 300 }, { sda: 500 }];
    expect(ratesFor(rows, 'sda')).toEqual({
      device: 'sda',
      rates: [10_240, 0, 10_240],
      peak: 10_240,
      peakSample: 1,
      average: (400 * 512) / 30,
    });
  });

  it('goes on over a 32-bit counter that wraps', () => {
    const rows = [{ sda: 2 ** 32 - 100 }, { sda: 100 }];
    expect(ratesFor(rows, 'sda').rates).toEqual([10_240]);
  });

  it('counts from 0 where the machine was started anew', () => {
    const rows = [{ sda: 5000 }, { sda: 200 }, { sda: 400 }];
    const { rates, average } = ratesFor(rows, 'sda');
    expect(rates).toEqual([10_240, 10_240]);
    expect(average).toBe(10_240);
  });

  it('of a device that appears half-way begins there, and the total adds what happened at one moment', () => {
    const rows = [{ sda: 0 }, { sda: 200 }, { sda: 200, sdb: 1_000_000 }, { sda: 400, sdb: 1_000_200 }];
    expect(ratesFor(rows, 'sdb')).toMatchObject({ rates: [0, 0, 10_240], peakSample: 3, average: 10_240 });
    expect(ratesFor(rows, 'total').rates).toEqual([10_240, 0, 20_480]);
  });

  it('of a device that was away is spread over the samples in which it was', () => {
    const rows = [{ sda: 0 }, { sdb: 1 }, { sda: 400 }];
    expect(ratesFor(rows, 'sda').rates).toEqual([10_240, 10_240]);
  });

  it('no byte gets lost or comes up: the rates times the interval are what the counters grew by', () => {
    const growth = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(growth, growth, (a, b) => {
        const counters = (steps: readonly number[]) =>
          steps.map((_, at) => steps.slice(0, at + 1).reduce((x, y) => x + y));
        const [sda, sdb] = [counters(a), counters(b)];
        const rows = Array.from({ length: Math.max(a.length, b.length) }, (_, at) => ({
          sda: sda[at],
          sdb: sdb[at],
        }));
        const grown = (counter: readonly number[]) => ((counter.at(-1) ?? 0) - (counter[0] ?? 0)) * 512;
        const total = ratesOfChange(samplesOf(rows), 7).find(({ device }) => device === 'total');
        const bytes = (total?.rates ?? []).reduce((sum, rate) => sum + rate * 7, 0);
        expect(bytes).toBeCloseTo(grown(sda) + grown(sdb), 0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the forecast for a bandwidth', () => {
  const rates = (values: readonly number[]): DeviceRates => ({
    device: 'total',
    rates: values,
    peak: Math.max(...values),
    peakSample: 0,
    average: values.reduce((sum, value) => sum + value, 0) / values.length,
  });

  it('keeps up where no sample needs more', () => {
    expect(forecast(rates([100, 50]), 10, 100)).toMatchObject({
      keepsUp: true,
      queueBytesMax: 0,
      lagSecondsMax: 0,
    });
  });

  it('a peak fills the queue, and what comes later empties it', () => {
    expect(forecast(rates([300, 0, 0, 150]), 10, 100)).toEqual({
      keepsUp: false,
      queueBytesMax: 2000,
      lagSecondsMax: 20,
      worstSample: 1,
      queueBytesAtEnd: 500,
      averageNeeded: 112.5,
    });
  });
});

describe('what an operator types', () => {
  it.each([
    ['120', 120],
    ['2m', 120],
    ['1hour', 3600],
    ['1d', 86_400],
    ['30sec', 30],
    ['0', undefined],
    ['2x', undefined],
    ['soon', undefined],
    ['', undefined],
  ])('the interval %j', (text, seconds) => {
    expect(parseInterval(text)).toBe(seconds);
  });

  it.each([
    ['45Mb', 5_625_000],
    ['1.5Mbps', 187_500],
    ['5MB', 5_000_000],
    ['1Gb/s', 125_000_000],
    ['800b', 100],
    ['0Mb', undefined],
    ['45', undefined],
    ['fast', undefined],
  ])('the bandwidth %j', (text, bytesPerSecond) => {
    expect(parseBandwidth(text)).toBe(bytesPerSecond);
  });
});
