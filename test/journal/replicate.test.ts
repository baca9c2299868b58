import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import type { LogHead } from '../../journal/journal.ts';
import { stamp } from '../../journal/record.ts';
import { type ReplicateOrder, Replication } from '../../journal/replicate.ts';
import { draft } from './drafts.ts';

const options = { eventsPerRequest: 4, requestsMax: 2, requestTimeoutMs: 50, bufferedMax: 6 };
const names = ['adam', 'eve', 'sophocles'] as const;
type Name = (typeof names)[number];

type Message =
  | { readonly kind: 'events'; readonly to: Name; readonly events: readonly EventEnvelope[] }
  | { readonly kind: 'heads'; readonly to: Name; readonly from: Name; readonly logs: readonly LogHead[] }
  | {
      readonly kind: 'ask';
      readonly to: Name;
      readonly from: Name;
      readonly order: ReplicateOrder & { type: 'request' };
    }
  | {
      readonly kind: 'answer';
      readonly to: Name;
      readonly id: number;
      readonly events: readonly EventEnvelope[];
    };

/** Three nodes that hold their logs in memory, and a network that loses, repeats and reorders as it is told. */
class Cluster {
  readonly logs = new Map<Name, Map<string, EventEnvelope[]>>();
  readonly nodes = new Map<Name, Replication>();
  readonly wire: Message[] = [];
  readonly faults: string[] = [];
  now = 0;

  constructor() {
    for (const name of names) {
      this.logs.set(name, new Map());
      this.nodes.set(name, new Replication({ ...options, own: name }, []));
    }
  }

  log(at: Name, of: string, incarnation = 1): EventEnvelope[] {
    const logs = this.logs.get(at);
    const key = `${of}/${incarnation}`;
    const log = logs?.get(key) ?? [];
    logs?.set(key, log);
    return log;
  }

  heads(at: Name): LogHead[] {
    return [...(this.logs.get(at)?.values() ?? [])].flatMap((log) => log.at(-1) ?? []);
  }

  append(at: Name): EventEnvelope {
    const log = this.log(at, at);
    const { event } = stamp(draft(log.length), {
      cluster: 'test',
      node: NodeName.parse(at),
      incarnation: 1,
      sequence: log.length + 1,
      previous: log.at(-1)?.hash ?? '',
      seen: '',
      time: '2026-11-20T00:00:00.000Z',
    });
    log.push(event);
    this.nodes.get(at)?.appended(event);
    for (const to of names) if (to !== at) this.wire.push({ kind: 'events', to, events: [event] });
    return event;
  }

  announce(): void {
    for (const from of names)
      for (const to of names)
        if (to !== from) this.wire.push({ kind: 'heads', to, from, logs: this.heads(from) });
  }

  deliver(message: Message): void {
    const node = this.nodes.get(message.to);
    if (node === undefined) return;
    switch (message.kind) {
      case 'events':
        this.carry(message.to, node.received(message.events, this.now));
        break;
      case 'heads':
        this.carry(message.to, node.announced(message.from, message.logs, this.now));
        break;
      case 'ask': {
        const { range, id } = message.order;
        const events = this.log(message.to, range.node, range.incarnation).slice(range.from - 1, range.to);
        this.wire.push({ kind: 'answer', to: message.from, id, events });
        break;
      }
      case 'answer':
        this.carry(message.to, node.answered(message.id, message.events, this.now));
        break;
      default:
        message satisfies never;
    }
  }

  carry(at: Name, orders: readonly ReplicateOrder[]): void {
    for (const order of orders) {
      if (order.type === 'request') this.wire.push({ kind: 'ask', to: order.to as Name, from: at, order });
      else if (order.type === 'store') for (const event of order.events) this.store(at, event);
      else this.faults.push(order.type);
    }
  }

  store(at: Name, event: EventEnvelope): void {
    const log = this.log(at, event.node, event.incarnation);
    if (event.sequence !== log.length + 1 || event.previous !== (log.at(-1)?.hash ?? ''))
      this.faults.push(`${event.id} out of order`);
    log.push(event);
  }

  tick(): void {
    this.now += options.requestTimeoutMs;
    for (const [name, node] of this.nodes) this.carry(name, node.tick(this.now));
  }

  /** A network without faults from now on. */
  heal(): void {
    for (let round = 0; round < 100; round += 1) {
      this.announce();
      while (this.wire.length > 0) for (const message of this.wire.splice(0)) this.deliver(message);
      this.tick();
    }
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('append' as const), at: fc.constantFrom(...names) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('deliver', 'lose', 'repeat'), at: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('announce', 'tick') }) },
);

