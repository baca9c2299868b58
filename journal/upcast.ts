import { type EventData, type EventEnvelope, envelopeType, parseEnvelopeType } from '../domain/envelope.ts';

/**
 * Payloads of old versions become those of the present one when they are read; what is stored is never
 * changed, so hashes stay true (FAULTS 30). An upcaster takes the payload of version N to version N + 1; they
 * are chained. Types and versions that nobody knows pass through as they are.
 */
export type Upcaster = (data: EventData) => EventData;

/** By event type, then by the version that the upcaster starts from. */
export type Upcasters = Readonly<Record<string, Readonly<Record<number, Upcaster>>>>;

export function upcast(event: EventEnvelope, upcasters: Upcasters): EventEnvelope {
  const type = parseEnvelopeType(event.type);
  const steps = type === undefined ? undefined : upcasters[type.event];
  if (type === undefined || steps === undefined) return event;
  let { data } = event;
  let { version } = type;
  for (let step = steps[version]; step !== undefined; step = steps[version]) {
    data = step(data);
    version += 1;
  }
  return version === type.version ? event : { ...event, type: envelopeType(type.event, version), data };
}

/** Those of the present version: no payload has changed yet. */
export const upcasters: Upcasters = {};
