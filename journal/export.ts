import { z } from 'zod';
import { EventEnvelope, parseEnvelopeType, RedactedEnvelope } from '../domain/envelope.ts';
import { ArchiveBase, floorOf } from './archive-base.ts';
import { canonicalJson } from './canonical-json.ts';
import { SignedHeadSchema } from './head-file.ts';
import type { Journal, SignedHead } from './journal.ts';
import { textOf } from './record.ts';

/**
 * An export is NDJSON, a CloudEvent per line: first the signed heads (so that a file that was cut off shows),
 * then every event, log after log. Redacted, the events come without `data` and `salt`; but what they say of the nodes'
 * public keys stays: a head is worth nothing without them.
 */
const headType = 'mirrorkeeper.journal.head.v1';

const HeadLine = z.object({
  specversion: z.literal('1.0'),
  type: z.literal(headType),
  data: SignedHeadSchema,
});

export type ExportLine =
  | { readonly kind: 'base'; readonly base: ArchiveBase }
  | { readonly kind: 'head'; readonly head: SignedHead }
  | { readonly kind: 'event'; readonly event: EventEnvelope }
  | { readonly kind: 'redacted'; readonly event: RedactedEnvelope };

/** Lines, each with its end, a batch at a time. */
export async function* exportLines(journal: Journal, isRedacted: boolean): AsyncGenerator<string> {
  const archived = journal.archived();
  if (archived !== null) yield baseLine(isRedacted ? { ...archived, standing: null } : archived);
  const heads = journal.signedHeads().filter(({ sequence }) => sequence > 0);
  yield heads.map((head) => `${canonicalJson(headLine(head))}\n`).join('');
  for await (const events of storedEvents(journal))
    yield events.map((event) => `${textOf(isRedacted ? redacted(event) : event)}\n`).join('');
}

/** All that is there: after an archiving from the last archived event of each log on. */
export async function* storedEvents(journal: Journal): AsyncGenerator<readonly EventEnvelope[]> {
  for (const log of journal.logs()) {
    const from = floorOf(journal.archived(), log.node, log.incarnation)?.sequence ?? 1;
    yield* journal.read({ ...log, from, to: log.sequence });
  }
}

const baseType = 'mirrorkeeper.journal.base.v1';

const BaseLine = z.object({
  specversion: z.literal('1.0'),
  type: z.literal(baseType),
  data: ArchiveBase,
});

/** First in an archive, and in the exports of what stayed. With its end. */
export const baseLine = (base: ArchiveBase): string =>
  `${canonicalJson({
    specversion: '1.0',
    type: baseType,
    id: `${base.node}/base/${base.base.length}`,
    source: `/mk/${base.cluster}/${base.node}`,
    datacontenttype: 'application/json',
    data: base,
  })}\n`;

const headLine = (head: SignedHead) => ({
  specversion: '1.0',
  type: headType,
  id: `${head.node}/${head.incarnation}/${head.sequence}/head`,
  source: `/mk/${head.node}`,
  datacontenttype: 'application/json',
  data: head,
});

function redacted(event: EventEnvelope): EventEnvelope | RedactedEnvelope {
  const { data: _, salt: __, ...rest } = event;
  return isAboutKeys(event) ? event : rest;
}

const isAboutKeys = ({ type }: EventEnvelope) =>
  ['node.key-added', 'node.key-revoked'].includes(parseEnvelopeType(type)?.event ?? '');

/** Undefined when the line is none of an export. */
export function parseExportLine(line: string): ExportLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const event = EventEnvelope.safeParse(value);
  if (event.success) return { kind: 'event', event: event.data };
  const withoutData = RedactedEnvelope.safeParse(value);
  if (withoutData.success) return { kind: 'redacted', event: withoutData.data };
  const base = BaseLine.safeParse(value);
  if (base.success) return { kind: 'base', base: base.data.data };
  const head = HeadLine.safeParse(value);
  return head.success ? { kind: 'head', head: head.data.data } : undefined;
}
