import { createHash, generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Level } from 'level';
import { describe, expect, it } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { canonicalJson } from '../../journal/canonical-json.ts';
import { HeadFile } from '../../journal/head-file.ts';
import type { JournalErrorCode } from '../../journal/journal.ts';
import { eventKey } from '../../journal/keys.ts';
import { decode, encode } from '../../journal/record.ts';
import { openSigningKey } from '../../journal/signing-key.ts';
import { draft, drafts } from './drafts.ts';
import { allEvents, codeOf, copyOf, openJournal, temporaryDirectory } from './support.ts';

const eventCount = 400;
const batchSize = 50;

interface Case {
  readonly name: string;
  readonly code: JournalErrorCode;
  readonly damage: (directory: string, events: readonly EventEnvelope[]) => void | Promise<void>;
  /** Events before this one are good. */
  readonly readableUpTo?: number;
}

const file = (directory: string, ending: string): string => {
  const folder = join(directory, 'events');
  const name = readdirSync(folder)
    .filter((entry) => entry.endsWith(ending))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error(`no ${ending} in ${folder}`);
  return join(folder, name);
};

function flipBit(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x04;
  writeFileSync(path, bytes);
}

async function inDatabase(directory: string, work: (database: Level<string, string>) => Promise<void>) {
  const database = new Level<string, string>(join(directory, 'events'));
  await database.open();
  await work(database);
  await database.close();
}

const inTables = (directory: string) =>
  inDatabase(directory, async (database) => {
    const { compactRange } = database as unknown as { compactRange: (a: string, b: string) => Promise<void> };
    await compactRange.call(database, 'a', 'z');
  });

const eve = (sequence: number) => eventKey({ node: 'eve', incarnation: 1, sequence });

/** The event with another payload and hashes that fit it. */
function rehashed(event: EventEnvelope, previous: string): EventEnvelope {
  const data = { ...event.data, percent: 99 };
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const { salt, hash: _, data: __, ...attributes } = event;
  const changed = { ...attributes, previous, datahash: sha256(salt + canonicalJson(data)) };
  return { ...changed, salt, data, hash: sha256(canonicalJson(changed)) };
}

/** Everything from the 100th event on, hashed anew, so that the chain itself is without fault. */
const rewriteHistory = async (
  directory: string,
  events: readonly EventEnvelope[],
): Promise<EventEnvelope> => {
  let previous = events[98]?.hash ?? '';
  let last: EventEnvelope | undefined;
  await inDatabase(directory, async (database) => {
    for (const event of events.slice(99)) {
      last = rehashed(event, previous);
      previous = last.hash;
      await database.put(eventKey(last), encode(last));
    }
  });
  if (last === undefined) throw new Error('nothing rewritten');
  return last;
};

