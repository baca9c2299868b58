import { EventEnvelope, eventId } from '../domain/envelope.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import type { Conflict, EventRange, JournalErrorCode, Received, SignedHead } from './journal.ts';
import { eventKey } from './keys.ts';
import { followsOn, readEvent } from './log-scan.ts';
import type { Logs } from './logs.ts';
import { encode, hashFault } from './record.ts';

/**
 * What other nodes' events do to this node's copy of their logs: an event is stored only when it verifies and
 * continues the log; one that is stored is never replaced (I9).
 */
export interface ReceiveContext {
  /** This node, and the incarnation of its log that only it appends to; earlier ones are received like any log. */
  readonly own: { readonly node: string; readonly incarnation: number };
  /** Advanced by what is stored here. */
  readonly logs: Logs;
  readonly store: EventStore;
  /** The latest signed head of each node: an event in its place must be the one it names. */
  readonly attested: ReadonlyMap<string, SignedHead>;
}

export interface ReceiveOutcome {
  readonly writes: readonly { readonly write: StoreWrite; readonly event: EventEnvelope }[];
  readonly received: Received;
}

export async function receiveEvents(
  events: readonly EventEnvelope[],
  { own, logs, store, attested }: ReceiveContext,
): Promise<ReceiveOutcome> {
  const writes: { write: StoreWrite; event: EventEnvelope }[] = [];
  const gaps = new Map<string, EventRange>();
  const conflicts: Conflict[] = [];
  const rejected: { id: string; code: JournalErrorCode; message: string }[] = [];
  let duplicates = 0;

  for (const event of events) {
    const { node, incarnation, sequence } = event;
    const id = eventId(event);
    const reject = (code: JournalErrorCode, message: string) => rejected.push({ id, code, message });
    const fault = envelopeFault(event);
    if (fault !== undefined) {
      reject('bad-chain', fault);
      continue;
    }
    const head = logs.of(node, incarnation);
    const next = (head?.sequence ?? 0) + 1;
    if (sequence < next) {
      const staged = writes.find((write) => write.event.id === id)?.event;
      const stored = staged ?? (await readEvent(store, node, incarnation, sequence).catch(() => undefined));
      if (stored === undefined || stored.hash === event.hash) duplicates += 1;
      else conflicts.push({ id, storedHash: stored.hash, receivedHash: event.hash });
    } else if (node === own.node && incarnation >= own.incarnation) {
      reject('bad-chain', `event ${id} is of this node's own log, which does not have it`);
    } else if (sequence > next) {
      const log = `${node}/${incarnation}`;
      if (!gaps.has(log)) gaps.set(log, { node, incarnation, from: next, to: sequence - 1 });
    } else if (!followsOn(event, head?.hash ?? '')) {
      reject('bad-chain', `event ${id} does not continue the event before it`);
    } else if (contradicts(event, attested.get(node))) {
      reject('bad-signature', `event ${id} is not the one that the signed head of ${node} names`);
    } else {
      writes.push({ write: { type: 'put', key: eventKey(event), value: encode(event) }, event });
      logs.advance(event);
    }
  }
  return {
    writes,
    received: {
      stored: writes.map(({ event }) => event),
      duplicates,
      gaps: [...gaps.values()],
      conflicts,
      rejected,
    },
  };
}

export function envelopeFault(event: EventEnvelope): string | undefined {
  const parsed = EventEnvelope.safeParse(event);
  if (!parsed.success) return `not an event: ${parsed.error.issues[0]?.message ?? 'wrong shape'}`;
  if (event.id !== eventId(event)) return `event ${event.id} says it is ${eventId(event)}`;
  const fault = hashFault(event);
  return fault === undefined ? undefined : `the ${fault} of event ${event.id} were changed`;
}

const contradicts = (event: EventEnvelope, head: SignedHead | undefined): boolean =>
  head?.incarnation === event.incarnation && head.sequence === event.sequence && head.hash !== event.hash;
