import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CausalBase } from '../../domain/causal-base.ts';
import { CausalStream } from '../../domain/causal-stream.ts';
import { beforeBase, CausalOrder } from '../../domain/causality.ts';
import { history, names, type Told, told, turns } from './told.ts';

const ordered = (events: readonly Told[], base?: CausalBase) => {
  const order = new CausalOrder<Told>((event) => event, base);
  const changed = order.add(events);
  return { order, changed, names: names(order.events()) };
};

function streamed(events: readonly Told[], portion: number, base?: CausalBase): string[] {
  const logs = new Map<string, Told[]>();
  for (const event of events) logs.set(event.node, [...(logs.get(event.node) ?? []), event]);
  const stream = new CausalStream<Told>((event) => event, [...logs.keys()], base);
  const out: Told[] = [];
  for (let step = stream.next(); step !== undefined; step = stream.next()) {
    if ('event' in step) out.push(step.event);
    else stream.feed(step.wants, logs.get(step.wants)?.splice(0, portion) ?? []);
  }
  return names(out);
}

describe('events in order, as a stream', () => {
  it('come out as they are ordered when all are there at once', () => {
    fc.assert(
      fc.property(turns, fc.integer({ min: 1, max: 9 }), (all, portion) => {
        const events = history(all);
        expect(streamed(events, portion)).toEqual(ordered(events).names);
      }),
      { numRuns: 500 },
    );
  });

  it('what waits for an event that is nowhere stays behind', () => {
    const events = [told('adam/1/1'), told('adam/1/2', { after: ['boris/1/1'] }), told('adam/1/3')];
    const stream = new CausalStream<Told>((event) => event, ['adam']);
    stream.next();
    stream.feed('adam', events);
    expect(stream.next()).toEqual({ event: events[0] });
    expect(stream.next()).toBeUndefined();
    expect(names(stream.waiting())).toEqual(['adam/1/2', 'adam/1/3']);
  });
});

describe('a base in the place of the first events', () => {
  it('everything behind a stable cut is ordered as with all of them; what belongs before it is told', () => {
    let cuts = 0;
    let refused = 0;
    fc.assert(
      fc.property(turns, fc.nat(40), fc.nat(40), (all, taken, latest) => {
        const events = history(all);
        const whole = ordered(events).names;
        const { order } = ordered(events.slice(0, taken));
        const place = order.stablePlace(latest);
        if (place === undefined) return;
        cuts += 1;
        const before = names(order.events());
        order.cut(place);
        expect(order.length).toBe(before.length);
        expect(names(order.events())).toEqual(before.slice(place));
        const { base } = order;
        const rest = events.filter((event) => !before.slice(0, place).includes(names([event])[0] ?? ''));

        const live = order.add(events);
        const again = ordered(rest, structuredClone(base));
        expect(again.changed === beforeBase).toBe(live === beforeBase);
        if (live === beforeBase) {
          refused += 1;
          return;
        }
        expect([...before.slice(0, place), ...names(order.events())]).toEqual(whole);
        expect(names(again.order.events())).toEqual(whole.slice(place));
        expect(streamed(rest, 3, base)).toEqual(whole.slice(place));
        expect(again.order.heads).toEqual(order.heads);
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(cuts, refused), 'both were met').toBeGreaterThan(20);
  });

  it('is cut only where everything behind follows everything before', () => {
    const events = [
      told('adam/1/1'),
      told('boris/1/1', { after: ['adam/1/1'] }),
      told('adam/1/2', { epoch: 1 }),
      told('boris/1/2', { epoch: 2 }),
      told('adam/1/3', { after: ['boris/1/2'], epoch: 2 }),
    ];
    const { order } = ordered(events);
    expect(names(order.events())).toEqual(['adam/1/1', 'boris/1/1', 'adam/1/2', 'boris/1/2', 'adam/1/3']);
    expect([1, 2, 3, 4, 5].map((latest) => order.stablePlace(latest))).toEqual([1, 1, 1, 4, 5]);
  });

  it('an event of a former incarnation that comes behind a cut belongs before it', () => {
    const { order } = ordered([told('adam/1/1'), told('adam/2/1')]);
    order.cut(2);
    expect(order.add([told('adam/1/1'), told('adam/2/1')])).toBe(2);
    expect(order.add([told('adam/1/2')])).toBe(beforeBase);
  });
});
