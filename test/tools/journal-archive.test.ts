import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { History } from '../../adapters/agent/history.ts';
import { HistoryKeeper } from '../../adapters/agent/history-keeper.ts';
import { type EventEnvelope, envelopeType } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { readEvent } from '../../journal/read-event.ts';
import { asOf, fold, type Standing, viewsOf } from '../../projections/views.ts';
import { journalCommand } from '../../tools/journal-command.ts';
import { historyOf } from '../../tools/offline-history.ts';
import { runProgram } from '../../tools/program.ts';
import { draft } from '../journal/drafts.ts';
import { openJournal, temporaryDirectory } from '../journal/support.ts';
import { SimulatedClock } from '../scenarios/simulated-clock.ts';
import { World } from '../scenarios/world.ts';

const [eve, adam] = ['eve', 'adam'].map((name) => NodeName.parse(name)) as [NodeName, NodeName];

/** What two agents wrote: made, mirrored, failed over, returned, paused and resumed. */
async function story(): Promise<readonly EventEnvelope[]> {
  const world = new World();
  const replica = (node: string) => ({ tag: 'web', node, volumes: [{ name: 'data', path: '/srv/a' }] });
  await world.start(eve);
  await world.start(adam);
  await world.command(eve, 'create', replica('eve'));
  await world.command(eve, 'extend', replica('adam'));
  await world.clock.pass(5000);
  world.kill(eve);
  await world.clock.pass(15_000);
  await world.start(eve);
  await world.clock.pass(15_000);
  await world.command(adam, 'pause', { tag: 'web', reason: 'backup' });
  await world.command(adam, 'resume', { tag: 'web' });
  await world.clock.pass(5000);
  for (const node of world.running()) world.kill(node);
  return world.events;
}

async function mirrorkeeper(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const output = {
    out: async (text: string) => {
      out.push(text);
    },
    err: (text: string) => {
      err.push(text);
    },
  };
  const code = await runProgram([journalCommand(output)], ['journal', ...args], output);
  return { code, out: out.join(''), err: err.join('\n') };
}

/** A third node's directory, which has both logs and a key of its own. */
async function directoryWith(events: readonly EventEnvelope[]): Promise<string> {
  const data = temporaryDirectory();
  const journal = await openJournal(join(data, 'journal'), 'sophocles');
  const { gaps, rejected } = await journal.receive(events);
  expect([gaps, rejected]).toEqual([[], []]);
  const key = { node: 'sophocles', publicKey: journal.publicKey };
  await journal.append([
    {
      ...draft(0),
      subject: undefined,
      type: envelopeType('node.joined', 1),
      data: { node: 'sophocles', host: null },
    },
    { ...draft(0), subject: undefined, type: envelopeType('node.key-added', 1), data: key },
  ]);
  await journal.close();
  return data;
}

/** Folded from whatever is there: the base, where there is one, and the rest. */
async function rebuilt(data: string): Promise<Standing> {
  const journal = await openJournal(join(data, 'journal'), 'sophocles');
  const { order, begin } = await historyOf(journal);
  const standing = begin();
  fold(standing, order.events().map(readEvent));
  await journal.close();
  return standing;
}

/** As an agent starts on it. */
async function started(data: string): Promise<Standing> {
  const journal = await openJournal(join(data, 'journal'), 'sophocles');
  const history = new History();
  const log = { info() {}, warn() {}, error() {} };
  const keeper = new HistoryKeeper(history, { journal, clock: new SimulatedClock(), log, changed() {} });
  await keeper.load();
  await keeper.close();
  await journal.close();
  return history.standing;
}

const told = (standing: Standing) => ({
  views: [...viewsOf(standing)],
  asOf: asOf(standing),
  state: standing.state,
});
const timeOf = (events: readonly EventEnvelope[], type: string) =>
  new Date(Date.parse(events.findLast((event) => event.type.includes(type))?.time ?? '') + 1).toISOString();
const archive = (data: string, before: string, to: string) =>
  mirrorkeeper('archive', '--data', data, '--before', before, '--to', to);
const countIn = (data: string) =>
  mirrorkeeper('list', '--data', data, '--json').then(({ out }) => JSON.parse(out).length as number);

