import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../tools/program.ts';
import { recordSample, rocCommand } from '../../tools/roc.ts';

const folder = mkdtempSync(join(tmpdir(), 'mirrorkeeper-roc-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const counters = [
  [1000, 4_000_000],
  [91_000, 4_700_000],
  [91_000, 4_700_010],
  [96_000, 4_790_010],
  [796_000, 4_790_010],
];
const copies = counters
  .map(
    ([sda, dm4], at) =>
      `Fri Jul 22 16:${String(4 + 2 * at).padStart(2, '0')}:01 EST 2011
   8       0 sda 10 0 20 5 20 0 ${sda} 9 0 4 6
 253       4 dm-4 10 0 20 5 20 0 ${dm4} 9 0 4 6 0 0 0 0
  43       0 nbd0 10 0 20 5 20 0 0 9 0 4 6 0 0 0 0 0 0
`,
  )
  .join('');
const file = join(folder, 'diskstats.txt');
writeFileSync(file, copies);

async function roc(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const output = {
    out: async (text: string) => {
      out += text;
    },
    err: (line: string) => {
      err += `${line}\n`;
    },
  };
  const code = await runProgram([rocCommand(output)], ['roc', ...args], output);
  return { code, out, err };
}

const start = 'Jul 22 2011 16:04:01';

/** What the admin guide's `roc-calc-diskstats` printed for this file (run with perl 5). */
const oldSummary = `Sample start time: Fri Jul 22 16:04:01 2011
Sample end time: Fri Jul 22 16:12:01 2011
Sample interval: 120s #Samples: 4 Sample length: 480s
(Raw times from file: Fri Jul 22 16:04:01 EST 2011, Fri Jul 22 16:12:01 EST 2011)
Rate of change for devices dm-4, nbd0, sda, total
dm-4 peak:2.8 MB/s (22.8 Mb/s) (@ Fri Jul 22 16:06:01 2011) average:822.9 KB/s (6.4 Mb/s)
nbd0 peak:0.0 B/s (0.0 b/s) (@ Fri Jul 22 16:04:01 2011) average:0.0 B/s (0.0 b/s)
sda peak:2.8 MB/s (22.8 Mb/s) (@ Fri Jul 22 16:12:01 2011) average:828.1 KB/s (6.5 Mb/s)
total peak:3.2 MB/s (25.7 Mb/s) (@ Fri Jul 22 16:06:01 2011) average:1.6 MB/s (12.9 Mb/s)
`;
const oldCsv = `dm-4,2986666.66666667,42.6666666666667,384000,0
nbd0,0,0,0,0
sda,384000,0,21333.3333333333,2986666.66666667
total,3370666.66666667,42.6666666666667,405333.333333333,2986666.66666667
`;

describe('roc', () => {
  it('prints the summary that roc-calc-diskstats printed, and its CSV to standard error', async () => {
    expect(await roc('2m', start, file)).toEqual({ code: 0, out: oldSummary, err: '' });
    expect(await roc('120', start, file, '--csv')).toEqual({ code: 0, out: oldSummary, err: oldCsv });
  });

  it('counts only the devices that are named', async () => {
    const { out } = await roc('2m', start, file, 'sda,nbd0');
    expect(out).toContain('Rate of change for devices nbd0, sda, total\n');
    expect(out).toContain('total peak:2.8 MB/s (22.8 Mb/s) (@ Fri Jul 22 16:12:01 2011) average:828.1 KB/s');
  });

  it('says whether a bandwidth keeps up, and how far a mirror would lag', async () => {
    expect((await roc('2m', start, file, '--bandwidth', '45Mb')).out).toContain(
      '\nBandwidth 45Mb: keeps up with every sample; the average needs 12.9 Mb/s\n',
    );
    expect((await roc('2m', start, file, '--bandwidth', '20Mb')).out).toContain(
      '\nBandwidth 20Mb: does not keep up with the peaks: queue up to 99.6 MB, lag up to 42 s (@ Fri Jul 22 16:06:01 2011); 55.7 MB still queued at the end; the average needs 12.9 Mb/s\n',
    );
  });

  it('draws the total: as SVG with the bandwidth in it, and in the terminal', async () => {
    const chart = join(folder, 'chart.svg');
    expect(await roc('2m', start, file, '--chart', chart, '--bandwidth', '20Mb')).toMatchObject({ code: 0 });
    const svg = readFileSync(chart, 'utf8');
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"[\s\S]*<\/svg>\n$/);
    expect(svg).toContain('>bandwidth 20 Mb/s</text>');
    expect(svg.match(/ H/g)).toHaveLength(4);
    expect((await roc('2m', start, file, '--chart', '-')).out).toContain('\n█▁▂▇  3.2 MB/s\n');
  });

  it.each([
    ['an interval that is none', ['soon', start, file], '"soon" is no interval'],
    ['a time that is none', ['2m', 'the day after never', file], 'is no time that `date` knows'],
    ['a file that is not there', ['2m', start, join(folder, 'none')], 'cannot be read: ENOENT'],
    ['a device that is not in it', ['2m', start, file, 'sdz'], 'has no sdz'],
    ['a bandwidth that is none', ['2m', start, file, '--bandwidth', 'fast'], '"fast" is no bandwidth'],
    ['a missing argument', ['2m', start], "missing required argument 'file'"],
  ])('refuses %s with one sentence', async (_, args, sentence) => {
    const { code, out, err } = await roc(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(sentence);
  });

  it('a single copy gives no rate', async () => {
    const single = join(folder, 'single.txt');
    writeFileSync(single, copies.split('\n').slice(0, 4).join('\n'));
    expect(await roc('2m', start, single)).toMatchObject({ code: 2, out: '' });
  });

  it('record adds copies that roc reads', async () => {
    const recorded = join(folder, 'recorded.txt');
    const statistics = join(folder, 'statistics');
    for (const [at, sectors] of [0, 200, 600].entries()) {
      writeFileSync(statistics, `   8       0 sda 10 0 20 5 20 0 ${sectors} 9 0 4 6\n`);
      await recordSample(recorded, new Date(Date.UTC(2011, 6, 2, 16, 4, at)), statistics);
    }
    expect(readFileSync(recorded, 'utf8').split('\n')[0]).toBe('Sat Jul  2 16:04:00 UTC 2011');
    expect((await roc('1s', start, recorded)).out).toContain('sda peak:200.0 KB/s (1.6 Mb/s)');
  });

  it('record copies the statistics of this machine', async () => {
    const recorded = join(folder, 'here.txt');
    await recordSample(recorded, new Date());
    await recordSample(recorded, new Date());
    expect((await roc('1s', start, recorded)).out).toContain('#Samples: 1 ');
  });
});

/**
 * The same example computed by another program in another language: sectors from copy to copy, a 32-bit counter that
 * wraps, a device that appears half-way, and a queue behind a link of 1 MB/s.
 */
const independently = `
/^Fri/ { n += 1; next }
{ at[$3, n] = $10; seen[$3] = 1 }
END {
  for (device in seen) for (i = 2; i <= n; i += 1) if ((device, i - 1) in at) {
    sectors = at[device, i] - at[device, i - 1]
    if (sectors < 0) sectors += 4294967296
    total[i] += sectors * 512; sum[device] += sectors * 512; count[device] += 1
  }
  for (device in seen) printf "%s %.3f\\n", device, sum[device] / count[device] / 120
  for (i = 2; i <= n; i += 1) {
    all += total[i]; queue += total[i] - 1000000 * 120; if (queue < 0) queue = 0
    if (queue > longest) longest = queue
  }
  printf "total %.3f\\nqueue %.0f\\nlag %d\\n", all / (n - 1) / 120, longest, int(longest / 1000000 + 0.999999)
}`;

it('gives the figures of an independently computed example, with a wrap and a device that appears half-way', async () => {
  const wrapping = [4_294_800_000, 4_294_900_000, 100_000, 500_000, 600_000];
  const late = [undefined, undefined, 7000, 907_000, 1_507_000];
  const input = join(folder, 'independent.txt');
  const lineOf = (device: string, sectors: number | undefined) =>
    sectors === undefined ? '' : `   8       0 ${device} 10 0 20 5 20 0 ${sectors} 9 0 4 6\n`;
  writeFileSync(
    input,
    wrapping
      .map(
        (sectors, at) =>
          `Fri Jul 22 16:0${at * 2}:01 UTC 2011\n${lineOf('sda', sectors)}${lineOf('sdb', late[at])}`,
      )
      .join(''),
  );
  const computed = execFileSync('awk', [independently, input], { encoding: 'utf8' });
  const figures = new Map(
    computed
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );

  const { out, err } = await roc('2m', start, input, '--csv', '--bandwidth', '8Mb');
  for (const device of ['sda', 'sdb', 'total']) {
    const line = out.split('\n').find((one) => one.startsWith(`${device} peak:`)) ?? '';
    const [, amount = '', prefix = ''] = /average:([\d.]+) ([KM]?)B\/s/.exec(line) ?? [];
    const unit = { '': 1, K: 1024, M: 1024 ** 2 }[prefix] ?? Number.NaN;
    expect(Math.abs(Number(amount) * unit - Number(figures.get(device)))).toBeLessThanOrEqual(0.051 * unit);
  }
  expect(err).toContain('sdb,0,0,');
  const queued = `${(Number(figures.get('queue')) / 1024 ** 2).toFixed(1)} MB`;
  expect(out).toContain(`queue up to ${queued}, lag up to ${figures.get('lag')} s`);
});
