import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type EventEnvelope, envelopeType } from '../../domain/envelope.ts';
import { canonicalJson } from '../../journal/canonical-json.ts';
import type { SignedHead } from '../../journal/journal.ts';
import { hashFault, stamp, textOf } from '../../journal/record.ts';
import { openSigningKey } from '../../journal/signing-key.ts';
import { journalCommand } from '../../tools/journal-command.ts';
import { runProgram } from '../../tools/program.ts';
import { draft, drafts } from '../journal/drafts.ts';
import { openJournal, temporaryDirectory } from '../journal/support.ts';

/** Every step of docs/AUDIT.md, as it stands there. */
const steps = [
  ...readFileSync(new URL('../../docs/AUDIT.md', import.meta.url), 'utf8').matchAll(
    /^```bash\n(.*?)^```$/gms,
  ),
].map(([, commands = '']) => commands);

interface Export {
  readonly lines: readonly string[];
  /** NODE PUBLICKEY, as the operators told them. */
  readonly keys: string;
}

async function run(args: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const output = {
    out: async (text: string) => {
      out.push(text);
    },
    err: (text: string) => {
      err.push(`${text}\n`);
    },
  };
  const code = await runProgram([journalCommand(output)], args, output);
  return { code, out: out.join(''), err: err.join('') };
}

/** eve's and adam's logs; payloads with all that JSON can have. */
async function someExport(...options: string[]): Promise<Export> {
  const data = temporaryDirectory();
  const eve = await openJournal(join(data, 'journal'), 'eve');
  const adam = await openJournal(temporaryDirectory(), 'adam');
  const odd = {
    ...draft(1),
    reason: 'a "reason", \\ with ,"hash":"x" and ,"salt":"ab","data":{} in it, ü and \u2028',
    data: { '10': 1, '9': 1e-7, a: 1e21, text: ',"data":{"x":1}', deep: { hash: 'x', b: [null, true, 0.1] } },
  };
  const key = (node: string, publicKey: string) => ({
    ...draft(0),
    subject: undefined,
    type: envelopeType('node.key-added', 1),
    data: { node, publicKey },
  });
  await adam.receive(await eve.append([key('eve', eve.publicKey), odd, ...drafts(3)]));
  await eve.receive(await adam.append([key('adam', adam.publicKey), ...drafts(4)]));
  await adam.receive(await eve.append(drafts(3, 5)));
  await eve.attest(adam.signedHead(), [adam.publicKey]);
  const keys = `eve ${eve.publicKey}\nadam ${adam.publicKey}\n`;
  await eve.close();
  const { code, out } = await run(['journal', 'export', '--data', data, ...options]);
  expect(code).toBe(0);
  return { lines: out.trimEnd().split('\n'), keys };
}

/** The document's steps with the real tools, and `journal verify`, on one export. */
async function checked({ lines, keys }: Export) {
  const folder = temporaryDirectory();
  const file = join(folder, 'export.ndjson');
  writeFileSync(file, `${lines.join('\n')}\n`);
  writeFileSync(join(folder, 'keys.txt'), keys);
  writeFileSync(join(folder, 'audit'), steps.join('\n'));
  const { status, stdout, stderr } = spawnSync('bash', ['audit'], { cwd: folder, encoding: 'utf8' });
  const verified = await run(['journal', 'verify', file, '--keys', join(folder, 'keys.txt')]);
  return { audit: { status, stdout, stderr }, verified };
}

const indexOf = (lines: readonly string[], id: string) =>
  lines.findIndex((line) => line.includes(`"id":"${id}"`));
const edit = (id: string, from: string, to: string) => (lines: readonly string[]) =>
  lines.map((line, index) => (index === indexOf(lines, id) ? line.replace(from, to) : line));

