import {
  comparePositions,
  type EventEnvelope,
  eventId,
  parseSeen,
  type RedactedEnvelope,
} from '../domain/envelope.ts';
import { type ArchiveBase, floorOf } from './archive-base.ts';
import type { EventStore } from './event-store.ts';
import { type Damage, JournalError, type JournalErrorCode, type LogHead } from './journal.ts';
import { allEvents, eventKey, logBounds, parseEventKey } from './keys.ts';
import { decode, hashFault } from './record.ts';

/**
 * Verifies what is stored of a log: checksum, identity, hashes, sequence and chain of each event. A damaged
 * event is reported and passed over, so that one run finds all damage and shows what is good.
 */

/** The stored logs and the last event of each, read without verifying more than that event's checksum. */
export async function storedLogs(store: EventStore): Promise<{ heads: LogHead[]; damage: Damage[] }> {
  const heads: LogHead[] = [];
  const damage: Damage[] = [];
  let below: string = allEvents.lt;
  for (;;) {
    const key = await store.last({ gte: allEvents.gte, lt: below });
    if (key === undefined) break;
    const position = parseEventKey(key);
    below = key;
    if (position === undefined) continue;
    const { node, incarnation } = position;
    const bounds = logBounds(node, incarnation);
    let last = position.sequence;
    for (; last > 0; last -= 1) {
      const fault = await readEvent(store, node, incarnation, last).then(
        (event) => {
          if (event !== undefined) heads.push({ node, incarnation, sequence: last, hash: event.hash });
          return event === undefined ? 'gap' : undefined;
        },
        (error: unknown) => codeOf(error),
      );
      if (fault === undefined) break;
      damage.push(damageAt(fault, node, incarnation, last, last));
    }
    below = bounds.gte;
  }
  return { heads: heads.reverse(), damage };
}

/** Undefined when it is not there. Errors: `bad-checksum`, `bad-chain` (another event in its place). */
export async function readEvent(
  store: EventStore,
  node: string,
  incarnation: number,
  sequence: number,
): Promise<EventEnvelope | undefined> {
  const position = { node, incarnation, sequence };
  const record = await store.get(eventKey(position));
  if (record === undefined) return undefined;
  const event = decode(record);
  if (event === undefined)
    throw new JournalError('bad-checksum', `the checksum of event ${eventId(position)} is wrong`);
  if (event.id !== eventId(position))
    throw new JournalError('bad-chain', `event ${event.id} stands in the place of ${eventId(position)}`);
  return event;
}

/** A log from behind `after` (sequence 0 and hash '' for the whole of it) up to sequence `to`. */
export interface LogPart {
  readonly node: string;
  readonly incarnation: number;
  /** The hash is undefined where the event itself is damaged. */
  readonly after: { readonly sequence: number; readonly hash: string | undefined };
  readonly to: number;
}

/** Before the first event that is stored of a log: the last archived one, or the very first. */
export function startOf(archived: ArchiveBase | null, { node, incarnation }: LogHead): LogPart['after'] {
  const floor = floorOf(archived, node, incarnation);
  if (floor === undefined) return { sequence: 0, hash: '' };
  return { sequence: floor.sequence - 1, hash: floor.sequence === 1 ? '' : undefined };
}

export async function scanLog(store: EventStore, part: LogPart): Promise<Damage[]> {
  const { node, incarnation, to } = part;
  const scan = new LogScan(part);
  const key = (sequence: number) => eventKey({ node, incarnation, sequence });
  while (scan.next <= to) {
    try {
      for await (const batch of store.entries({ gte: key(scan.next), lte: key(to) }))
        for (const [at, record] of batch) scan.take(parseEventKey(at)?.sequence ?? 0, record);
      scan.missingUpTo(to);
    } catch (error) {
      // LevelDB stops at a block it cannot read: single reads find where the readable part goes on.
      const code = codeOf(error);
      for (let isReadable = false; !isReadable && scan.next <= to; ) {
        const record = await store.get(key(scan.next)).catch(() => undefined);
        isReadable = record !== undefined;
        if (record === undefined) scan.unreadable(code);
        else scan.take(scan.next, record);
      }
    }
  }
  return scan.damage;
}