const cases: readonly Case[] = [
  {
    name: 'torn tail of the LevelDB log',
    code: 'torn-tail',
    damage: (directory) =>
      truncateSync(file(directory, '.log'), readFileSync(file(directory, '.log')).length - 300),
    readableUpTo: eventCount - batchSize,
  },
  {
    name: 'bit flip in the first block of the LevelDB log',
    code: 'gap',
    damage: (directory) => flipBit(file(directory, '.log'), 9_000),
  },
  {
    name: 'bit flip in the last block of the LevelDB log',
    code: 'torn-tail',
    damage: (directory) =>
      flipBit(file(directory, '.log'), readFileSync(file(directory, '.log')).length - 1_500),
  },
  {
    name: 'bit flip in a table',
    code: 'bad-checksum',
    damage: async (directory) => {
      await inTables(directory);
      flipBit(file(directory, '.ldb'), 20_000);
    },
  },
  {
    name: 'bit flip in the stored value of an event',
    code: 'bad-checksum',
    damage: (directory) =>
      inDatabase(directory, async (database) => {
        const bytes = Buffer.from(await database.get(eve(50)));
        bytes[400] = (bytes[400] ?? 0) ^ 1;
        await database.put(eve(50), bytes.toString());
      }),
    readableUpTo: 49,
  },
  {
    name: 'deleted log file of LevelDB',
    code: 'log-missing',
    damage: (directory) => rmSync(file(directory, '.log')),
    readableUpTo: 0,
  },
  {
    name: 'deleted database',
    code: 'log-missing',
    damage: (directory) => rmSync(join(directory, 'events'), { recursive: true }),
    readableUpTo: 0,
  },
  {
    name: 'deleted table of LevelDB',
    code: 'log-missing',
    damage: async (directory) => {
      await inTables(directory);
      rmSync(file(directory, '.ldb'));
    },
    readableUpTo: 0,
  },
  {
    name: 'missing middle events',
    code: 'gap',
    damage: (directory) =>
      inDatabase(directory, (database) =>
        database.batch([50, 51, 52].map((at) => ({ type: 'del', key: eve(at) }))),
      ),
    readableUpTo: 49,
  },
  {
    name: 'an event in the place of another',
    code: 'bad-chain',
    damage: (directory) =>
      inDatabase(directory, async (database) => {
        const [a, b] = await database.getMany([eve(60), eve(61)]);
        await database.batch([
          { type: 'put', key: eve(60), value: b ?? '' },
          { type: 'put', key: eve(61), value: a ?? '' },
        ]);
      }),
    readableUpTo: 59,
  },
  {
    name: 'edited payload',
    code: 'bad-chain',
    damage: (directory) =>
      inDatabase(directory, async (database) => {
        const event = decode(await database.get(eve(70)));
        if (event === undefined) throw new Error('not there');
        await database.put(eve(70), encode({ ...event, data: { ...event.data, percent: 99 } }));
      }),
  },
  {
    name: 'edited payload with hashes that fit it',
    code: 'bad-chain',
    damage: (directory, events) =>
      inDatabase(directory, async (database) => {
        const event = events[69];
        if (event !== undefined) await database.put(eve(70), encode(rehashed(event, event.previous)));
      }),
  },
  {
    name: 'history rewritten without a fault in its chain',
    code: 'bad-chain',
    damage: async (directory, events) => void (await rewriteHistory(directory, events)),
  },
  {
    name: 'history rewritten and its head signed by another key',
    code: 'bad-signature',
    damage: async (directory, events) => {
      const { incarnation, sequence, hash } = await rewriteHistory(directory, events);
      const other = openSigningKey(join(temporaryDirectory(), 'other-key'));
      const headFile = new HeadFile(join(directory, 'head'));
      const node = NodeName.parse('eve');
      headFile.write({ node, cluster: 'test', incarnation, sequence, hash });
      headFile.writeSigned(other.signHead({ node, incarnation, sequence, hash, seen: {} }));
      headFile.close();
    },
  },
  {
    name: 'the head beside the database deleted',
    code: 'head-missing',
    damage: (directory) => rmSync(join(directory, 'head')),
    readableUpTo: eventCount,
  },
];

