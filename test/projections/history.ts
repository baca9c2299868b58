import {
  type AnyEvent,
  type DomainEvent,
  type EventData,
  type EventType,
  eventSchemas,
} from '../../domain/events.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';

/** Hand-made histories: events as the journal hands them to the projections, ids and times counted here. */
export class History {
  readonly events: AnyEvent[] = [];
  readonly #sequences = new Map<string, number>();
  /** 2026-11-20T12:00:00.000Z */
  time = 1_795_176_000_000;

  /** The writer's event, a second after the one before. */
  add<T extends EventType>(
    writer: string,
    type: T,
    tag: string | null,
    data: unknown,
    more: Partial<Pick<DomainEvent, 'reason' | 'command' | 'cause' | 'actor'>> = {},
  ): this {
    this.time += 1000;
    const parsed = eventSchemas[type].data.parse(data) as EventData<T>;
    const header = this.#header(writer, tag);
    this.events.push({ type, data: parsed, ...header, ...more } as unknown as AnyEvent);
    return this;
  }

  addUnknown(writer: string, originalType: string, tag: string): this {
    this.time += 1000;
    this.events.push({ type: 'unknown', originalType, ...this.#header(writer, tag) });
    return this;
  }

  #header(writer: string, tag: string | null) {
    const sequence = (this.#sequences.get(writer) ?? 0) + 1;
    this.#sequences.set(writer, sequence);
    return {
      id: `${writer}/1/${sequence}`,
      node: NodeName.parse(writer),
      resource: tag === null ? null : Tag.parse(tag),
      time: this.time,
      actor: { id: 'root', via: 'socket', verified: false } as const,
      reason: null,
      command: null,
      cause: null,
      digest: null,
    };
  }
}

export const tag = 'datarep-ext3';
const mebibyte = 1_048_576;
const volumes = (node: string, byteSize = 306 * mebibyte) => [
  { name: 'data', path: `/dev/mapper/${node}-sdb1`, byteSize },
];

export const create = (node: string, byteSize?: number) => ({
  node,
  volumes: volumes(node, byteSize),
  content: 'raw',
  fstype: null,
  mount: null,
  bitmap: null,
  allowAsync: true,
  priority: 1,
  srl: null,
  replication: { host: node, port: 7400 },
});

export const extend = (node: string, mode: string, priority: number, byteSize?: number) => ({
  node,
  volumes: volumes(node, byteSize),
  mode,
  pairs: { eve: mode },
  priority,
  compress: 0,
  mount: null,
  bitmap: null,
  fullSync: true,
  replication: { host: node, port: 7400 },
});

export const pair = (target: string, source = 'eve') => ({ source, target });
const regions = 4896;

/** eve serves; adam (sync) is up to date; sophocles (async) is in the middle of a resync. */
export function guideHistory(): History {
  const bytes = regions * 65_536;
  const resync = { kind: 'full', bytes, regions, dirtyRegions: regions };
  return new History()
    .add('eve', 'node.joined', null, { node: 'eve', host: 'eve.example' })
    .add('adam', 'node.joined', null, { node: 'adam', host: null })
    .add('sophocles', 'node.joined', null, { node: 'sophocles', host: null })
    .add('eve', 'resource.created', tag, create('eve'), { reason: 'pilot' })
    .add('eve', 'resource.entered-service', tag, { node: 'eve', epoch: 3, why: 'created', after: null })
    .add('eve', 'resource.extended', tag, extend('adam', 'sync', 2))
    .add('eve', 'resync.started', tag, { ...pair('adam'), ...resync })
    .add('eve', 'resync.completed', tag, {
      ...pair('adam'),
      kind: 'full',
      bytes,
      generation: '00000000000000a1',
    })
    .add('eve', 'resource.extended', tag, extend('sophocles', 'async', 3))
    .add('eve', 'resync.started', tag, { ...pair('sophocles'), ...resync })
    .add('eve', 'resync.progressed', tag, {
      ...pair('sophocles'),
      percent: 11.4,
      speedBytesPerSecond: 48_000_000,
      etaSeconds: 192,
      dirtyRegions: 4338,
    });
}
