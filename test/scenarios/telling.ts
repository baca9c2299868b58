import type { EventEnvelope } from '../../domain/envelope.ts';
import { parseEnvelopeType } from '../../domain/envelope.ts';

/** What of an event tells a reader what happened; the order is the one in which they are shown. */
const tellingFields = [
  'node',
  'lost',
  'candidate',
  'from',
  'to',
  'source',
  'target',
  'by',
  'victim',
  'survivor',
  'peer',
  'epoch',
  'fstype',
  'mounts',
  'forced',
  'reigns',
  'kind',
  'bytes',
  'mode',
  'priority',
  'why',
  'handedTo',
  'key',
  'value',
  'inSync',
  'away',
  'absent',
  'missing',
  'outOfSync',
  'answer',
  'seconds',
  'default',
  'step',
  'what',
  'blocked',
  'command',
  'code',
  'aheadMs',
  'reason',
  'text',
] as const;

export function eventLine({ node, type, data, subject }: EventEnvelope): string {
  const event = parseEnvelopeType(type)?.event ?? type;
  const about = subject === undefined || subject === mainTag ? '' : ` ${subject}`;
  const fields = tellingFields.flatMap((name) => {
    const value = data[name];
    return tells(name, value, node) ? [`${name}=${shown(value)}`] : [];
  });
  return `${node.padEnd(10)} ${event}${about}  ${fields.join(' ')}`.trimEnd();
}

/** The tag that all scenarios use, unless they say otherwise. */
export const mainTag = 'datarep';

const tells = (name: string, value: unknown, writer: string): boolean =>
  value !== undefined && value !== null && value !== false && !(name === 'node' && value === writer);

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(',');
  if (typeof value === 'string') return /\s/.test(value) ? `"${value}"` : value;
  if (typeof value !== 'object' || value === null) return String(value);
  const { volume, at } = value as { volume?: string; at?: string };
  if (volume !== undefined && at !== undefined) return `${volume}:${at}`;
  const { node, epoch } = value as { node?: string; epoch?: number };
  return node === undefined
    ? `"${(value as { text?: string }).text ?? JSON.stringify(value)}"`
    : `${node}@${epoch}`;
}

/** A reply as REQUIREMENTS 5 has it. */
export interface Reply {
  readonly ok: boolean;
  readonly decider: string;
  readonly refusal?: { readonly code: string; readonly message: string; readonly allowed: readonly string[] };
  readonly error?: string;
  readonly message?: string;
  readonly token?: string;
  readonly loss?: { readonly text: string };
  readonly plan?: readonly {
    readonly source: string;
    readonly target: string;
    readonly kind: string;
    readonly bytes: number | null;
  }[];
}

/** What the person at the keyboard reads. */
export function replyLines(reply: Reply | undefined): string[] {
  if (reply === undefined) return ['no reply'];
  const { ok, decider, refusal, error, message, token } = reply;
  if (ok) return [`ok, decided by ${decider}`, ...planLines(reply)];
  if (refusal === undefined) return [`${error}: ${message}`];
  return [
    `refused by ${decider}: ${refusal.code}`,
    `  ${refusal.message}`,
    ...refusal.allowed.map((sentence) => `  allowed: ${sentence}`),
  ].map((line) => (token === undefined ? line : line.replaceAll(token, 'TOKEN')));
}

function planLines({ plan, loss }: Reply): string[] {
  if (plan === undefined) return [];
  return [
    ...plan.map(
      ({ source, target, kind, bytes }) => `  ${source} → ${target}: ${kind} resync, ${bytes ?? '?'} bytes`,
    ),
    ...(loss ? [`  lost: ${loss.text}`] : []),
  ];
}