class LogScan {
  readonly damage: Damage[] = [];
  readonly #part: LogPart;
  next: number;
  /** Hash of the event before `next`; undefined when that one was damaged. */
  #previous: string | undefined;

  constructor(part: LogPart) {
    this.#part = part;
    this.next = part.after.sequence + 1;
    this.#previous = part.after.hash;
  }

  take(sequence: number, record: string): void {
    if (sequence > this.next) this.missingUpTo(sequence - 1);
    const fault = this.#faultOf(sequence, record);
    if (fault !== undefined) this.#report(fault.code, fault.from, sequence, fault.message);
    this.next = sequence + 1;
  }

  missingUpTo(sequence: number): void {
    if (sequence < this.next) return;
    this.#report('gap', this.next, sequence);
    this.next = sequence + 1;
    this.#previous = undefined;
  }

  /** The event at `next`. */
  unreadable(code: JournalErrorCode): void {
    this.#report(code, this.next, this.next);
    this.next += 1;
    this.#previous = undefined;
  }

  #faultOf(
    sequence: number,
    record: string,
  ): { code: JournalErrorCode; from: number; message?: string } | undefined {
    const id = eventId({ ...this.#part, sequence });
    const before = this.#previous;
    this.#previous = undefined;
    const event = decode(record);
    if (event === undefined) return { code: 'bad-checksum', from: sequence };
    if (event.id !== id)
      return { code: 'bad-chain', from: sequence, message: `event ${event.id} stands in the place of ${id}` };
    const fault = hashFault(event);
    if (fault !== undefined)
      return { code: 'bad-chain', from: sequence, message: `the ${fault} of event ${id} were changed` };
    this.#previous = event.hash;
    if (before === undefined || followsOn(event, before)) return undefined;
    const from = Math.max(sequence - 1, 1);
    return { code: 'bad-chain', from, message: `event ${id} does not continue the event before it` };
  }

  #report(code: JournalErrorCode, from: number, to: number, message?: string): void {
    const last = this.damage.at(-1);
    const isContinued = message === undefined && last?.code === code && last.to === from - 1;
    if (isContinued) this.damage.pop();
    const first = isContinued ? last.from : from;
    this.damage.push(damageAt(code, this.#part.node, this.#part.incarnation, first, to, message));
  }
}

/**
 * The first event of an incarnation continues an earlier one, named in its `seen` (startIncarnation); every
 * other event continues the one before it.
 */
export const followsOn = (event: RedactedEnvelope, before: string): boolean =>
  event.previous === before || (event.sequence === 1 && event.incarnation > 1 && continuesEarlier(event));

const continuesEarlier = (event: RedactedEnvelope): boolean =>
  event.previous === '' ||
  (parseSeen(event.seen) ?? []).some(
    (head) =>
      head.node === event.node && comparePositions(head, event) < 0 && event.previous.startsWith(head.hash16),
  );

const codeOf = (error: unknown): JournalErrorCode => {
  if (error instanceof JournalError) return error.code;
  throw error;
};

export function damageAt(
  code: JournalErrorCode,
  node: string,
  incarnation: number,
  from: number,
  to: number | undefined,
  message?: string,
): Damage {
  const events =
    to === from
      ? `event ${node}/${incarnation}/${from}`
      : `events ${node}/${incarnation}/${from} to ${to ?? 'its end'}`;
  return { code, node, incarnation, from, to, message: message ?? sentence(code, events) };
}

function sentence(code: JournalErrorCode, events: string): string {
  switch (code) {
    case 'torn-tail':
      return `${events}: the end of the log is lost`;
    case 'gap':
      return `${events}: missing in the middle of the log`;
    case 'bad-checksum':
      return `${events}: the checksum is wrong`;
    case 'bad-chain':
      return `${events}: not what was written`;
    case 'bad-signature':
      return `${events}: the head was not signed by this node's key`;
    case 'head-missing':
      return `${events}: the head kept beside the database is missing, so nobody can tell whether the log is whole`;
    case 'log-missing':
      return `${events}: the log file of the database was deleted`;
    case 'write-failed':
      return `${events}: not written`;
    case 'locked':
      return `${events}: in use by another process`;
    default:
      return code satisfies never;
  }
}
