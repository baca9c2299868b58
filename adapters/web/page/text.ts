import type { ExposureView } from '../../../projections/exposure.ts';
import type { ResourceStatus, StatusMirror } from '../../../projections/status.ts';
import { ageText, bytesText, secondsText } from '../../../projections/status-text.ts';
import { agentNow } from './store.ts';

/** `21:04:17` in the browser's time zone; the day too where it is another one. */
export function clockText(time: string): string {
  const date = new Date(time);
  const clock = date.toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  return date.toDateString() === new Date(agentNow()).toDateString()
    ? clock
    : `${date.toLocaleDateString([], { year: 'numeric', month: 'short', day: 'numeric' })}, ${clock}`;
}

export const agoText = (time: string, untilMs: number): string => ageText(untilMs - Date.parse(time));

/** `eve#42` */
export function shortEvent(event: string): string {
  const [node, incarnation, sequence] = event.split('/');
  return incarnation === '1' ? `${node}#${sequence}` : event;
}

export const stateWords: Readonly<Record<ResourceStatus, string>> = {
  'in-service': 'in service, protected',
  degraded: 'in service, not protected',
  frozen: 'frozen',
  'awaiting-confirmation': 'waits for confirmation',
  blocked: 'failover blocked',
  'out-of-service': 'out of service',
  conflicted: 'conflicted',
  'split-brain': 'split brain',
};

/** How bad a state is: colour and symbol follow it, and words say it too. */
export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'off';

export const stateTones: Readonly<Record<ResourceStatus, Tone>> = {
  'in-service': 'good',
  degraded: 'warn',
  frozen: 'warn',
  'awaiting-confirmation': 'bad',
  blocked: 'bad',
  'out-of-service': 'off',
  conflicted: 'bad',
  'split-brain': 'bad',
};

export function mirrorWords({ status, connected, congested }: StatusMirror): { words: string; tone: Tone } {
  const cut = connected ? '' : ', disconnected';
  switch (status) {
    case 'fully-operational':
      if (!connected) return { words: 'disconnected', tone: 'warn' };
      return congested ? { words: 'in sync, queue full', tone: 'warn' } : { words: 'in sync', tone: 'good' };
    case 'resyncing':
      return { words: `resyncing${cut}`, tone: 'busy' };
    case 'paused':
      return { words: `paused${cut}`, tone: 'off' };
    case 'out-of-sync':
      return { words: `out of sync${cut}`, tone: 'warn' };
    case 'split-brain':
      return { words: 'split brain', tone: 'bad' };
    default:
      return status satisfies never;
  }
}

/** The code of rule 4 in words. */
const takeoverWords: Readonly<Record<string, string>> = {
  'target-resyncing': 'it is being resynced',
  'target-paused': 'the mirror is paused',
  'target-out-of-sync': 'it may miss writes',
  'target-inconsistent': 'its data is not consistent',
  'target-rewound': 'it is rewound',
  'target-unreachable': 'it cannot be reached',
};

export function takeoverText({ eligible, notEligibleBecause }: StatusMirror): string {
  if (eligible) return 'can take over';
  const why = notEligibleBecause ?? 'unknown';
  return `cannot take over: ${takeoverWords[why] ?? why.replaceAll('-', ' ')}`;
}

/** What would be lost if the source were gone at this moment and this target went on. */
export function exposureText(
  mirror: StatusMirror,
  exposure: ExposureView | undefined,
  nowMs: number,
): string {
  if (exposure?.atRisk) {
    const since = exposure.since === null ? '' : ` for ${agoText(exposure.since, nowMs)}`;
    const dirty = mirror.dirtyRegions === null ? exposure.bytesAtRisk : mirror.dirtyRegions * 65_536;
    const missing =
      dirty === null ? 'nobody has counted what it misses' : `it misses up to ${bytesText(dirty)}`;
    return `no protection${since}; ${missing}`;
  }
  const { behind } = mirror;
  if (mirror.mode !== 'async') return 'nothing would be lost';
  if (behind === null) return 'what is still queued for it would be lost; nobody has counted that';
  if (behind.writes === 0) return 'nothing is queued for it: nothing would be lost';
  return `${behind.writes} writes (${bytesText(behind.bytes)}, ${secondsText(behind.ms)}) would be lost`;
}
