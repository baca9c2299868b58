import type { AsOf } from './projection.ts';
import type { ResourceStatus, StatusMirror, StatusView } from './status.ts';

/** `status` for people (REQUIREMENTS 5): one line for the resource, one for each mirror. */
export function statusText(view: StatusView, asOf: AsOf, ageMs: number | null): string {
  const rows = view.mirrors.map((mirror) => [mirror.target, mirror.mode, progressText(mirror)] as const);
  const widths = [0, 1, 2].map((column) =>
    Math.max(0, ...rows.map((row) => row[column as 0 | 1 | 2].length)),
  );
  const [nameWidth = 0, modeWidth = 0, progressWidth = 0] = widths;
  const lines = view.mirrors.map((mirror, at) => {
    const [name, mode, progress] = rows[at] ?? ['', '', ''];
    return `  ${name.padEnd(nameWidth + 2)}${mode.padEnd(modeWidth + 2)}${progress.padEnd(progressWidth + 3)}${takeoverText(mirror)}`;
  });
  const mounts = view.device.flatMap(({ volume, mount }) =>
    mount ? [`  ${volume} is mounted at ${mount}`] : [],
  );
  return [headline(view, asOf, ageMs), ...mounts, ...lines].join('\n');
}

function headline(view: StatusView, asOf: AsOf, ageMs: number | null): string {
  const head = headOf(view, asOf);
  const age = ageMs === null ? '' : `, ${ageText(ageMs)} ago`;
  const parts = [
    ...silenceText(view),
    `last owner ${view.lastOwner ?? 'none'}`,
    `epoch ${view.epoch}`,
    ...(head === null ? [] : [`as of ${head}${age}`]),
  ];
  return `${view.tag}  ${stateText(view)}   ${parts.join('   ')}`;
}

/** Who serves, or did last, and may do so still: nobody has heard it. */
function silenceText({ nodes, sources, lastOwner }: StatusView): string[] {
  const concerned = sources.length > 0 ? sources : [lastOwner];
  return nodes
    .filter(({ node, alive }) => !alive && concerned.includes(node))
    .map(
      ({ node, heardMsAgo }) =>
        `${node} not heard${heardMsAgo === undefined ? '' : ` for ${ageText(heardMsAgo)}`}`,
    );
}

/** `eve#1042`: the last event of the node that knows most about the resource. */
function headOf({ source, lastOwner }: StatusView, { heads }: AsOf): string | null {
  const known = Object.keys(heads);
  const node = [source, lastOwner, ...known].find((name) => name !== null && heads[name] !== undefined);
  return node == null ? null : `${node}#${heads[node]?.[1]}`;
}

const stateSentences: Readonly<Record<ResourceStatus, string>> = {
  'in-service': 'in service',
  degraded: 'degraded',
  frozen: 'frozen',
  'awaiting-confirmation': 'awaiting confirmation of the failover',
  blocked: 'failover blocked',
  'out-of-service': 'out of service',
  conflicted: 'conflicted',
  'split-brain': 'split brain',
};

function stateText({ state, sources }: StatusView): string {
  const sentence = stateSentences[state];
  const on = sources.length === 0 || state === 'out-of-service' ? '' : ` on ${sources.join(' and ')}`;
  return `${sentence}${on}`;
}

function progressText(mirror: StatusMirror): string {
  const disconnected = mirror.connected ? '' : ', disconnected';
  switch (mirror.status) {
    case 'fully-operational':
      return `up to date${disconnected}`;
    case 'resyncing':
      return ['resyncing', ...resyncParts(mirror)].join('').trimEnd();
    case 'paused':
      return `paused${disconnected}`;
    case 'out-of-sync':
      return `out of sync${disconnected}`;
    case 'split-brain':
      return 'split brain';
    default:
      return mirror.status satisfies never;
  }
}

function resyncParts({ percent, speedBytesPerSecond, etaSeconds }: StatusMirror): string[] {
  return [
    percent === null ? '' : ` ${Math.floor(percent)}%`,
    speedBytesPerSecond === null ? '' : `  ${bytesText(speedBytesPerSecond)}/s`,
    etaSeconds === null ? '' : `  ${durationText(etaSeconds)}`,
  ];
}

function takeoverText({ eligible, notEligibleBecause, behind, congested }: StatusMirror): string {
  const because = notEligibleBecause?.replace(/^target-/, '').replaceAll('-', ' ');
  const parts = [
    eligible ? 'can take over' : `cannot take over: ${because ?? 'unknown'}`,
    ...(behind === null || behind.writes === 0
      ? []
      : [`behind ${behind.writes} writes, ${bytesText(behind.bytes)}, ${secondsText(behind.ms)}`]),
    ...(congested ? ['congested'] : []),
  ];
  return parts.join('; ');
}

/** 1 kB is 1,000 bytes. */
export function bytesText(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `0:03:12` */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export const secondsText = (ms: number) =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;

/** `0.4 s`, `12 s`, `5 min`, `3 h`, `2 d` */
export function ageText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
