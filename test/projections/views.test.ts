import fc from 'fast-check';
import { produce } from 'immer';
import { describe, expect, it } from 'vitest';
import type { AnyEvent, EventType } from '../../domain/events.ts';
import { eventSchemas } from '../../domain/events.ts';
import { sentenceOf } from '../../projections/sentences.ts';
import { timelineEntry, timelineLine, timelineMax } from '../../projections/timeline.ts';
import {
  asOf,
  bucketViews,
  emptyStanding,
  fold,
  LiveViews,
  type Standing,
  stamped,
  viewsOf,
} from '../../projections/views.ts';
import { examples } from './examples.ts';
import { guideHistory, History, tag } from './history.ts';

const types = Object.keys(eventSchemas) as EventType[];
const nodes = ['adam', 'eve', 'sophocles'];
/** One is named like a node: nothing may take the one for the other. */
const tags = [tag, 'eve'];
const ofNoResource = /^(node|journal)\./;

/** Events of every type about few nodes and resources, in any order: also ones that no decision would make. */
const histories = fc
  .array(
    fc.record({
      type: fc.oneof(
        { weight: 1, arbitrary: fc.constantFrom(...types) },
        {
          weight: 2,
          arbitrary: fc.constantFrom<EventType>(
            'resource.created',
            'resource.extended',
            'resource.entered-service',
            'resync.started',
            'mirror.connected',
          ),
        },
      ),
      unknown: fc.integer({ min: 0, max: 50 }).map((n) => n === 0),
      tag: fc.constantFrom(...tags),
      writer: fc.constantFrom(...nodes),
      a: fc.constantFrom(...nodes),
      b: fc.constantFrom(...nodes),
      n: fc.nat(9),
    }),
    { maxLength: 60, size: 'max' },
  )
  .map((steps) => {
    const history = new History();
    for (const step of steps) {
      if (step.unknown) history.addUnknown(step.writer, 'mirrorkeeper.resource.moved.v1', step.tag);
      else {
        const about = ofNoResource.test(step.type) ? null : step.tag;
        history.add(step.writer, step.type, about, examples[step.type](step.a, step.b, step.n));
      }
    }
    return history.events;
  });

const rebuilt = (events: readonly AnyEvent[]): Standing => {
  const standing = emptyStanding();
  fold(standing, events);
  return standing;
};

const texts = (standing: Standing): [string, string][] =>
  [...viewsOf(standing)].map(([name, view]) => [name, JSON.stringify(stamped(view, asOf(standing)))]);

const sorted = (entries: Iterable<[string, string]>) => [...entries].sort(([a], [b]) => (a < b ? -1 : 1));

