import type { EventEnvelope } from '../domain/envelope.ts';
import { parseEnvelopeType } from '../domain/envelope.ts';
import { type Actor, type AnyEvent, eventSchemas, isEventType } from '../domain/events.ts';
import type { Tag } from '../domain/vocabulary.ts';

/**
 * The domain's reading of an envelope of the present version. A type that nobody knows, or a payload of a later
 * version, becomes an `unknown` event: kept and shown, and commands on its resource are refused (FAULTS 30).
 * The payload is trusted: its writer decided it, its hash was verified when it came in.
 */
export function readEvent(envelope: EventEnvelope): AnyEvent {
  const header = {
    id: envelope.id,
    node: envelope.node,
    time: Date.parse(envelope.time),
    actor: { id: envelope.actorid, via: envelope.actorvia, verified: envelope.actorverified } satisfies Actor,
    reason: envelope.reason ?? null,
    command: envelope.command ?? null,
    cause: envelope.cause ?? null,
    digest: digestOf(envelope.data),
  };
  const resource: Tag | null = envelope.subject ?? null;
  const type = parseEnvelopeType(envelope.type);
  if (!type || !isEventType(type.event) || type.version !== eventSchemas[type.event].version) {
    return { ...header, type: 'unknown', originalType: envelope.type, resource };
  }
  return { ...header, type: type.event, resource, data: envelope.data } as unknown as AnyEvent;
}

/** The first event of a decision holds the command and the facts that it followed from. */
function digestOf(data: EventEnvelope['data']): string | null {
  const decision = data['decision'] as { command?: { digest?: unknown } } | undefined;
  return typeof decision?.command?.digest === 'string' ? decision.command.digest : null;
}
