import {
  comparePositions,
  type EventEnvelope,
  type EventPosition,
  eventId,
  type Heads,
} from '../domain/envelope.ts';
import { type ArchiveBase, floorOf } from './archive-base.ts';
import type { EventStore } from './event-store.ts';
import { type EventRange, JournalError, type LogHead } from './journal.ts';
import { eventKey } from './keys.ts';
import { decode } from './record.ts';

/**
 * In order; what is good before a damaged event is yielded before the error is thrown.
 * Errors: `gap`, `bad-checksum`, `bad-chain` (another event in its place).
 */
export async function* readRange(
  store: EventStore,
  { node, incarnation, from, to }: EventRange,
): AsyncGenerator<readonly EventEnvelope[]> {
  let sequence = from;
  for await (const records of recordsOf(store, { node, incarnation, from, to })) {
    const { events, fault } = decodeRun(records, node, incarnation, sequence);
    sequence += events.length;
    if (events.length > 0) yield events;
    if (fault !== undefined) throw fault;
  }
  if (sequence <= to)
    throw new JournalError('gap', `event ${eventId({ node, incarnation, sequence })} is missing`);
}

async function* recordsOf(store: EventStore, range: EventRange): AsyncGenerator<readonly string[]> {
  const { from, to } = range;
  const key = (sequence: number) => eventKey({ ...range, sequence });
  let count = 0;
  try {
    for await (const records of store.values({ gte: key(from), lte: key(to) })) {
      yield records;
      count += records.length;
    }
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    // LevelDB gives up a whole batch for one block that it cannot read: single reads get the rest of it.
    for (let sequence = from + count; sequence <= to; sequence += 1) {
      const record = await store.get(key(sequence));
      if (record === undefined) return;
      yield [record];
    }
  }
}

function decodeRun(records: readonly string[], node: string, incarnation: number, first: number) {
  const events: EventEnvelope[] = [];
  for (const record of records) {
    const sequence = first + events.length;
    const event = decode(record);
    if (event?.sequence !== sequence || event.incarnation !== incarnation || event.node !== node)
      return { events, fault: faultOf(event, { node, incarnation, sequence }) };
    events.push(event);
  }
  return { events, fault: undefined };
}

function faultOf(event: EventEnvelope | undefined, expected: EventPosition): JournalError {
  const id = eventId(expected);
  if (event === undefined) return new JournalError('bad-checksum', `the checksum of event ${id} is wrong`);
  const code = event.sequence > expected.sequence ? 'gap' : 'bad-chain';
  return new JournalError(code, `event ${event.id} stands where ${id} is expected`);
}

/** Log after log, each from behind `after`, and from behind what is archived, to its head. */
export async function* replayLogs(
  store: EventStore,
  logs: readonly LogHead[],
  after: Heads,
  archived: ArchiveBase | null,
): AsyncGenerator<readonly EventEnvelope[]> {
  for (const { node, incarnation, sequence } of logs) {
    const from = after[node];
    const isDone = from !== undefined && comparePositions({ incarnation, sequence }, from) <= 0;
    if (isDone) continue;
    const floor = floorOf(archived, node, incarnation)?.sequence ?? 0;
    const first = Math.max(from?.incarnation === incarnation ? from.sequence : 0, floor) + 1;
    if (first > sequence) continue;
    yield* readRange(store, { node, incarnation, from: first, to: sequence });
  }
}
