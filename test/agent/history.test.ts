import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { History, toEvent } from '../../adapters/agent/history.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { emptyStanding, fold } from '../../projections/views.ts';
import { draftOf } from '../../tools/bench-journal-events.ts';
import { MemoryJournal } from '../scenarios/memory-journal.ts';

/** Two nodes' events: `eve` writes of twenty resources, `adam` now and then of one that he has seen. */
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

const all = await logs(400);

describe('the history of a node', () => {
  it('folds to the same standing in whatever order and portions the logs arrive', () => {
    const portions = fc.array(fc.record({ late: fc.boolean(), size: fc.integer({ min: 1, max: 150 }) }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(portions, (steps) => {
        const history = new History();
        const queues = {
          eve: all.filter(({ node }) => node === 'eve'),
          adam: all.filter(({ node }) => node === 'adam'),
        };
        for (const { late, size } of steps) {
          const { before, after, events } = history.add(queues[late ? 'adam' : 'eve'].splice(0, size));
          if (events.length === 0) expect(after).toBe(before);
          expect(history.events(history.order.length - events.length)).toEqual(events);
        }
        history.add([...queues.adam, ...queues.eve]);
        const whole = emptyStanding();
        fold(whole, history.order.events().map(toEvent));
        expect(history.order.length).toBe(all.length);
        expect(history.standing).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });

  it('goes on from a standing that was stored, and refolds behind it where an event comes late', () => {
    const eve = all.filter(({ node }) => node === 'eve');
    const history = new History();
    history.load(eve);
    const standing = emptyStanding();
    fold(standing, history.events());
    history.begin(standing);
    const { events } = history.add(all.filter(({ node }) => node === 'adam'));
    const whole = emptyStanding();
    fold(whole, history.events());
    expect(history.standing).toEqual(whole);
    expect(events.length).toBeGreaterThan(all.length - eve.length);
  });
});
