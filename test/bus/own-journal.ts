import type { OwnJournal } from '../../adapters/bus/journal-capture.ts';
import { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { record } from './names.ts';

const digits = '0'.repeat(64);

/** An event as the journal keeps it, with nothing to verify. */
export const event = (node: string, sequence: number): EventEnvelope =>
  EventEnvelope.parse({
    ...record(node, sequence),
    specversion: '1.0',
    id: `${node}/1/${sequence}`,
    source: `/mk/demo/${node}`,
    type: 'mirrorkeeper.node.joined.v1',
    time: '2026-11-20T19:00:00.000Z',
    datacontenttype: 'application/json',
    actorid: node,
    actorvia: 'policy',
    actorverified: true,
    seen: '',
    previous: '',
    datahash: digits,
    hash: `${sequence}`.padStart(64, '0'),
    salt: '00',
    data: {},
  });

/** A node's own log as far as the bus reads it: `length` events of one incarnation. */
export class OwnLog implements OwnJournal {
  readonly node: NodeName;
  readonly #events: EventEnvelope[] = [];

  constructor(node: string) {
    this.node = NodeName.parse(node);
  }

  append(count: number): readonly EventEnvelope[] {
    const from = this.#events.length + 1;
    const events = Array.from({ length: count }, (_, index) => event(this.node, from + index));
    this.#events.push(...events);
    return events;
  }

  logs() {
    const last = this.#events.at(-1);
    return last === undefined ? [] : [last];
  }

  async *read({ from, to }: { from: number; to: number }) {
    for (let at = from; at <= to; at += 16) yield this.#events.slice(at - 1, Math.min(to, at + 15));
  }
}