describe('views', () => {
  it('are byte for byte the same live, rebuilt, and from a stored standing with the tail folded in', () => {
    fc.assert(
      fc.property(histories, fc.nat(60), fc.integer({ min: 1, max: 9 }), (events, cut, batch) => {
        const whole = rebuilt(events);
        const stored = JSON.parse(JSON.stringify(rebuilt(events.slice(0, cut)))) as Standing;
        fold(stored, events.slice(cut));
        expect(texts(stored)).toEqual(texts(whole));

        let live = emptyStanding();
        for (let at = 0; at < events.length; at += batch)
          live = produce(live, (draft: Standing) => fold(draft, events.slice(at, at + batch)));
        expect(texts(live)).toEqual(texts(whole));
      }),
      { numRuns: 1000 },
    );
  });

  it('whoever follows the changes has every view, and nothing that is no more', () => {
    fc.assert(
      fc.property(histories, fc.integer({ min: 1, max: 9 }), (events, batch) => {
        const live = new LiveViews();
        const followed = new Map<string, string>();
        for (let at = 0; at < events.length; at += batch) {
          const standing = rebuilt(events.slice(0, at + batch));
          for (const { name, view } of live.changes(standing, events.slice(at, at + batch))) {
            if (view === null) followed.delete(name);
            else followed.set(name, JSON.stringify({ ...view, asOf: null }));
          }
        }
        const all = [...viewsOf(rebuilt(events), '*', bucketViews)].map(
          ([name, view]) => [name, JSON.stringify({ ...view, asOf: null })] as [string, string],
        );
        expect(sorted(followed)).toEqual(sorted(all));
      }),
      { numRuns: 1000 },
    );
  });

  it('only what changed is told, with what it stands at', () => {
    const { events } = guideHistory();
    const live = new LiveViews();
    live.changes(rebuilt(events.slice(0, -1)), events.slice(0, -1));
    const changes = live.changes(rebuilt(events), events.slice(-1));
    expect(changes.map(({ name }) => name)).toEqual([`status.${tag}`, `progress.${tag}.sophocles`]);
    expect(changes[0]?.view?.asOf).toEqual({
      heads: { adam: [1, 1], eve: [1, 9], sophocles: [1, 1] },
      time: '2026-11-20T12:00:11.000Z',
    });
    expect(live.changes(rebuilt(events), [])).toEqual([]);
  });

  it('another order of the events takes the place of the one before', () => {
    const { events } = guideHistory();
    const live = new LiveViews();
    live.changes(rebuilt(events.slice(0, 5)), events.slice(0, 5));
    const changes = live.changes(rebuilt(events), events);
    expect(changes.map(({ name }) => name)).toContain(`progress.${tag}.sophocles`);
    expect(live.changes(rebuilt([]), events).every(({ view }) => view === null)).toBe(true);
  });
});

describe('the timeline', () => {
  it.each(types)('has a plain sentence for %s, with all its names in it', (type) => {
    for (const n of [0, 1, 2, 3]) {
      const about = ofNoResource.test(type) ? null : tag;
      const history = new History().add('eve', type, about, examples[type]('eve', 'adam', n));
      const sentence = sentenceOf(history.events[0] as AnyEvent);
      expect(sentence).not.toMatch(/undefined|null|NaN|\[object|\(\)/);
      expect(sentence.length).toBeGreaterThan(10);
    }
  });

  it('says who did it, why, and what brought it about', () => {
    const history = new History().add(
      'eve',
      'mirror.paused',
      tag,
      examples['mirror.paused']('eve', 'adam', 0),
      {
        actor: { id: 'paul', via: 'bus', verified: true },
        reason: 'nightly backup',
        cause: 'adam/1/7',
      },
    );
    const entry = timelineEntry(history.events[0] as AnyEvent);
    expect(timelineLine(entry)).toBe(
      '2026-11-20T12:00:01.000Z  eve  datarep-ext3: the mirror eve -> adam was paused (backup); by paul (bus), because "nightly backup"; after adam/1/7',
    );
    expect(entry).toMatchObject({ event: 'eve/1/1', tag, type: 'mirror.paused', command: null });
  });

  it('shows an event of a type that nobody knows', () => {
    const history = new History().addUnknown('eve', 'mirrorkeeper.resource.moved.v1', tag);
    expect(sentenceOf(history.events[0] as AnyEvent)).toBe(
      'mirrorkeeper.resource.moved.v1 happened, which this version does not know (datarep-ext3)',
    );
  });

  it('its view keeps the latest entries, without the steps of a resync', () => {
    const history = guideHistory();
    for (let n = 0; n < 350; n++) {
      history.add('eve', 'mirror.congested', tag, examples['mirror.congested']('eve', 'adam', n));
    }
    const view = viewsOf(rebuilt(history.events)).get(`timeline.${tag}`) as { entries: { event: string }[] };
    expect(view.entries).toHaveLength(timelineMax);
    expect(view.entries.at(-1)?.event).toBe(history.events.at(-1)?.id);
    const all = viewsOf(rebuilt(guideHistory().events)).get(`timeline.${tag}`) as {
      entries: { type: string }[];
    };
    expect(all.entries.map(({ type }) => type)).not.toContain('resync.progressed');
  });
});