describe('damage', () => {
  it.each(cases)('$name is reported as $code, and what is lost comes back from another copy', async (one) => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    const events: EventEnvelope[] = [];
    while (events.length < eventCount)
      events.push(...(await journal.append(drafts(batchSize, events.length + 1))));
    await journal.close();
    await one.damage(directory, events);

    const damaged = await openJournal(directory);
    expect(damaged.damage().map(({ code }) => code)).toContain(one.code);
    expect(await codeOf(damaged.append([draft(0)]))).toBe(damaged.damage()[0]?.code);

    const good = Math.min(...damaged.damage().map(({ from }) => from)) - 1;
    if (one.readableUpTo !== undefined && one.code !== 'head-missing') expect(good).toBe(one.readableUpTo);
    const readable: EventEnvelope[] = [];
    for await (const batch of damaged.read({ node: 'eve', incarnation: 1, from: 1, to: good }))
      readable.push(...batch);
    expect(readable).toEqual(events.slice(0, good));

    const nothing = await damaged.repair(async () => []);
    expect(nothing.map(({ code }) => code)).toContain(one.code);
    expect(await damaged.repair(copyOf(events))).toEqual([]);
    expect(await allEvents(damaged)).toEqual(events);
    await damaged.close();

    const repaired = await openJournal(directory);
    expect(repaired.damage()).toEqual([]);
    expect((await repaired.append([draft(0)]))[0]).toMatchObject({
      sequence: eventCount + 1,
      previous: events.at(-1)?.hash,
    });
  });

  it('no flipped bit in any file of the database goes unnoticed or changes an event', async () => {
    const original = temporaryDirectory();
    const journal = await openJournal(original);
    const events = [...(await journal.append(drafts(150)))];
    await journal.close();
    const again = await openJournal(original);
    while (events.length < 300) events.push(...(await again.append(drafts(10, events.length + 1))));
    await again.close();
    const files = readdirSync(join(original, 'events')).filter((name) =>
      /\.(ldb|log)$|MANIFEST|CURRENT/.test(name),
    );

    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (name, at) => {
          const directory = mkdtempSync(join(temporaryDirectory(), 'flip-'));
          cpSync(original, directory, { recursive: true });
          const path = join(directory, 'events', name);
          flipBit(path, Math.floor(at * (readFileSync(path).length - 1)));
          const damaged = await openJournal(directory);
          if (damaged.damage().length === 0) expect(await allEvents(damaged)).toEqual(events);
          expect(await damaged.repair(copyOf(events))).toEqual([]);
          expect(await allEvents(damaged)).toEqual(events);
          await damaged.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('events of another node that were there once and are gone are damage too, and come back', async () => {
    const directory = temporaryDirectory();
    const eve = await openJournal(directory);
    const adam = await openJournal(temporaryDirectory(), 'adam');
    const events = await adam.append(drafts(20));
    await eve.receive(events);
    await eve.append([draft(0)]);
    await eve.close();
    await inDatabase(directory, (database) =>
      database.clear({ gte: eventKey({ node: 'adam', incarnation: 1, sequence: 15 }), lt: 'e!b' }),
    );
    const damaged = await openJournal(directory);
    expect(damaged.damage()).toMatchObject([{ code: 'torn-tail', node: 'adam', from: 15, to: 20 }]);
    expect(await codeOf(damaged.append([draft(0)]))).toBe('torn-tail');
    expect(await damaged.repair(copyOf(events))).toEqual([]);
    expect((await damaged.append([draft(0)]))[0]?.id).toBe('eve/1/2');
  });

  it('an operator may go on from the last good event, as the next incarnation', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    const events = await journal.append(drafts(30));
    await journal.close();
    await inDatabase(directory, (database) => database.del(eve(20)));
    const damaged = await openJournal(directory);
    expect(damaged.damage()).toMatchObject([{ code: 'gap', from: 20, to: 20 }]);
    await damaged.startIncarnation();
    const [next] = await damaged.append([draft(0)]);
    expect(next).toMatchObject({ id: 'eve/2/1', previous: events[18]?.hash });
    await damaged.close();
    const again = await openJournal(directory);
    expect(again.damage()).toEqual([]);
    expect((await allEvents(again)).map(({ id }) => id)).toEqual([
      ...events.slice(0, 19).map(({ id }) => id),
      'eve/2/1',
    ]);
  });

  it('a missing head costs no event when an operator goes on without it', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    const events = await journal.append(drafts(5));
    await journal.close();
    rmSync(join(directory, 'head'));
    const damaged = await openJournal(directory);
    await damaged.startIncarnation();
    expect(await allEvents(damaged)).toEqual(events);
    expect((await damaged.append([draft(0)]))[0]).toMatchObject({ id: 'eve/2/1', previous: events[4]?.hash });
  });

  it('a copy that is not what was lost repairs nothing', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    await journal.append(drafts(20));
    await journal.close();
    rmSync(join(directory, 'events'), { recursive: true });
    const forger = await openJournal(temporaryDirectory());
    const forged = await forger.append(drafts(20, 5));

    const damaged = await openJournal(directory);
    expect((await damaged.repair(copyOf(forged))).map(({ code }) => code)).toEqual(['log-missing']);
    expect(await codeOf(damaged.append([draft(0)]))).toBe('log-missing');
  });

  it('a key that is not a key is an error, not a new identity', async () => {
    const directory = temporaryDirectory();
    await (await openJournal(directory)).close();
    writeFileSync(join(directory, 'signing-key'), 'garbage');
    await expect(openJournal(directory)).rejects.toThrow();
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(join(directory, 'signing-key'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
    expect((await openJournal(directory)).damage().map(({ code }) => code)).toEqual(['bad-signature']);
  });
});
