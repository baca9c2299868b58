import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { envelopeType } from '../../domain/envelope.ts';
import { journalCommand } from '../../tools/journal-command.ts';
import { runProgram } from '../../tools/program.ts';
import { draft, drafts } from '../journal/drafts.ts';
import { openJournal, temporaryDirectory } from '../journal/support.ts';

async function mirrorkeeper(...args: string[]) {
  let out = '';
  let err = '';
  const output = {
    out: async (text: string) => {
      out += text;
    },
    err: (line: string) => {
      err += `${line}\n`;
    },
  };
  const code = await runProgram([journalCommand(output)], args, output);
  return { code, out, err };
}

const journal = (data: string, ...args: string[]) => mirrorkeeper('journal', ...args, '--data', data);

/** eve's data directory: ten events of her own among eight of adam's, who has seen some of hers. */
async function someJournal(): Promise<string> {
  const data = temporaryDirectory();
  const eve = await openJournal(join(data, 'journal'), 'eve');
  const adam = await openJournal(join(temporaryDirectory(), 'journal'), 'adam');
  const key = (node: string, publicKey: string) => ({
    ...draft(0),
    subject: undefined,
    type: envelopeType('node.key-added', 1),
    data: { node, publicKey },
  });
  await eve.append([key('eve', eve.publicKey), ...drafts(4)]);
  await adam.receive(await eve.append(drafts(0)));
  const first: EventEnvelope[] = [];
  for await (const batch of eve.replay()) first.push(...batch);
  await adam.receive(first);
  await eve.receive(await adam.append([key('adam', adam.publicKey), ...drafts(7)]));
  await eve.append(drafts(5, 5));
  await eve.attest(adam.signedHead(), [adam.publicKey]);
  await eve.close();
  return data;
}

async function someExport(...args: string[]): Promise<{ file: string; lines: string[] }> {
  const { code, out } = await journal(await someJournal(), 'export', ...args);
  expect(code).toBe(0);
  const file = join(temporaryDirectory(), 'export.ndjson');
  writeFileSync(file, out);
  return { file, lines: out.trimEnd().split('\n') };
}

