import { envelopeType } from '../domain/envelope.ts';
import { event, eventSchemas, type NewEvent } from '../domain/events.ts';
import { Generation, NodeName, Tag, VolumeName } from '../domain/vocabulary.ts';
import type { EventDraft } from '../journal/journal.ts';

/** The node whose log is measured, and the source of every resource. */
export const writer = NodeName.parse('eve');
const target = NodeName.parse('adam');

/** A resource's life, over and over on twenty of them: what a cluster mostly writes is progress and mirrors. */
export function draftOf(number: number): EventDraft {
  const tag = Tag.parse(`resource-${number % 20}`);
  const { type, resource, data } = lifeOf(tag, Math.floor(number / 20));
  return {
    type: envelopeType(type, eventSchemas[type].version),
    subject: resource ?? undefined,
    actor: { id: 'engine', via: 'engine', verified: true },
    command: `engine/${writer}/${number}`,
    data,
  };
}

function lifeOf(tag: Tag, step: number): NewEvent {
  const pair = { source: writer, target };
  const bytes = 1 << 30;
  const generation = Generation.parse('0123456789abcdef');
  if (step < births.length)
    return births[step]?.(tag) ?? event('mirror.connected', tag, { ...pair, inSync: true });
  switch (step % 10) {
    case 0:
      return event('resync.started', tag, {
        ...pair,
        kind: 'partial',
        bytes,
        regions: 16_384,
        dirtyRegions: 1000,
      });
    case 8:
      return event('resync.completed', tag, { ...pair, kind: 'partial', bytes, generation });
    case 9:
      return event('mirror.connected', tag, { ...pair, inSync: true });
    default:
      return event('resync.progressed', tag, {
        ...pair,
        percent: (step % 10) * 12,
        speedBytesPerSecond: 48_000_000,
        etaSeconds: 192,
        dirtyRegions: 1000 - (step % 10) * 100,
      });
  }
}

const volumeOf = (tag: Tag) => ({ name: VolumeName.parse('data'), path: `/srv/${tag}`, byteSize: 1 << 30 });
const replication = { host: '127.0.0.1', port: 7801 };
const births: readonly ((tag: Tag) => NewEvent)[] = [
  (tag) =>
    event('resource.created', tag, {
      node: writer,
      volumes: [volumeOf(tag)],
      content: 'raw',
      fstype: null,
      mount: null,
      bitmap: null,
      allowAsync: false,
      priority: 1,
      srl: null,
      replication,
    }),
  (tag) => event('resource.entered-service', tag, { node: writer, epoch: 1, why: 'created', after: null }),
  (tag) =>
    event('resource.extended', tag, {
      node: target,
      volumes: [volumeOf(tag)],
      mode: 'sync',
      pairs: { [writer]: 'sync' },
      priority: 2,
      compress: 0,
      mount: null,
      bitmap: null,
      fullSync: true,
      replication,
    }),
];