describe('replication', () => {
  it('converges to the same logs on every node, whatever the network loses, repeats and reorders', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const cluster = new Cluster();
        for (const one of steps) {
          if (one.do === 'append') cluster.append((one as { at: Name }).at);
          else if (one.do === 'announce') cluster.announce();
          else if (one.do === 'tick') cluster.tick();
          else {
            const at = (one as { at: number }).at % Math.max(1, cluster.wire.length);
            const message = cluster.wire[at];
            if (message === undefined) continue;
            if (one.do !== 'repeat') cluster.wire.splice(at, 1);
            if (one.do !== 'lose') cluster.deliver(message);
          }
        }
        cluster.heal();
        expect(cluster.faults).toEqual([]);
        for (const of of names) {
          const truth = cluster.log(of, of);
          for (const at of names) expect(cluster.log(at, of)).toEqual(truth);
        }
        expect([...cluster.nodes.values()].every((node) => node.isComplete)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('fetches a long log piece by piece from whoever has it, though its writer is gone', () => {
    const cluster = new Cluster();
    for (let count = 0; count < 50; count += 1) cluster.append('adam');
    while (cluster.wire.length > 0)
      for (const message of cluster.wire.splice(0)) if (message.to !== 'sophocles') cluster.deliver(message);
    cluster.nodes.get('sophocles')?.gone('adam');
    const heads = cluster.heads('eve');
    cluster.deliver({ kind: 'heads', to: 'sophocles', from: 'eve', logs: heads });
    let asked = 0;
    while (cluster.wire.length > 0)
      for (const message of cluster.wire.splice(0)) {
        if (message.kind === 'ask') asked += 1;
        cluster.deliver(message);
      }
    expect(cluster.log('sophocles', 'adam')).toHaveLength(50);
    expect(asked).toBe(Math.ceil(50 / options.eventsPerRequest));
  });

  it('keeps no more early events than it may, and asks for the rest', () => {
    const cluster = new Cluster();
    for (let count = 0; count < 40; count += 1) cluster.append('adam');
    const node = new Replication({ ...options, own: 'eve' }, []);
    const log = cluster.log('adam', 'adam');
    expect(node.received(log.slice(1).reverse(), 0)).toEqual([]);
    const [first] = log;
    if (first === undefined) throw new Error('nothing appended');
    const [order] = node.received([first], 0);
    expect(order?.type === 'store' ? order.events.length : 0).toBeLessThanOrEqual(1 + options.bufferedMax);
  });

  it('gets what came too early again, where the journal turned out to hold all that is before it', () => {
    const cluster = new Cluster();
    const [first, second] = [cluster.append('adam'), cluster.append('adam')];
    const node = new Replication({ ...options, own: 'eve' }, []);
    expect(node.received([second], 0)).toEqual([]);
    node.restart([first]);
    const [order] = node.announced('adam', [second], 1);
    if (order?.type !== 'request') throw new Error('nothing requested');
    expect(order.range).toEqual({ node: 'adam', incarnation: 1, from: 2, to: 2 });
    expect(node.answered(order.id, [second], 2)).toEqual([{ type: 'store', events: [second] }]);
  });

  it('reports that others have seen more of its own log than it has', () => {
    const cluster = new Cluster();
    cluster.append('eve');
    const head = cluster.append('eve');
    const restored = new Replication({ ...options, own: 'eve' }, []);
    expect(restored.announced('adam', [head], 0)).toEqual([{ type: 'own-behind', head }]);
    expect(restored.announced('adam', [head], 1)).toEqual([]);
  });

  it('reports another event of the same identity, and takes nothing of that log from that node', () => {
    const [one, other] = [new Cluster(), new Cluster()];
    const event = one.append('adam');
    const forged = other.append('adam');
    const more = other.append('adam');
    const node = new Replication({ ...options, own: 'eve' }, [event]);
    const conflict = { id: 'adam/1/1', storedHash: event.hash, receivedHash: forged.hash };
    expect(node.announced('sophocles', [forged], 0)).toEqual([
      { type: 'conflict', from: 'sophocles', conflict },
    ]);
    const [request] = node.announced('sophocles', [more], 1);
    if (request?.type !== 'request') throw new Error('nothing requested');
    expect(node.answered(request.id, [more], 2)).toMatchObject([{ type: 'conflict', from: 'sophocles' }]);
    expect(node.tick(10_000)).toEqual([]);
  });
});