describe('journal list', () => {
  it('tells what happened, causes before effects, filtered by tag, type and since', async () => {
    const data = await someJournal();
    const all = await journal(data, 'list');
    expect(all.code).toBe(0);
    const ids = all.out
      .trimEnd()
      .split('\n')
      .map((line) => line.split('  ')[1]);
    expect(ids).toHaveLength(18);
    expect(ids.indexOf('adam/1/1')).toBeGreaterThan(ids.indexOf('eve/1/5'));
    expect(ids.indexOf('eve/1/6')).toBeGreaterThan(ids.indexOf('adam/1/8'));

    const keys = await journal(data, 'list', '--type', 'node.key-added', '--json');
    expect((JSON.parse(keys.out) as EventEnvelope[]).map(({ node }) => node)).toEqual(['eve', 'adam']);
    expect((await journal(data, 'list', '--tag', 'datarep-ext3')).out.trimEnd().split('\n')).toHaveLength(16);
    expect(JSON.parse((await journal(data, 'list', '--tag', 'other', '--json')).out)).toEqual([]);
    expect((await journal(data, 'list', '--since', 'eve/1/8')).out).toMatch(
      /^\S+ {2}eve\/1\/9 .*\n\S+ {2}eve\/1\/10 .*\n$/,
    );
    expect((await journal(data, 'list', '--since', '2999-01-01')).out).toBe('');
  });

  it.each([
    [['list', '--tag', 'a/b'], /"a\/b" is no tag/],
    [['list', '--tag', '..'], /no tag/],
    [['list', '--since', 'yesterday-ish'], /neither an event/],
    [['list', '--nonsense'], /unknown option/],
    [['frobnicate'], /unknown command/],
  ])('%j is answered with a sentence and the code for usage', async (args, sentence) => {
    const data = await someJournal();
    const { code, out, err } = await journal(data, ...args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(sentence);
  });

  it('says when there is no journal, and makes none', async () => {
    const data = temporaryDirectory();
    const { code, err } = await journal(data, 'list');
    expect([code, err]).toEqual([2, `mirrorkeeper: there is no journal in ${data}\n`]);
    expect((await mirrorkeeper('journal', 'list')).code).toBe(2);
  });

  it('does not touch the journal of an agent that runs', async () => {
    const data = await someJournal();
    await openJournal(join(data, 'journal'), 'eve');
    const { code, err } = await journal(data, 'list');
    expect(code).toBe(1);
    expect(err).toMatch(/locked: .* is in use by process \d+; an agent that runs is asked by --socket/);
  });

  it('shows the good part of a damaged journal, and ends with the code for damage', async () => {
    const data = await someJournal();
    rmSync(join(data, 'journal/head'));
    const { code, out, err } = await journal(data, 'list');
    expect(code).toBe(5);
    expect(out.trimEnd().split('\n')).toHaveLength(18);
    expect(err).toContain('head-missing: ');
  });
});

describe('journal export and import', () => {
  it('carries everything to another directory, twice without change', async () => {
    const { file, lines } = await someExport();
    expect(lines).toHaveLength(2 + 18);
    const data = temporaryDirectory();
    expect(await journal(data, 'import', file)).toEqual({ code: 0, out: '18 events taken in\n', err: '' });
    expect((await journal(data, 'import', file)).out).toBe('0 events taken in\n');
    expect((await journal(data, 'verify')).out).toBe('18 events in 2 logs verify\n');
    expect((await journal(data, 'export')).out.trimEnd().split('\n').sort()).toEqual([...lines].sort());
  });

  it('brings back what a node lost of its own log', async () => {
    const data = await someJournal();
    const file = join(temporaryDirectory(), 'backup');
    writeFileSync(file, (await journal(data, 'export')).out);
    rmSync(join(data, 'journal/events'), { recursive: true });
    const lost = await journal(data, 'list');
    expect([lost.code, lost.err]).toEqual([5, expect.stringContaining('log-missing')]);
    expect((await journal(data, 'import', file)).code).toBe(0);
    expect((await journal(data, 'verify')).out).toBe('18 events in 2 logs verify\n');
  });

  it('redacted, it holds no payload, still verifies, and is not imported', async () => {
    const { file, lines } = await someExport('--redact');
    const withPayload = lines.slice(2).filter((line) => line.includes('"data"') || line.includes('salt'));
    expect(withPayload).toHaveLength(2);
    expect(withPayload.every((line) => line.includes('node.key-added'))).toBe(true);
    expect(await mirrorkeeper('journal', 'verify', file)).toEqual({
      code: 0,
      out: '18 events, 16 of them redacted, in 2 logs verify\n',
      err: '',
    });
    const { code, err } = await journal(temporaryDirectory(), 'import', file);
    expect([code, err]).toEqual([1, expect.stringContaining('is redacted')]);
  });

  it('exports nothing of a damaged journal', async () => {
    const data = await someJournal();
    rmSync(join(data, 'journal/head'));
    expect(await journal(data, 'export')).toMatchObject({ code: 5, out: '' });
  });

  const swap = (lines: string[], a: number, b: number) =>
    lines.map((line, index) => lines[index === a ? b : index === b ? a : index] ?? line);

  it.each<[string, (lines: string[]) => string[], RegExp]>([
    [
      'an edited payload',
      (lines) => lines.map((line, index) => (index === 5 ? line.replace('"number":', '"number":1') : line)),
      /bad-chain: event adam\/1\/4: its payload was changed/,
    ],
    [
      'an edited attribute',
      (lines) =>
        lines.map((line, index) =>
          index === 5 ? line.replace('"actorid":"engine"', '"actorid":"mallory"') : line,
        ),
      /bad-chain: event adam\/1\/4: its attributes were changed/,
    ],
    [
      'a missing event',
      (lines) => lines.filter((_, index) => index !== 5),
      /gap: event 4 is missing in the log adam\/1/,
    ],
    [
      'two events swapped',
      (lines) => swap(lines, 5, 6),
      /bad-chain: event adam\/1\/4 comes after adam\/1\/5: the log was reordered/,
    ],
    [
      'an event twice',
      (lines) => [...lines.slice(0, 6), ...lines.slice(5)],
      /bad-chain: event adam\/1\/4 is there twice/,
    ],
    [
      'an end cut off',
      (lines) => lines.slice(0, -2),
      /torn-tail: eve signed eve\/1\/10, and the log ends at 8: it was cut off/,
    ],
    ['a whole log cut off', (lines) => lines.slice(0, -10), /torn-tail: adam\/1\/1 has seen eve\/1\/5/],
    [
      'a head with another signature',
      (lines) =>
        lines.map((line, index) => (index === 0 ? line.replace(/"signature":"../, '"signature":"00') : line)),
      /bad-signature: the head of eve/,
    ],
  ])('%s is named, and nothing is taken in', async (_, tamper, sentence) => {
    const { file, lines } = await someExport();
    writeFileSync(file, `${tamper(lines).join('\n')}\n`);
    const data = temporaryDirectory();
    const { code, err } = await journal(data, 'import', file);
    expect(err).toMatch(sentence);
    expect(code).toBe(5);
    expect((await journal(data, 'list')).err).toContain('there is no journal');
  });

  it('shows a history that was rewritten and signed with another key', async () => {
    const { file, lines } = await someExport();
    const forger = await openJournal(temporaryDirectory(), 'eve');
    await forger.append(drafts(10));
    const data = temporaryDirectory();
    const forged: EventEnvelope[] = [];
    for await (const batch of forger.replay()) forged.push(...batch);
    writeFileSync(file, [...lines.slice(1, 10), ...forged.map((event) => JSON.stringify(event))].join('\n'));
    const { code, err } = await journal(data, 'import', file);
    expect([code, err]).toEqual([
      5,
      expect.stringMatching(/adam\/1\/1 has seen another eve\/1\/5: the log was rewritten/),
    ]);
  });

  it('a file that is none is answered with a sentence and the code for usage', async () => {
    const data = await someJournal();
    const before = (await journal(data, 'list')).out;
    const file = join(temporaryDirectory(), 'file');
    for (const content of ['x'.repeat(1024 * 1024), '{"json": "but no event"}', '{', '[]']) {
      writeFileSync(file, content);
      const { code, err } = await journal(data, 'import', file);
      expect(code).toBe(2);
      expect(err).toMatch(/line 1 of .* is no event of an export/);
      expect(err.length).toBeLessThan(300);
    }
    expect((await journal(data, 'import', `${file}-missing`)).code).toBe(2);
    expect((await journal(data, 'list')).out).toBe(before);
  });
});

describe('journal verify', () => {
  it('names the damage of a directory, as text and as JSON', async () => {
    const data = await someJournal();
    const copy = temporaryDirectory();
    cpSync(data, copy, { recursive: true });
    const head = join(copy, 'journal/head');
    const bytes = readFileSync(head);
    bytes.write('00', bytes.indexOf('"signature":"') + 13);
    writeFileSync(head, bytes);
    expect(await journal(data, 'verify')).toEqual({ code: 0, out: '18 events in 2 logs verify\n', err: '' });
    expect((await journal(copy, 'verify', '--json')).code).toBe(0);
    expect((await journal(data, 'verify', '--decisions')).out).toBe(
      '18 events in 2 logs and 0 decisions verify\n',
    );

    rmSync(head);
    const missing = await journal(copy, 'verify', '--json');
    expect(missing.code).toBe(5);
    expect(JSON.parse(missing.out)).toMatchObject({
      ok: false,
      findings: [{ code: 'head-missing', message: expect.stringContaining('eve/1/1 to 10') }],
    });
  });
});
