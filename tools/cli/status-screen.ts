import type { StatusMirror } from '../../projections/status.ts';
import { bytesText, statusText } from '../../projections/status-text.ts';
import type { Status } from './status-query.ts';

/** Pure: the lines of `status`, and those of `status --watch` with a bar for each resync. */
export function statusLines(status: readonly Status[], nowMs: number | null): string[] {
  if (status.length === 0) return ['no resource is protected yet: mirrorkeeper create --help'];
  return status.flatMap((one) => [
    ...statusText(one, one.asOf, ageMs(one, nowMs)).split('\n'),
    ...devices(one),
  ]);
}

export function watchLines(status: readonly Status[], nowMs: number, columns: number): string[] {
  const bars = status.flatMap((one) =>
    one.mirrors.filter((mirror) => mirror.status === 'resyncing').map((mirror) => barLine(one.tag, mirror)),
  );
  const lines = [...statusLines(status, nowMs), ...(bars.length === 0 ? [] : ['', ...bars])];
  return lines.map((line) => line.slice(0, columns - 1));
}

const devices = ({ device }: Status): string[] =>
  device.map(({ volume, uri }) => `  device     ${volume}  ${uri}`);

function ageMs({ asOf }: Status, nowMs: number | null): number | null {
  return nowMs === null || asOf.time === null ? null : Math.max(0, nowMs - Date.parse(asOf.time));
}

const barWidth = 30;

/** `datarep-ext3 -> adam  [=========>                    ]  33%  48 MB/s  0:03:12` */
function barLine(tag: string, { target, percent, speedBytesPerSecond, etaSeconds }: StatusMirror): string {
  const whole = Math.min(100, Math.max(0, Math.floor(percent ?? 0)));
  const filled = Math.floor((whole / 100) * barWidth);
  const arrow = whole === 100 ? '='.repeat(barWidth) : `${'='.repeat(filled)}>`.slice(0, barWidth);
  const speed = speedBytesPerSecond === null ? '' : `  ${bytesText(speedBytesPerSecond)}/s`;
  const eta = etaSeconds === null ? '' : `  ${clock(etaSeconds)}`;
  return `${tag} -> ${target}  [${arrow.padEnd(barWidth)}] ${String(whole).padStart(3)}%${speed}${eta}`;
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}
