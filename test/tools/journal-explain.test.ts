import { writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { describe, expect, it } from 'vitest';
import { historyCommand } from '../../tools/cli/journal-list.ts';
import { runProgram } from '../../tools/program.ts';
import { create, createFacts, decider, join } from '../journal/decider.ts';
import { temporaryDirectory } from '../journal/support.ts';
import { type Answers, FakeTerminal } from './fake-terminal.ts';

async function mirrorkeeper(args: readonly string[], answers?: Answers) {
  const terminal = new FakeTerminal(args, answers);
  const code = await runProgram([historyCommand(terminal)], args, terminal.output);
  return { code, out: terminal.out, err: terminal.err, sent: terminal.sent };
}

/** The data directory of an agent that has ended: eve created `web`. */
async function ended(): Promise<string> {
  const data = temporaryDirectory();
  const { loop, journal } = await decider(`${data}/journal`, createFacts);
  await loop.execute(join);
  await loop.execute(create('one'));
  await journal.close();
  return data;
}

describe('journal explain', () => {
  it('reads the directory of an agent that does not run, for people and as JSON', async () => {
    const data = await ended();
    const { code, out } = await mirrorkeeper(['journal', 'explain', 'web', '--data', data]);
    expect(code).toBe(0);
    expect(out).toMatch(/^web is degraded on eve since /);
    expect(out).toContain('create (one)');
    const json = await mirrorkeeper(['journal', 'explain', 'web', '--data', data, '--json']);
    expect(JSON.parse(json.out)).toMatchObject({
      tag: 'web',
      sources: ['eve'],
      steps: [{ type: 'resource.entered-service', issued: { command: 'create', id: 'one' } }],
    });
  });

  it('of a past moment knows only what had happened then', async () => {
    const data = await ended();
    const { code, err } = await mirrorkeeper([
      'journal',
      'explain',
      'web',
      '--data',
      data,
      '--as-of',
      'eve#1',
    ]);
    expect([code, err]).toEqual([1, 'mirrorkeeper: unknown-tag: no resource web is known there\n']);
    const later = await mirrorkeeper(['journal', 'explain', 'web', '--data', data, '--as-of', 'eve#3']);
    expect(later.code).toBe(0);
    const never = await mirrorkeeper(['journal', 'explain', 'web', '--data', data, '--as-of', 'lunchtime']);
    expect([never.code, never.err]).toEqual([2, expect.stringContaining('"lunchtime" is neither an event')]);
  });

  it('asks an agent that runs', async () => {
    const asked = await mirrorkeeper(['journal', 'explain', 'web', '--as-of', 'eve#7'], () => ({
      ok: true,
      explanation: {
        tag: 'web',
        state: 'in-service',
        sources: ['eve'],
        lastOwner: 'eve',
        epoch: 1,
        since: null,
        steps: [],
        facts: [],
        policies: [],
        mirrors: [],
        open: [],
      },
    }));
    expect(asked.sent).toMatchObject([{ command: 'explain', body: { tag: 'web', asOf: 'eve#7' } }]);
    expect(asked.out).toBe('web is in service on eve; last owner eve, epoch 1\nhow it came about:\n');
  });
});

describe('journal explain --refusal', () => {
  it('names rule, facts and what would be allowed, by the id of the event and of the command', async () => {
    const data = temporaryDirectory();
    const { loop, journal } = await decider(`${data}/journal`, createFacts);
    await loop.execute(join);
    await loop.execute(create('one'));
    const refused = await loop.execute(create('two', '/srv/b'));
    if (refused.kind !== 'refused') throw new Error('the same tag twice');
    await journal.close();
    for (const id of [refused.id ?? '', 'two']) {
      const { code, out } = await mirrorkeeper(['journal', 'explain', '--refusal', id, '--data', data]);
      expect(code).toBe(0);
      expect(out).toContain('create was refused (tag-exists)');
      expect(out).toContain('rule 1: a tag names one resource');
      expect(out).toContain('/srv/b: free, 1,048,576 bytes, blank');
    }
    const json = await mirrorkeeper(['journal', 'explain', '--refusal', 'two', '--data', data, '--json']);
    expect(JSON.parse(json.out)).toMatchObject({
      code: 'tag-exists',
      again: 'refused alike',
      asked: { tag: 'web' },
    });
    const unknown = await mirrorkeeper(['journal', 'explain', '--refusal', 'one', '--data', data]);
    expect([unknown.code, unknown.err]).toEqual([
      1,
      expect.stringContaining('no refusal one stands in the history'),
    ]);
  });

  it.each([[['journal', 'explain']], [['journal', 'explain', 'web', '--refusal', 'two']]])(
    '%j is answered with a sentence and the code for usage',
    async (args) => {
      const { code, err } = await mirrorkeeper(args);
      expect([code, err]).toEqual([2, expect.stringContaining('mirrorkeeper: ')]);
    },
  );
});

describe('journal backtest', () => {
  const example = joinPath(import.meta.dirname, '../../docs/backtest-policy.json');

  it('takes the example of the docs, over a directory and from an agent', async () => {
    const offline = await mirrorkeeper(['journal', 'backtest', '--policy', example, '--data', await ended()]);
    expect([offline.code, offline.err]).toEqual([0, '']);
    expect(offline.out).toContain('no source was ever lost in this history\n');
    const result = { incidents: [], summary: {}, notes: [] };
    const asked = await mirrorkeeper(
      ['journal', 'backtest', '--policy', example, '--tag', 'web', '--json'],
      () => ({
        ok: true,
        backtest: result,
      }),
    );
    expect(JSON.parse(asked.out)).toEqual(result);
    expect(asked.sent[0]).toMatchObject({
      command: 'backtest',
      body: { tag: 'web', policy: { settings: [{ key: 'lost-after', value: 10 }, {}, {}, {}] } },
    });
  });

  it.each([
    ['{"settings": [{"key": "quorum", "value": "none"}]}', /--policy .*: .*key/],
    ['no JSON', /--policy .*JSON/],
  ])('a policy file that says %s is a usage error', async (text, sentence) => {
    const file = `${temporaryDirectory()}/policy.json`;
    writeFileSync(file, text);
    const { code, err } = await mirrorkeeper(['journal', 'backtest', '--policy', file]);
    expect([code, err]).toEqual([2, expect.stringMatching(sentence)]);
  });
});
