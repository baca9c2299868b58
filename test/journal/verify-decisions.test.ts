import { describe, expect, it } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { verifyDecisions } from '../../journal/verify-decisions.ts';
import { create, createFacts, decider, join } from './decider.ts';
import { allEvents, openJournal, temporaryDirectory } from './support.ts';

/** eve's log: decisions accepted and refused, with something of adam's seen in between. */
async function history(): Promise<EventEnvelope[]> {
  const { loop, journal } = await decider(temporaryDirectory(), createFacts);
  const adam = await openJournal(temporaryDirectory(), 'adam');
  await loop.execute(join);
  await loop.execute(create('one'));
  const joined = {
    type: 'mirrorkeeper.node.joined.v1',
    actor: join.actor,
    data: { node: 'adam', host: null },
  };
  await journal.receive(await adam.append([joined]));
  await loop.execute(create('two'));
  await loop.execute(create('three', '/srv/b', 'mail'));
  return await allEvents(journal);
}

const byNode = (events: readonly EventEnvelope[]) =>
  new Map(['adam', 'eve'].map((node) => [node, events.filter((event) => event.node === node)]));

describe('decisions', () => {
  it('follow from what their writer had seen and the facts that it recorded', async () => {
    expect(verifyDecisions(byNode(await history()))).toEqual({ decisionCount: 4, findings: [] });
  });

  it('show it where an event is not what the decision comes to', async () => {
    const events = await history();
    const changed = events.map((event) =>
      event.type === 'mirrorkeeper.resource.created.v1' && event.subject === 'mail'
        ? { ...event, data: { ...event.data, priority: 7 } }
        : event,
    );
    const { findings } = verifyDecisions(byNode(changed));
    expect(findings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/event eve\/1\/\d+ does not follow .*: resource.created would be its event 1/),
    ]);
  });

  it('show it where something was refused, or accepted, against the rules', async () => {
    const events = await history();
    const withoutFirst = events.filter(({ subject, type }) => subject !== 'web' || type.includes('refused'));
    const { findings } = verifyDecisions(byNode(withoutFirst));
    expect(findings.map(({ message }) => message)).toEqual([
      expect.stringContaining('it was refused with tag-exists and would be accepted'),
    ]);
  });
});
