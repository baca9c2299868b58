import { type EventEnvelope, eventId } from '../domain/envelope.ts';
import type { ArchiveBase, Floor } from './archive-base.ts';
import { indexWrites } from './command-index.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import type { Damage, EventRange, FetchEvents } from './journal.ts';
import { eventKey, quarantineKey } from './keys.ts';
import { followsOn, readEvent, scanLog, startOf } from './log-scan.ts';
import type { Logs } from './logs.ts';
import { envelopeFault } from './receiving.ts';
import { encode } from './record.ts';

/**
 * Refetches damaged parts of logs from another copy. What comes must verify and continue the good part before
 * it; a scan of the whole log afterwards shows that it also fits the part behind. What stood in the place of
 * an event before is moved aside, never thrown away.
 */
const eventsPerFetch = 1000;

/** Heads that a repaired log must run through, whatever the other copy says: node/incarnation/sequence → hash. */
export type KnownHashes = ReadonlyMap<string, string>;

/** Resolves with what is still damaged. */
export async function repairDamage(
  store: EventStore,
  damage: readonly Damage[],
  fetch: FetchEvents,
  known: KnownHashes,
): Promise<Damage[]> {
  const remaining: Damage[] = [];
  for (const one of [...damage].sort((a, b) => a.from - b.from))
    if (!(await refetch(store, one, fetch, known))) remaining.push(one);
  return remaining;
}

/** What a scan finds in those of the logs that were damaged. */
export async function rescan(
  store: EventStore,
  damaged: readonly Damage[],
  logs: Logs,
  archived: ArchiveBase | null,
): Promise<Damage[]> {
  const found: Damage[] = [];
  for (const log of logs.all())
    if (damaged.some(({ node, incarnation }) => node === log.node && incarnation === log.incarnation))
      found.push(...(await scanLog(store, { ...log, after: startOf(archived, log), to: log.sequence })));
  return found;
}

/** True when the whole range came and was stored. */
async function refetch(
  store: EventStore,
  { node, incarnation, from, to = Number.MAX_SAFE_INTEGER, code }: Damage,
  fetch: FetchEvents,
  known: KnownHashes,
): Promise<boolean> {
  let previous = '';
  if (from > 1) {
    const before = await readEvent(store, node, incarnation, from - 1).catch(() => undefined);
    if (before === undefined) return false;
    previous = before.hash;
  }
  const isHashKnown = code !== 'head-missing' && code !== 'bad-signature';
  let next = from;
  while (next <= to) {
    const range = { node, incarnation, from: next, to: Math.min(to, next + eventsPerFetch - 1) };
    const events = await fetch(range);
    if (events.length === 0) break;
    if (!fits(events, range, previous)) return false;
    if (isHashKnown && events.some((event) => (known.get(eventId(event)) ?? event.hash) !== event.hash))
      return false;
    await replace(store, events);
    next += events.length;
    previous = events.at(-1)?.hash ?? '';
  }
  return next > from && (next > to || to === Number.MAX_SAFE_INTEGER);
}

function fits(events: readonly EventEnvelope[], range: EventRange, previous: string): boolean {
  let before = previous;
  return events.every((event, index) => {
    const isNext =
      event.node === range.node &&
      event.incarnation === range.incarnation &&
      event.sequence === range.from + index &&
      event.sequence <= range.to;
    if (!isNext || envelopeFault(event) !== undefined || !followsOn(event, before)) return false;
    before = event.hash;
    return true;
  });
}

async function replace(store: EventStore, events: readonly EventEnvelope[]): Promise<void> {
  const writes: StoreWrite[] = [];
  for (const event of events) {
    const key = eventKey(event);
    const value = encode(event);
    const present = await store.get(key).catch(() => undefined);
    if (present === value) continue;
    if (present !== undefined) writes.push({ type: 'put', key: quarantineKey(event), value: present });
    writes.push(...indexWrites(event), { type: 'put', key, value });
  }
  if (writes.length > 0) await store.write(writes);
}

/** Moves events out of their log; the first of them goes last, so that an interruption leaves no gap behind. */
export async function setAside(store: EventStore, { from, to, ...log }: EventRange): Promise<void> {
  for (let last = to; last >= from; last -= eventsPerFetch) {
    const writes: StoreWrite[] = [];
    for (let sequence = last; sequence >= Math.max(from, last - eventsPerFetch + 1); sequence -= 1) {
      const position = { ...log, sequence };
      const value = await store.get(eventKey(position)).catch(() => undefined);
      if (value !== undefined) writes.push({ type: 'put', key: quarantineKey(position), value });
      writes.push({ type: 'del', key: eventKey(position) });
    }
    await store.write(writes);
  }
}

/** All events of a log before the last archived one, oldest first: an interruption leaves no gap behind. */
export async function removeArchived(store: EventStore, { sequence, ...log }: Floor): Promise<void> {
  const bounds = { gte: eventKey({ ...log, sequence: 1 }), lt: eventKey({ ...log, sequence }) };
  for await (const batch of store.entries(bounds))
    await store.write(batch.map(([key]) => ({ type: 'del', key })));
}
