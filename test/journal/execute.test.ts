import { describe, expect, it } from 'vitest';
import { commandsKept } from '../../domain/evolve/commands.ts';
import type { Executed } from '../../journal/execute.ts';
import type { EventDraft } from '../../journal/journal.ts';
import { command } from '../domain/given.ts';
import { create, createFacts, decider, join } from './decider.ts';
import { allEvents, temporaryDirectory } from './support.ts';

const ended = (id: string): EventDraft => ({
  type: 'mirrorkeeper.command.completed.v1',
  actor: { id: 'root', via: 'socket', verified: false },
  command: id,
  data: { commandId: id, digest: id, device: null },
});

const setting = (id: string, value: number) =>
  command('settings', { tag: 'web', key: 'resync-min', value, id, digest: `${value}` } as never);

const idsOf = (executed: Executed) =>
  executed.kind === 'accepted' ? executed.events.map(({ id }) => id) : executed;

describe('the command loop', () => {
  it('makes events durable with the command and the facts that they followed from', async () => {
    const { loop, journal, state } = await decider(temporaryDirectory(), createFacts);
    await loop.execute(join);
    const done = await loop.execute(create('one'));
    if (done.kind !== 'accepted') throw new Error(JSON.stringify(done));
    const stored = await allEvents(journal);
    expect(done.events).toEqual(stored.slice(1));
    expect(done.events[0]).toMatchObject({
      type: 'mirrorkeeper.resource.created.v1',
      subject: 'web',
      command: 'one',
      actorid: 'root',
      data: {
        node: 'eve',
        decision: { command: { id: 'one' }, facts: { self: 'eve', journalDamaged: false } },
      },
    });
    expect(state().resources['web']?.tag).toBe('web');
  });

  it('gives the same command the same reply with one effect: at once, later, and after a restart', async () => {
    const directory = temporaryDirectory();
    const first = await decider(directory, createFacts);
    await first.loop.execute(join);
    const replies = await Promise.all([first.loop.execute(create('one')), first.loop.execute(create('one'))]);
    expect(replies[0]).toEqual(replies[1]);
    expect(await first.loop.execute(create('one'))).toEqual(replies[0]);
    const count = (await allEvents(first.journal)).length;
    await first.journal.close();

    const again = await decider(directory, createFacts);
    expect(idsOf(await again.loop.execute(create('one')))).toEqual(idsOf(replies[0]));
    expect(await allEvents(again.journal)).toHaveLength(count);
  });

  it('refuses the same id with another body, and leaves the first command as it was', async () => {
    const { loop } = await decider(temporaryDirectory(), createFacts);
    await loop.execute(join);
    const first = loop.execute(create('one'));
    const reused = await loop.execute(create('one', '/srv/b'));
    expect(reused).toMatchObject({ kind: 'refused', refusal: { code: 'command-id-reused' } });
    expect(await loop.execute(create('one'))).toEqual(await first);
    expect((await first).kind).toBe('accepted');
  });

  it('knows a command for ever, also when the state does not any more: one effect, one meaning (I11)', async () => {
    const directory = temporaryDirectory();
    const first = await decider(directory, createFacts);
    await first.loop.execute(join);
    await first.loop.execute(create('one'));
    const refused = await first.loop.execute(create('again'));
    expect(refused).toMatchObject({ kind: 'refused', refusal: { code: 'tag-exists' } });
    const done = await first.loop.execute(setting('set', 1));
    expect(done.kind).toBe('accepted');
    for (let number = 0; number < 4; number += 1)
      await first.journal.append(Array.from({ length: commandsKept }, (_, at) => ended(`${number}-${at}`)));
    expect(Object.keys(first.state().commands)).not.toContain('set');
    expect(Object.keys(first.state().commands).length).toBeLessThan(4 * commandsKept);
    const count = (await allEvents(first.journal)).length;
    await first.journal.close();

    const { loop, journal } = await decider(directory, createFacts);
    expect(idsOf(await loop.execute(setting('set', 1)))).toEqual(idsOf(done));
    expect(await loop.execute(create('again'))).toEqual(refused);
    expect(await allEvents(journal)).toHaveLength(count);
    const reused = { kind: 'refused', refusal: { code: 'command-id-reused' } };
    expect(await loop.execute(setting('set', 2))).toMatchObject(reused);
    expect(idsOf(await loop.execute(setting('set', 1)))).toEqual(idsOf(done));
  });

  it('decides one command after the other for a resource: of two equal creates one is refused', async () => {
    const { loop, journal } = await decider(temporaryDirectory(), createFacts);
    await loop.execute(join);
    const [one, two] = await Promise.all([
      loop.execute(create('one')),
      loop.execute(create('two', '/srv/b')),
    ]);
    expect(one.kind).toBe('accepted');
    expect(two).toMatchObject({ kind: 'refused', refusal: { code: 'tag-exists' } });
    const refused = (await allEvents(journal)).at(-1);
    expect(refused).toMatchObject({
      type: 'mirrorkeeper.command.refused.v1',
      data: { commandId: 'two', code: 'tag-exists', count: 1 },
    });
    expect(two).toMatchObject({ id: refused?.id });
  });

  it('counts equal refusals instead of repeating them', async () => {
    const { loop, journal } = await decider(temporaryDirectory(), createFacts);
    await loop.execute(join);
    await loop.execute(create('first'));
    for (let number = 0; number < 25; number += 1) await loop.execute(create(`again-${number}`));
    const refused = (await allEvents(journal)).filter(({ type }) => type.includes('command.refused'));
    expect(refused.map(({ data }) => data['count'])).toEqual([1, 9]);
  });

  it('gives a refused command its refusal again after a restart', async () => {
    const directory = temporaryDirectory();
    const first = await decider(directory, createFacts);
    await first.loop.execute(join);
    await first.loop.execute(create('one'));
    const refused = await first.loop.execute(create('two', '/srv/b'));
    await first.journal.close();
    const again = await decider(directory, createFacts);
    expect(await again.loop.execute(create('two', '/srv/b'))).toEqual(refused);
  });

  it('answers a dry run without journaling anything', async () => {
    const { loop, journal } = await decider(temporaryDirectory(), createFacts);
    await loop.execute(join);
    const before = (await allEvents(journal)).length;
    const plan = await loop.execute({ ...create('dry'), dryRun: true });
    expect(plan.kind === 'planned' && plan.events.map(({ type }) => type)).toContain('resource.created');
    expect(await allEvents(journal)).toHaveLength(before);
    expect((await loop.execute(create('dry'))).kind).toBe('accepted');
  });

  it('decides nothing while the journal is damaged, and says so', async () => {
    const { loop, journal } = await decider(temporaryDirectory(), createFacts);
    await loop.execute(join);
    journal.reportSeen({ incarnation: 1, sequence: 9, hash: 'f'.repeat(64) });
    const refused = await loop.execute(create('one'));
    expect(refused).toMatchObject({ kind: 'refused', refusal: { code: 'journal-damaged' }, id: null });
  });
});
