import type { MirrorStatus } from '../domain/state.ts';
import type { Mode } from '../domain/vocabulary.ts';
import type { StatusMirror, StatusView } from './status.ts';

/**
 * `mirror_status TAG` as it always looked (admin guide, "Monitoring Mirror Status via Command Line"). `dirtyRegions`
 * counts the set bits of the source's intent logs together; null where no bitmap is kept.
 */
export function mirrorStatusText(view: StatusView, dirtyRegions: number | null): string {
  const regions = Math.max(0, ...view.mirrors.map((mirror) => mirror.regions));
  const lines = [...view.mirrors.flatMap(mirrorLines), bitmapLine(regions, dirtyRegions)];
  return `${lines.join('\n\n')}\n`;
}

const statusNames: Readonly<Record<MirrorStatus, string>> = {
  'fully-operational': 'Fully Operational',
  paused: 'Paused',
  resyncing: 'Resynchronizing',
  'out-of-sync': 'Out Of Sync',
  'split-brain': 'Split Brain',
};

const typeNames: Readonly<Record<Mode, string>> = {
  sync: 'Synchronous',
  'memory-sync': 'Memory Synchronous',
  async: 'Asynchronous',
};

function mirrorLines(mirror: StatusMirror): string[] {
  const { source, target, status, mode, percent, speedBytesPerSecond } = mirror;
  const resync =
    status === 'resyncing'
      ? [`    ${bar(percent ?? 0)}`, `    Resync Speed: ${speed(speedBytesPerSecond ?? 0)}`]
      : [];
  return [
    `[-] ${source} -> ${target}`,
    `  Status: ${statusNames[status]}`,
    ...resync,
    `  Type: ${typeNames[mode]}`,
  ];
}

const barWidth = 5;

/** `[=>   ] 11%`: five places, the arrow's head before the part that is still to come. */
function bar(percent: number): string {
  const whole = Math.min(100, Math.max(0, Math.floor(percent)));
  const filled = Math.ceil((whole / 100) * barWidth);
  const arrow = whole === 100 ? '='.repeat(barWidth) : `${'='.repeat(Math.min(filled, barWidth - 1))}>`;
  return `[${arrow.padEnd(barWidth)}] ${whole}%`;
}

const speed = (bytesPerSecond: number) => `${Math.round(bytesPerSecond / 1024)}K/sec`;

function bitmapLine(bits: number, dirty: number | null): string {
  if (dirty === null) return 'Bitmap: none';
  const percent = bits === 0 ? 0 : (100 * dirty) / bits;
  return `Bitmap: ${bits} bits (chunks), ${dirty} dirty (${percent.toFixed(1)}%)`;
}
