import { type EventEnvelope, envelopeType } from '../domain/envelope.ts';
import { type Actor, type AnyEvent, type EventType, eventSchemas } from '../domain/events.ts';
import type { Tag } from '../domain/vocabulary.ts';
import { upcast, upcasters } from './upcast.ts';

/**
 * The domain's reading of an envelope. An old payload is upcast; a type that nobody knows, or a payload of a later
 * version, becomes an `unknown` event: kept and shown, and commands on its resource are refused (FAULTS 30).
 * The payload is trusted: its writer decided it, its hash was verified when it came in.
 */
export function readEvent(stored: EventEnvelope): AnyEvent {
  const envelope = knownTypes.has(stored.type) ? stored : upcast(stored, upcasters);
  const known = knownTypes.get(envelope.type);
  const resource: Tag | null = envelope.subject ?? null;
  // One literal with one shape: a replay makes a million of them.
  const event = {
    type: known ?? 'unknown',
    resource,
    data: envelope.data,
    id: envelope.id,
    node: envelope.node,
    time: milliseconds(envelope.time),
    actor: { id: envelope.actorid, via: envelope.actorvia, verified: envelope.actorverified } satisfies Actor,
    reason: envelope.reason ?? null,
    command: envelope.command ?? null,
    cause: envelope.cause ?? null,
    digest: digestOf(envelope.data),
  };
  if (known !== undefined) return event as unknown as AnyEvent;
  const { data: _, ...header } = event;
  return { ...header, type: 'unknown', originalType: envelope.type };
}

const knownTypes = new Map(
  Object.entries(eventSchemas).map(([type, { version }]) => [envelopeType(type, version), type as EventType]),
);

/** `Date.parse` of the one form that an envelope has, in a tenth of its time; years beyond 9999 go the long way. */
function milliseconds(time: string): number {
  if (time.length !== 24) return Date.parse(time);
  const number = (from: number, to: number) => {
    let value = 0;
    for (let at = from; at < to; at += 1) value = value * 10 + time.charCodeAt(at) - 48;
    return value;
  };
  return Date.UTC(
    number(0, 4),
    number(5, 7) - 1,
    number(8, 10),
    number(11, 13),
    number(14, 16),
    number(17, 19),
    number(20, 23),
  );
}

/** The first event of a decision holds the command and the facts that it followed from. */
function digestOf(data: EventEnvelope['data']): string | null {
  const decision = data['decision'] as { command?: { digest?: unknown } } | undefined;
  return typeof decision?.command?.digest === 'string' ? decision.command.digest : null;
}
