import { type DeviceRates, totalName } from '../domain/rate-of-change.ts';
import type { Sampling } from './roc-text.ts';

const width = 960;
const height = 360;
const left = 80;
const bottom = 40;
const top = 20;
const right = 20;

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => escapes[character] ?? '');

/** The total's rate of change over time as SVG, with the bandwidth as a line where one is given (bytes per second). */
export function svgChart(
  { intervalSeconds, start, samples }: Sampling,
  devices: readonly DeviceRates[],
  bandwidth: number | null,
): string {
  const total = devices.find(({ device }) => device === totalName);
  const rates = total?.rates ?? [];
  const highest = Math.max(1, bandwidth ?? 0, total?.peak ?? 0);
  const x = (step: number) => round(left + (step / Math.max(1, rates.length)) * (width - left - right));
  const y = (rate: number) => round(height - bottom - (rate / highest) * (height - top - bottom));
  const path = rates
    .map((rate, step) => `${step === 0 ? 'M' : 'L'}${x(step)},${y(rate)} H${x(step + 1)}`)
    .join(' ');
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => part * highest);
  const end = start + Math.max(0, samples.length - 1) * intervalSeconds * 1000;
  const line =
    bandwidth === null
      ? []
      : [
          `<line x1="${left}" x2="${width - right}" y1="${y(bandwidth)}" y2="${y(bandwidth)}" stroke="#c0392b" stroke-dasharray="6 4"/>`,
          text(width - right, y(bandwidth) - 6, 'end', `bandwidth ${megabits(bandwidth)}`),
        ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Rate of change</title>',
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...marks.flatMap((mark) => [
      `<line x1="${left}" x2="${width - right}" y1="${y(mark)}" y2="${y(mark)}" stroke="#dddddd"/>`,
      text(left - 8, y(mark) + 4, 'end', megabits(mark)),
    ]),
    `<path d="${path}" fill="none" stroke="#2471a3" stroke-width="1.5"/>`,
    ...line,
    text(left, height - 12, 'start', new Date(start).toISOString()),
    text(width - right, height - 12, 'end', new Date(end).toISOString()),
    '</svg>',
    '',
  ].join('\n');
}

const round = (value: number) => Math.round(value * 10) / 10;
const megabits = (bytesPerSecond: number) => `${round((bytesPerSecond * 8) / 1e6)} Mb/s`;
const text = (x: number, y: number, anchor: 'start' | 'end', content: string) =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(content)}</text>`;
