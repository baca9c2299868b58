import { describe, expect, it } from 'vitest';
import { type Change, History } from '../../adapters/agent/history.ts';
import { Feed } from '../../adapters/web/feed.ts';
import { changed, type Scene, sceneOf } from '../../adapters/web/page/scene.ts';
import type { Picture, PictureChange } from '../../adapters/web/picture.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { draftOf } from '../../tools/bench-journal-events.ts';
import { MemoryJournal } from '../scenarios/memory-journal.ts';
import { SimulatedClock } from '../scenarios/simulated-clock.ts';

/** Two nodes' events: `eve` writes, `adam` now and then of something that he has seen. */
async function logs(count: number): Promise<EventEnvelope[]> {
  const [eve, adam] = ['eve', 'adam'].map((name) => new MemoryJournal(NodeName.parse(name), () => 1000));
  if (!eve || !adam) throw new Error('two journals');
  const events: EventEnvelope[] = [];
  for (let number = 0; number < count; number += 1) {
    const stored = await eve.append([draftOf(number)]);
    events.push(...stored);
    if (number % 7 !== 0) continue;
    await adam.receive(stored);
    events.push(...(await adam.append([{ ...draftOf(number), command: `adam/${number}` }])));
  }
  return events;
}

const all = await logs(40);

function feedOf(events: readonly EventEnvelope[]) {
  const history = new History();
  const clock = new SimulatedClock();
  history.add(events);
  const feed = new Feed({ history, clock, node: 'eve', cluster: 'lab' });
  const happen = (...more: EventEnvelope[]) => feed.changed(history.add(more) as Change);
  return { feed, history, clock, happen };
}

/** A page: what it shows after these messages. */
function shown(messages: readonly { event: string; data: string }[], before: Scene | null = null): Scene {
  let scene = before;
  for (const { event, data } of messages) {
    if (event === 'picture') scene = sceneOf(JSON.parse(data) as Picture);
    else scene = scene && changed(scene, JSON.parse(data) as PictureChange);
  }
  if (scene === null) throw new Error('nothing is shown');
  return scene;
}

describe('the feed of an agent', () => {
  it('a page that is told every change shows what a new page shows', async () => {
    const { feed, happen, clock } = feedOf(all.slice(0, 3));
    let page = shown([feed.picture()]);
    feed.listen((message) => {
      page = shown([message], page);
    });
    for (const event of all.slice(3)) {
      happen(event);
      await clock.pass(20);
    }
    expect(page).toEqual(shown([feed.picture()]));
    expect(page.entries).toHaveLength(all.length);
  });

  it('a page that was away gets exactly what it missed', () => {
    const { feed, happen } = feedOf(all.slice(0, 3));
    const first = feed.picture();
    for (const event of all.slice(3, 6)) {
      happen(event);
      feed.picture();
    }
    const missed = feed.since(first.id);
    expect(missed?.map(({ event }) => event)).toEqual(['change', 'change', 'change']);
    expect(shown([first, ...(missed ?? [])])).toEqual(shown([feed.picture()]));
    expect(feed.since(feed.picture().id)).toEqual([]);
  });

  it('a position of another run, or one that it never had, is unknown', () => {
    const { feed } = feedOf(all.slice(0, 3));
    for (const position of ['', 'nonsense', '00000000-0', feed.picture().id.replace(/-\d+$/, '-9')])
      expect(feed.since(position), position).toBeNull();
  });

  it('an event that comes late moves those behind it, on the page too', async () => {
    const { feed, happen, clock, history } = feedOf(all.filter(({ node }) => node === 'eve'));
    let page = shown([feed.picture()]);
    feed.listen((message) => {
      page = shown([message], page);
    });
    for (const late of all.filter(({ node }) => node === 'adam')) {
      happen(late);
      await clock.pass(20);
    }
    expect(page.entries.map(({ event }) => event)).toEqual(history.events().map(({ id }) => id));
    expect(page).toEqual(shown([feed.picture()]));
  });
});
