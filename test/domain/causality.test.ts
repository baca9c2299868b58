import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { causalFacts } from '../../domain/causality.ts';
import { EventEnvelope } from '../../domain/envelope.ts';
import { history, name, names, order, type Told, told, turns } from './told.ts';

function ordered(events: readonly Told[]): string[] {
  const one = order();
  one.add(events);
  return names(one.events());
}

const shuffled = <T>(items: readonly T[], picks: readonly number[]): T[] => {
  const rest = [...items];
  return items.map(
    (_, i) => rest.splice((picks[i % Math.max(1, picks.length)] ?? 0) % rest.length, 1)[0] as T,
  );
};

const picks = fc.array(fc.nat(50), { minLength: 1, maxLength: 50 });

describe('the order of events', () => {
  it('follows what each writer had seen, whatever the names say', () => {
    const events = [told('zoe/1/1'), told('adam/1/1', { after: ['zoe/1/1'] })];
    expect(ordered(events)).toEqual(['zoe/1/1', 'adam/1/1']);
  });

  it('between concurrent events goes by epoch, then node, incarnation, sequence', () => {
    const events = [
      told('clara/1/1', { epoch: 1 }),
      told('adam/1/1', { epoch: 2 }),
      told('adam/1/2', { epoch: 2 }),
      told('boris/1/1', { epoch: 1 }),
      told('boris/1/2', { epoch: 1 }),
    ];
    expect(ordered(events)).toEqual(['boris/1/1', 'boris/1/2', 'clara/1/1', 'adam/1/1', 'adam/1/2']);
  });

  it('an event that names no epoch has the highest of its resource that it follows', () => {
    const events = [
      told('zoe/1/1', { epoch: 3 }),
      told('boris/1/1', { after: ['zoe/1/1'] }),
      told('boris/1/2', { subject: 'datarep-xfs' }),
      told('clara/1/1', { epoch: 2 }),
    ];
    expect(ordered(events)).toEqual(['clara/1/1', 'zoe/1/1', 'boris/1/1', 'boris/1/2']);
  });

  it('an event waits for what it follows, and for the one before it in its log', () => {
    const one = order();
    expect(one.add([told('adam/1/2'), told('boris/1/1', { after: ['adam/1/1'] })])).toBe(0);
    expect([one.length, one.waitingCount]).toEqual([0, 2]);
    expect(one.add([told('adam/1/1')])).toBe(0);
    expect(names(one.events())).toEqual(['adam/1/1', 'adam/1/2', 'boris/1/1']);
    expect(one.waitingCount).toBe(0);
  });

  it('says from which place on it differs', () => {
    const one = order();
    expect(one.add([told('boris/1/1', { epoch: 1 }), told('boris/1/2', { epoch: 3 })])).toBe(0);
    expect(one.add([told('clara/1/1', { epoch: 3 })])).toBe(2);
    expect(one.add([told('adam/1/1', { epoch: 2 })])).toBe(1);
    expect(one.add([told('adam/1/1', { epoch: 2 })])).toBe(4);
    expect(names(one.events())).toEqual(['boris/1/1', 'adam/1/1', 'boris/1/2', 'clara/1/1']);
  });

  it('a new incarnation begins after the former one, also when that one comes late or has a gap', () => {
    const one = order();
    one.add([
      told('adam/1/1', { epoch: 5 }),
      told('adam/1/3'),
      told('adam/2/1'),
      told('boris/1/1', { epoch: 1 }),
    ]);
    expect(names(one.events())).toEqual(['boris/1/1', 'adam/1/1', 'adam/2/1']);
    expect(one.waitingCount).toBe(1);
    expect(one.add([told('adam/1/2')])).toBe(2);
    expect(names(one.events())).toEqual(['boris/1/1', 'adam/1/1', 'adam/1/2', 'adam/1/3', 'adam/2/1']);
  });

  it('does not depend on how events arrive: one by one, in batches, shuffled, twice', () => {
    fc.assert(
      fc.property(turns, picks, fc.integer({ min: 1, max: 7 }), (all, order1, batch) => {
        const events = history(all);
        const expected = ordered(events);
        expect(expected).toHaveLength(events.length);
        const one = order();
        const arrivals = shuffled(events, order1);
        for (let at = 0; at < arrivals.length; at += batch) {
          const before = names(one.events());
          const changed = one.add([...arrivals.slice(at, at + batch), ...arrivals.slice(0, 2)]);
          const after = names(one.events());
          expect(after.slice(0, changed)).toEqual(before.slice(0, changed));
          if (changed < before.length) expect(after[changed]).not.toBe(before[changed]);
          // What was in order keeps its order: a late event is only put in between.
          expect(after.filter((event) => before.includes(event))).toEqual(before);
        }
        expect(names(one.events())).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  it('respects each log and everything that was seen', () => {
    fc.assert(
      fc.property(turns, (all) => {
        const events = history(all);
        const place = new Map(ordered(events).map((event, at) => [event, at]));
        const at = (event: string) => place.get(event) ?? -1;
        for (const event of events) {
          const own = at(name(event));
          if (event.sequence > 1) expect(at(`${event.node}/1/${event.sequence - 1}`)).toBeLessThan(own);
          for (const head of event.seen) expect(at(name({ ...event, ...head }))).toBeLessThan(own);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('what a node knew is closed under causality, and ordered as it was then', () => {
    fc.assert(
      fc.property(turns, fc.nat(), (all, pick) => {
        const events = history(all);
        const event = events[pick % Math.max(1, events.length)];
        if (event === undefined) return;
        const one = order();
        one.add(events);
        const known = one.knownBy(event.node, event);
        expect(names(known).at(-1)).toBe(name(event));
        expect(ordered(known)).toEqual(names(known));
        expect(names(one.asOf(one.heads))).toEqual(names(one.events()));
      }),
      { numRuns: 1000 },
    );
  });

  it('as of a moment: one clock that is a month ahead moves the cut by nothing', () => {
    const month = 30 * 86_400_000;
    const one = order();
    one.add([
      told('adam/1/1', { time: 1 }),
      told('boris/1/1', { time: month, after: ['adam/1/1'] }),
      told('adam/1/2', { time: 3, after: ['boris/1/1'] }),
      told('clara/1/1', { time: 4, after: ['adam/1/2'] }),
      told('clara/1/2', { time: 9 }),
    ]);
    const at = (moment: number) => one.countAt(moment, ({ time }) => time);
    expect([0, 1, 4, 8, 9].map(at)).toEqual([0, 1, 4, 4, 5]);
  });

  it('orders 200,000 events of three logs in one go, and a late one without touching what lies before it', () => {
    const nodes = ['adam', 'boris', 'clara'];
    const events = Array.from({ length: 200_000 }, (_, i) => {
      const node = nodes[i % 3] ?? 'adam';
      const sequence = Math.floor(i / 3) + 1;
      const last = i === 0 ? [] : [`${nodes[(i - 1) % 3]}/1/${Math.floor((i - 1) / 3) + 1}`];
      return told(`${node}/1/${sequence}`, { after: last, epoch: 1 });
    });
    const one = order();
    one.add(events);
    expect(names(one.events())).toEqual(names(events));
    expect(one.add([told('boris/1/66668', { epoch: 1 })])).toBe(200_000);
  });

  it('reads an envelope', () => {
    const envelope = EventEnvelope.parse({
      specversion: '1.0',
      id: 'adam/1/2',
      source: '/mk/demo/adam',
      type: 'mirrorkeeper.resource.entered-service.v1',
      subject: 'datarep-ext3',
      time: '2026-11-20T18:54:16.000Z',
      datacontenttype: 'application/json',
      node: 'adam',
      incarnation: 1,
      sequence: 2,
      actorid: 'root',
      actorvia: 'socket',
      actorverified: false,
      seen: `eve/1/7/${'0'.repeat(16)}`,
      previous: 'a'.repeat(64),
      datahash: 'b'.repeat(64),
      hash: 'c'.repeat(64),
      salt: '00',
      data: { node: 'adam', epoch: 4 },
    });
    const expected = told('adam/1/2', { after: ['eve/1/7'], epoch: 4 });
    expect({ ...causalFacts(envelope), time: 0 }).toEqual(expected);
  });
});
