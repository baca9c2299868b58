import { describe, expect, it } from 'vitest';
import { changed, resourceOf, type Scene, sceneOf } from '../../adapters/web/page/scene.ts';
import type { Live, Picture } from '../../adapters/web/picture.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { StatusMirror, StatusView } from '../../projections/status.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';

const [eve, adam] = ['eve', 'adam'].map((name) => NodeName.parse(name)) as [NodeName, NodeName];
const tag = 't1';

const mirror: StatusMirror = {
  source: eve,
  target: adam,
  mode: 'async',
  status: 'fully-operational',
  connected: true,
  data: 'up-to-date',
  eligible: true,
  notEligibleBecause: null,
  percent: 100,
  speedBytesPerSecond: null,
  etaSeconds: null,
  dirtyRegions: 0,
  regions: 16,
  queuedWrites: null,
  behind: null,
  congested: false,
  generation: null,
  lastResync: null,
};

const status = (isAlive: boolean): StatusView => ({
  tag: Tag.parse(tag),
  state: 'in-service',
  source: eve,
  sources: [eve],
  lastOwner: eve,
  epoch: 1,
  device: [],
  nodes: [
    { node: eve, role: 'source', flags: [], alive: isAlive },
    { node: adam, role: 'target', flags: [], alive: true },
  ],
  mirrors: [mirror],
});

const entry = (sequence: number): TimelineEntry => ({
  event: `eve/1/${sequence}`,
  time: '2026-11-20T12:00:00.000Z',
  node: 'eve',
  tag,
  type: 'mirror.connected',
  sentence: 'it happened',
  actor: { id: 'eve', via: 'engine', verified: true },
  reason: null,
  command: null,
  cause: null,
});

const picture = (view: StatusView, count: number): Picture => ({
  node: 'eve',
  cluster: 'lab',
  asOf: { heads: {}, time: null },
  length: count,
  views: { [`status.${tag}`]: view },
  timeline: { from: 0, entries: Array.from({ length: count }, (_, index) => entry(index + 1)) },
});

describe('a scene of the page', () => {
  const behind = { writes: 3, bytes: 12_288, ms: 40 };
  const measuredBy = (source: NodeName): Live => ({
    [tag]: { source, mirrors: { adam: { behind, queuedWrites: 3 } } },
  });

  it('what is measured goes over what the history knows', () => {
    const scene = sceneOf(picture(status(true), 1));
    expect(resourceOf(scene, measuredBy(eve), tag)?.mirrors).toEqual([
      { ...mirror, behind, queuedWrites: 3 },
    ]);
    expect(resourceOf(scene, {}, tag)).toEqual(status(true));
  });

  it('what was measured by a source that is dead, or is the source no more, counts no more', () => {
    expect(resourceOf(sceneOf(picture(status(false), 1)), measuredBy(eve), tag)).toEqual(status(false));
    expect(resourceOf(sceneOf(picture(status(true), 1)), measuredBy(adam), tag)).toEqual(status(true));
  });

  it('holds the last thousand entries, each at its place', () => {
    let scene: Scene | null = sceneOf(picture(status(true), 0));
    for (let place = 0; place < 1500 && scene !== null; place += 100) {
      const entries = Array.from({ length: 100 }, (_, index) => entry(place + index + 1));
      const change = { asOf: scene.asOf, length: place + 100, views: {}, timeline: { from: place, entries } };
      scene = changed(scene, change);
    }
    expect(scene?.entries.length).toBe(1000);
    expect(scene?.from).toBe(500);
    expect(scene?.entries[0]?.event).toBe('eve/1/501');
  });

  it('a change that does not join what is here is not guessed at: a new picture is needed', () => {
    const scene = sceneOf(picture(status(true), 3));
    const change = (from: number) => ({
      asOf: scene.asOf,
      length: 9,
      views: {},
      timeline: { from, entries: [entry(9)] },
    });
    expect(changed(scene, change(4))).toBeNull();
    expect(changed(scene, change(3))?.entries).toHaveLength(4);
    expect(changed({ ...scene, from: 2 }, change(1))).toBeNull();
  });
});
