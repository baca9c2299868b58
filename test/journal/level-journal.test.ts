import { describe, expect, it } from 'vitest';
import { parseSeen } from '../../domain/envelope.ts';
import { hashFault } from '../../journal/record.ts';
import { isSignatureGood } from '../../journal/signing-key.ts';
import { draft, drafts } from './drafts.ts';
import { allEvents, codeOf, copyOf, openJournal, temporaryDirectory } from './support.ts';

describe('a journal', () => {
  it('stamps a gapless, hash-chained log and reads it back after a restart', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    const appended = [...(await journal.append(drafts(3))), ...(await journal.append([draft(4)]))];
    expect(appended.map(({ id }) => id)).toEqual(['eve/1/1', 'eve/1/2', 'eve/1/3', 'eve/1/4']);
    expect(appended.map(({ previous }) => previous)).toEqual([
      '',
      ...appended.slice(0, 3).map(({ hash }) => hash),
    ]);
    expect(appended.map(hashFault)).toEqual([undefined, undefined, undefined, undefined]);
    await journal.close();

    const again = await openJournal(directory);
    expect(again.damage()).toEqual([]);
    expect(await allEvents(again)).toEqual(appended);
    expect(again.heads()).toEqual({ eve: { incarnation: 1, sequence: 4, hash: appended[3]?.hash } });
    expect((await again.append([draft(5)]))[0]).toMatchObject({ id: 'eve/1/5', previous: appended[3]?.hash });
  });

  it('gives concurrent appends their places in the order of the calls, and tells listeners first', async () => {
    const journal = await openJournal(temporaryDirectory());
    const told: string[] = [];
    journal.onStored((events) => told.push(...events.map(({ id }) => id)));
    const results = await Promise.all(drafts(200).map((one) => journal.append([one])));
    const ids = results.flat().map(({ id }) => id);
    expect(ids).toEqual(Array.from({ length: 200 }, (_, index) => `eve/1/${index + 1}`));
    expect(told).toEqual(ids);
  });

  it('reads a range up to the end of the log', async () => {
    const journal = await openJournal(temporaryDirectory());
    const events = await journal.append(drafts(5));
    const read = async (node: string, from: number, to: number) => {
      const ids: string[] = [];
      for await (const batch of journal.read({ node, incarnation: 1, from, to }))
        ids.push(...batch.map(({ id }) => id));
      return ids;
    };
    expect(await read('eve', 2, 3)).toEqual(['eve/1/2', 'eve/1/3']);
    expect(await read('eve', 4, 99)).toEqual(events.slice(3).map(({ id }) => id));
    expect(await read('eve', 6, 99)).toEqual([]);
    expect(await read('adam', 1, 99)).toEqual([]);
  });

  it('takes all drafts of an append or none', async () => {
    const journal = await openJournal(temporaryDirectory());
    await journal.append([draft(1)]);
    const notJson = { ...draft(2), data: { size: 1n } };
    await expect(journal.append([draft(2), notJson])).rejects.toThrow('no place in JSON');
    expect((await journal.append([draft(2)]))[0]?.id).toBe('eve/1/2');
    expect(journal.heads()['eve']?.sequence).toBe(2);
  });

  it('receives the log of another node in order only, once, and never another event in the place of one', async () => {
    const eve = await openJournal(temporaryDirectory(), 'eve');
    const adam = await openJournal(temporaryDirectory(), 'adam');
    const events = await adam.append(drafts(6));
    const [first, second, third] = events;
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('nothing appended');

    const early = await eve.receive([third]);
    expect(early).toMatchObject({ stored: [], gaps: [{ node: 'adam', incarnation: 1, from: 1, to: 2 }] });
    expect((await eve.receive(events)).stored).toHaveLength(6);
    expect(await eve.receive(events)).toMatchObject({ stored: [], duplicates: 6, conflicts: [], gaps: [] });

    const forger = await openJournal(temporaryDirectory(), 'adam');
    const forged = await forger.append(drafts(2, 100));
    const outcome = await eve.receive(forged);
    expect(outcome.conflicts.map(({ id }) => id)).toEqual(['adam/1/1', 'adam/1/2']);
    expect(await allEvents(eve)).toEqual(events);
  });

  it('receives nothing that does not verify', async () => {
    const eve = await openJournal(temporaryDirectory(), 'eve');
    const adam = await openJournal(temporaryDirectory(), 'adam');
    const [event] = await adam.append([draft(1)]);
    if (event === undefined) throw new Error('nothing appended');
    const wrong = [
      { ...event, data: { number: 2 } },
      { ...event, reason: 'another' },
      { ...event, sequence: 2 },
      { ...event, extra: 1 },
    ];
    for (const one of wrong) expect((await eve.receive([one])).rejected).toHaveLength(1);
    expect(eve.heads()).toEqual({});
    expect((await eve.receive([event])).stored).toEqual([event]);
  });

  it('tells in each event the heads of others that changed since the one before', async () => {
    const eve = await openJournal(temporaryDirectory(), 'eve');
    const adam = await openJournal(temporaryDirectory(), 'adam');
    const [one] = await eve.append([draft(1)]);
    await eve.receive(await adam.append(drafts(2)));
    const [two, three] = await eve.append(drafts(2, 2));
    expect(one?.seen).toBe('');
    expect(parseSeen(two?.seen ?? '')).toEqual([
      { node: 'adam', incarnation: 1, sequence: 2, hash16: eve.heads()['adam']?.hash.slice(0, 16) },
    ]);
    expect(three?.seen).toBe('');
  });

  it('signs its head with the heads it has seen; others hold it against the log', async () => {
    const eve = await openJournal(temporaryDirectory(), 'eve');
    const adam = await openJournal(temporaryDirectory(), 'adam');
    const events = await adam.append(drafts(3));
    await eve.receive(events);
    const head = adam.signedHead();
    expect(isSignatureGood(head)).toBe(true);
    expect(head).toMatchObject({ node: 'adam', sequence: 3, hash: events[2]?.hash, key: adam.publicKey });
    expect(eve.signedHead().seen).toEqual({ adam: { incarnation: 1, sequence: 3, hash: events[2]?.hash } });

    await eve.attest(head, [adam.publicKey]);
    expect(eve.signedHeads()).toContainEqual(head);
    expect(await codeOf(eve.attest(head, [eve.publicKey]))).toBe('bad-signature');
    expect(await codeOf(eve.attest({ ...head, sequence: 2 }, [adam.publicKey]))).toBe('bad-signature');

    const rewritten = await openJournal(temporaryDirectory(), 'adam');
    await rewritten.append(drafts(3, 7));
    expect(await codeOf(eve.attest(rewritten.signedHead(), [rewritten.publicKey]))).toBe('bad-chain');
  });

  it('keeps a snapshot with its heads, and gives none that is ahead of the logs', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    await journal.append(drafts(10));
    const heads = journal.heads();
    await journal.putSnapshot('state', { heads, body: '{"a":1}' });
    await journal.append(drafts(5, 11));
    await journal.close();

    const again = await openJournal(directory);
    expect(await again.getSnapshot('state')).toEqual({ heads, body: '{"a":1}' });
    const tail: string[] = [];
    for await (const batch of again.replay(heads)) tail.push(...batch.map(({ id }) => id));
    expect(tail).toEqual(['eve/1/11', 'eve/1/12', 'eve/1/13', 'eve/1/14', 'eve/1/15']);
    await again.verified;
    expect(again.damage()).toEqual([]);
    await again.putSnapshot('ahead', {
      heads: { eve: { incarnation: 1, sequence: 99, hash: 'a'.repeat(64) } },
      body: '',
    });
    expect(await again.getSnapshot('ahead')).toBeUndefined();
    expect(await again.getSnapshot('none')).toBeUndefined();
  });

  it('is behind what others have seen of it: damaged until it has it back', async () => {
    const journal = await openJournal(temporaryDirectory());
    const events = await journal.append(drafts(5));
    const restored = await openJournal(temporaryDirectory());
    const head = journal.heads()['eve'];
    if (head === undefined) throw new Error('no head');
    restored.reportSeen({ ...head, sequence: 2 });
    restored.reportSeen(head);
    restored.reportSeen({ ...head, sequence: 3 });
    expect(restored.damage()).toMatchObject([{ code: 'log-missing', from: 1, to: 5 }]);
    expect(await codeOf(restored.append([draft(6)]))).toBe('log-missing');
    expect(await restored.repair(copyOf(events))).toEqual([]);
    expect((await restored.append([draft(6)]))[0]?.id).toBe('eve/1/6');
  });

  it('starts a new incarnation only when told to, and continues the last good event', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    const events = await journal.append(drafts(3));
    journal.reportSeen({ incarnation: 1, sequence: 7, hash: 'f'.repeat(64) });
    expect(await codeOf(journal.append([draft(4)]))).toBe('torn-tail');
    await journal.startIncarnation();
    const [next] = await journal.append([draft(4)]);
    expect(next).toMatchObject({ id: 'eve/2/1', previous: events[2]?.hash });
    expect(parseSeen(next?.seen ?? '')).toMatchObject([{ node: 'eve', incarnation: 1, sequence: 3 }]);
    await journal.close();
    const again = await openJournal(directory);
    expect(again.damage()).toEqual([]);
    expect((await again.append([draft(5)]))[0]?.id).toBe('eve/2/2');

    const other = await openJournal(temporaryDirectory(), 'adam');
    expect((await other.receive(await allEvents(again))).rejected).toEqual([]);
    expect(await allEvents(other)).toEqual(await allEvents(again));
  });
});