/** Everything from an event of eve on is written anew, hashes and signature fit; with `key` they are another's. */
function forgedBy(directory: string, ownsKeys: boolean) {
  const key = openSigningKey(join(directory, 'key'));
  return (lines: readonly string[]) => {
    let last = '';
    const hashes = new Map<string, string>();
    const forged = lines.map((line) => {
      const event = JSON.parse(line) as EventEnvelope;
      if (event.node !== 'eve') return line;
      const data =
        event.sequence === 1 && ownsKeys
          ? { node: 'eve', publicKey: key.publicKey }
          : { ...event.data, number: 666 };
      const { event: anew } = stamp(
        {
          type: event.type,
          subject: event.subject,
          actor: { id: event.actorid, via: event.actorvia, verified: event.actorverified },
          data: event.sequence === 1 && !ownsKeys ? event.data : data,
        },
        { ...event, cluster: 'test', previous: last },
      );
      expect(hashFault(anew)).toBeUndefined();
      last = anew.hash;
      hashes.set(anew.id, anew.hash);
      return textOf(anew);
    });
    return forged.map((line) => {
      const head = (JSON.parse(line) as { data?: SignedHead }).data;
      if (head?.signature === undefined || head.node !== 'eve') return line;
      const { signature: _, key: __, ...claim } = head;
      const signed = key.signHead({ ...claim, hash: hashes.get(`eve/1/${head.sequence}`) ?? '' });
      return canonicalJson({ ...JSON.parse(line), data: signed });
    });
  };
}

describe('the steps of AUDIT.md', () => {
  it.each([[[]], [['--redact']]])('find nothing in an export %j', async (options) => {
    const { audit, verified } = await checked(await someExport(...options));
    expect(audit).toEqual({ status: 0, stdout: 'the export verifies: 13 events\n', stderr: '' });
    expect(verified).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^13 events.* in 2 logs verify\n$/),
    });
  });

  it.each<[string, (lines: readonly string[]) => readonly string[], RegExp, RegExp]>([
    [
      'a payload that was tampered with',
      edit('adam/1/3', '"number":', '"number":1'),
      /^tampered with: payloads\/3: FAILED$/m,
      /event adam\/1\/3: its payload was changed/,
    ],
    [
      'an attribute that was tampered with',
      edit('adam/1/3', '"actorid":"engine"', '"actorid":"mallory"'),
      /^tampered with: attributes\/3: FAILED$/m,
      /event adam\/1\/3: its attributes were changed/,
    ],
    [
      'a truncated file',
      (lines) => lines.slice(0, -2),
      /^cut off: eve has seen eve\/1\/8, which is not there$/m,
      /eve signed eve\/1\/8, and the log ends at 6: it was cut off/,
    ],
    [
      'a missing event',
      (lines) => lines.filter((_, index) => index !== indexOf(lines, 'adam/1/3')),
      /^missing: what stands before adam\/1\/4 after adam\/1\/2$/m,
      /event 3 is missing in the log adam\/1/,
    ],
    [
      'reordered events',
      (lines) => {
        const at = indexOf(lines, 'adam/1/3');
        return [...lines.slice(0, at), lines[at + 1] ?? '', lines[at] ?? '', ...lines.slice(at + 2)];
      },
      /^reordered: adam\/1\/3 comes after adam\/1\/4$/m,
      /event adam\/1\/3 comes after adam\/1\/4: the log was reordered/,
    ],
    [
      'a head without its signature',
      (lines) => lines.map((line) => line.replace(/"signature":"../, '"signature":"00')),
      /^bad signature: the head of eve was not signed with the key that it names$/m,
      /the head of eve was not signed by a key of eve/,
    ],
    [
      'a log without a head',
      (lines) => lines.filter((line) => !line.includes('"id":"adam/1/5/head"')),
      /^no signed head of adam$/m,
      /there is no head that adam signed/,
    ],
  ])('%s is named by the steps, and by verify', async (_, tamper, found, sentence) => {
    const { lines, keys } = await someExport();
    const tampered = tamper(lines);
    expect(tampered).not.toEqual(lines);
    const { audit, verified } = await checked({ lines: tampered, keys });
    expect(audit.status).not.toBe(0);
    expect(audit.stdout).toMatch(found);
    expect(audit.stdout).not.toContain('verifies');
    expect(verified.code).toBe(5);
    expect(verified.err).toMatch(sentence);
  });

  it.each([true, false])(
    'a log that was written anew and re-signed is named; its key replaced too: %s',
    async (ownsKeys) => {
      const { lines, keys } = await someExport();
      const { audit, verified } = await checked({
        lines: forgedBy(temporaryDirectory(), ownsKeys)(lines),
        keys,
      });
      expect(audit.status).not.toBe(0);
      expect(audit.stdout).toMatch(/^re-signed with a key that is not in keys.txt: eve [0-9a-f]{64}$/m);
      expect(audit.stdout).toMatch(/^rewritten: adam has seen another eve\/1\/8$/m);
      expect(audit.stdout).not.toMatch(/^(tampered|reordered|cut off|replaced)/m);
      expect(verified.code).toBe(5);
      expect(verified.err).toMatch(/the head of eve was signed with a key that is not trusted/);
    },
  );
});
