import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { exportBeside } from '../../adapters/agent/journal-export.ts';
import { serveLocalSocket } from '../../adapters/agent/local-socket.ts';
import { envelopeType } from '../../domain/envelope.ts';
import type { Journal } from '../../journal/journal.ts';
import { historyCommand } from '../../tools/cli/journal-list.ts';
import { processTerminal } from '../../tools/cli/terminal.ts';
import { exitCodes, runProgram } from '../../tools/program.ts';
import { draft, drafts } from '../journal/drafts.ts';
import { openJournal, temporaryDirectory } from '../journal/support.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function mirrorkeeper(...args: string[]) {
  let out = '';
  const errors: string[] = [];
  const output = {
    out: async (text: string) => {
      out += text;
    },
    err: (line: string) => errors.push(line),
  };
  const code = await runProgram([historyCommand(processTerminal(output, args))], args, output);
  return { code, out, err: errors.join('\n') };
}

/** eve's agent, as far as an export needs it: a journal that is open, and a socket. */
async function agent(): Promise<{ dir: string; socket: string; journal: Journal }> {
  const dir = temporaryDirectory();
  const journal = await openJournal(join(dir, 'journal'), 'eve');
  const key = { node: 'eve', publicKey: journal.publicKey };
  const added = { ...draft(0), subject: undefined, type: envelopeType('node.key-added', 1), data: key };
  await journal.append([added, ...drafts(9)]);
  const socket = join(dir, 'agent.sock');
  const server: Server = await serveLocalSocket(socket, async ({ body }) => ({
    ok: true,
    commandId: body.id,
    decider: 'eve',
    events: [],
    file: await exportBeside(journal, dir, body['redact'] === true),
  }));
  closing.push(
    () => server.close(),
    () => journal.close(),
  );
  return { dir, socket, journal };
}

const leftBehind = (dir: string) => readdirSync(dir).filter((name) => name.startsWith('export-'));

describe('the journal of an agent that runs', () => {
  it('is exported over its socket, verifies, and leaves no copy behind', async () => {
    const { dir, socket } = await agent();
    const { code, out } = await mirrorkeeper('journal', 'export', '--socket', socket);
    expect(code).toBe(exitCodes.done);
    expect(out.trimEnd().split('\n')).toHaveLength(11);
    expect(leftBehind(dir)).toEqual([]);
    const file = join(temporaryDirectory(), 'export.ndjson');
    writeFileSync(file, out);
    expect(await mirrorkeeper('journal', 'verify', file)).toMatchObject({ code: exitCodes.done });
  });

  it('is exported redacted where that is asked', async () => {
    const { socket } = await agent();
    const { out } = await mirrorkeeper('journal', 'export', '--redact', '--socket', socket);
    const events = out.trimEnd().split('\n').slice(2);
    expect(events).toHaveLength(9);
    for (const line of events) expect(JSON.parse(line)).not.toHaveProperty('data');
  });

  it('is verified over its socket', async () => {
    const { dir, socket } = await agent();
    const { code, out } = await mirrorkeeper('journal', 'verify', '--socket', socket);
    expect([code, out]).toEqual([exitCodes.done, '10 events in 1 logs verify\n']);
    expect(leftBehind(dir)).toEqual([]);
  });

  it('needs to be named, once', async () => {
    const { dir, socket } = await agent();
    for (const args of [['export'], ['verify'], ['verify', '--data', dir, '--socket', socket]])
      expect((await mirrorkeeper('journal', ...args)).code).toBe(exitCodes.usage);
    const nobody = join(dir, 'nobody.sock');
    expect(existsSync(nobody)).toBe(false);
    expect((await mirrorkeeper('journal', 'export', '--socket', nobody)).code).toBe(exitCodes.unreachable);
  });
});