describe('journal archive', () => {
  it('takes old events away; state and views go on from the base as from the first event', async () => {
    const events = await story();
    const data = await directoryWith(events);
    const before = told(await rebuilt(data));
    const file = join(data, 'old.ndjson');
    const archived = await archive(data, timeOf(events, 'failover.completed'), file);
    expect(archived).toMatchObject({ code: 0, err: '' });
    const count = Number(/^(\d+) events archived/.exec(archived.out)?.[1]);
    expect(count).toBeGreaterThan(5);
    expect(await countIn(data)).toBe(events.length + 2 - count);
    expect(told(await rebuilt(data))).toEqual(before);
    expect(told(await started(data))).toEqual(before);
  });

  it('the directory, the archive, what is exported of the rest, and both together verify', async () => {
    const events = await story();
    const data = await directoryWith(events);
    const file = join(data, 'old.ndjson');
    await archive(data, timeOf(events, 'failover.completed'), file);
    expect(await mirrorkeeper('verify', '--data', data, '--decisions')).toMatchObject({ code: 0, err: '' });
    const rest = join(data, 'rest.ndjson');
    writeFileSync(rest, (await mirrorkeeper('export', '--data', data)).out);
    for (const files of [[file], [rest], [file, rest]])
      expect(await mirrorkeeper('verify', ...files), files.join()).toMatchObject({ code: 0, err: '' });
    const redacted = join(data, 'redacted.ndjson');
    writeFileSync(redacted, (await mirrorkeeper('export', '--data', data, '--redact')).out);
    expect(await mirrorkeeper('verify', redacted)).toMatchObject({ code: 0, err: '' });
    expect(readFileSync(redacted, 'utf8')).not.toContain('/srv/a');
    expect((await mirrorkeeper('verify', file, rest)).out).toContain(`${events.length + 2} events in 3 logs`);
  });

  it('twice: the second base stands for both', async () => {
    const events = await story();
    const data = await directoryWith(events);
    const before = told(await rebuilt(data));
    const files = ['first', 'second'].map((name) => join(data, name));
    await archive(data, timeOf(events, 'resync.started'), files[0] ?? '');
    expect((await archive(data, timeOf(events, 'mirror.resumed'), files[1] ?? '')).code).toBe(0);
    expect(told(await rebuilt(data))).toEqual(before);
    expect(told(await started(data))).toEqual(before);
    const rest = join(data, 'rest.ndjson');
    writeFileSync(rest, (await mirrorkeeper('export', '--data', data)).out);
    expect(await mirrorkeeper('verify', ...files, rest)).toMatchObject({ code: 0, err: '' });
  });

  it('what comes afterwards is taken in as ever', async () => {
    const events = await story();
    const half = events.findIndex(({ type }) => type.includes('mirror.paused'));
    const data = await directoryWith(events.slice(0, half));
    const file = join(data, 'old.ndjson');
    expect((await archive(data, timeOf(events.slice(0, half), 'failover.completed'), file)).code).toBe(0);
    const journal = await openJournal(join(data, 'journal'), 'sophocles');
    const { rejected, gaps } = await journal.receive(events);
    expect([gaps, rejected]).toEqual([[], []]);
    await journal.close();
    const whole = await directoryWith(events.slice(0, half));
    const same = await openJournal(join(whole, 'journal'), 'sophocles');
    await same.receive(events);
    await same.close();
    const { state } = await rebuilt(data);
    expect(state.resources).toEqual((await rebuilt(whole)).state.resources);
    expect((await started(data)).state).toEqual(state);
  });

  it('another node gets the old events from the archive', async () => {
    const events = await story();
    const data = await directoryWith(events);
    const before = told(await rebuilt(data));
    const file = join(data, 'old.ndjson');
    await archive(data, timeOf(events, 'failover.completed'), file);
    const rest = join(data, 'rest.ndjson');
    writeFileSync(rest, (await mirrorkeeper('export', '--data', data)).out);
    const other = temporaryDirectory();
    const early = await mirrorkeeper('import', rest, '--data', other);
    expect([early.code, early.err]).toEqual([5, expect.stringContaining('gap')]);
    for (const one of [file, rest])
      expect(await mirrorkeeper('import', one, '--data', other)).toMatchObject({ code: 0, err: '' });
    const journal = await openJournal(join(other, 'journal'), 'auditor').catch(() => undefined);
    const { order, begin } = await historyOf(
      journal ?? (await openJournal(join(other, 'journal'), 'auditor')),
    );
    const standing = begin();
    fold(standing, order.events().map(readEvent));
    expect(told(standing)).toEqual(before);
  });

  it('a base that is not what was signed is named', async () => {
    const events = await story();
    const data = await directoryWith(events);
    const file = join(data, 'old.ndjson');
    await archive(data, timeOf(events, 'failover.completed'), file);
    const text = readFileSync(file, 'utf8');
    for (const [from, to, sentence] of [
      ['"lastOwner":{"epoch":1', '"lastOwner":{"epoch":7', /not what sophocles signed/],
      ['"floors":[{"hash":"', '"floors":[{"hash":"00', /is no event of an export/],
      [/"signature":"..../, '"signature":"0000', /not what sophocles signed/],
    ] as const) {
      const changed = text.replace(from, to);
      expect(changed).not.toBe(text);
      writeFileSync(file, changed);
      const { code, err } = await mirrorkeeper('verify', file);
      expect(code).not.toBe(0);
      expect(err).toMatch(sentence);
    }
    writeFileSync(file, text.trimEnd().split('\n').slice(0, -1).join('\n'));
    expect((await mirrorkeeper('verify', file)).err).toMatch(/sophocles archived .*: it was cut off/);
  });

  it('refuses where nothing is old enough, and does not write over a file', async () => {
    const events = await story();
    const data = await directoryWith(events);
    const file = join(data, 'old.ndjson');
    expect(await archive(data, '2000-01-01', file)).toMatchObject({ code: 1 });
    expect(await archive(data, 'lunchtime', file)).toMatchObject({ code: 2 });
    writeFileSync(file, '');
    expect(await archive(data, timeOf(events, 'failover.completed'), file)).toMatchObject({ code: 2 });
    expect(await countIn(data)).toBe(events.length + 2);
  });
});
