import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveLocalSocket } from '../../adapters/agent/local-socket.ts';
import type { IssuedCommand } from '../../adapters/bus/messages.ts';

let folder = '';
let server: Server;
let socket: Socket;
let issued: IssuedCommand[] = [];
let lines: AsyncIterator<string>;

beforeEach(async () => {
  issued = [];
  folder = mkdtempSync(join(tmpdir(), 'mk-socket-'));
  const path = join(folder, 'agent.sock');
  server = await serveLocalSocket(path, async (command) => {
    issued.push(command);
    if (command.command === 'throws') throw new Error('the disk is full');
    return { ok: true, commandId: command.body.id, events: [] };
  });
  socket = connect(path);
  lines = createInterface({ input: socket })[Symbol.asyncIterator]();
});

afterEach(() => {
  socket.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

async function reply(line: string): Promise<Record<string, unknown>> {
  socket.write(`${line}\n`);
  return JSON.parse((await lines.next()).value as string);
}

const request = (command: string, body: object, user = 'root') =>
  JSON.stringify({ request: 7, command, user, timeoutMs: 1000, body });

describe('agent.sock', () => {
  it('only its owner may open', () => {
    expect(statSync(join(folder, 'agent.sock')).mode & 0o777).toBe(0o600);
  });

  it('answers a request with its number, and the user is not verified', async () => {
    expect(await reply(request('status', { id: 'c1' }))).toEqual({
      request: 7,
      reply: { ok: true, commandId: 'c1', events: [] },
    });
    expect(issued[0]?.actor).toEqual({ id: 'root', via: 'socket', verified: false });
  });

  it.each([
    ['no JSON', '{'],
    ['no object', '42'],
    ['no command', JSON.stringify({ request: 1, user: 'root', timeoutMs: 1, body: { id: 'c' } })],
    ['a command that is a subject', request('create.*.>', { id: 'c' })],
    ['no id', request('status', {})],
    ['no user', request('status', { id: 'c' }, '')],
  ])('refuses %s as invalid-request, and goes on', async (_, line) => {
    expect(await reply(line)).toMatchObject({ reply: { ok: false, refusal: { code: 'invalid-request' } } });
    expect(await reply(request('status', { id: 'c2' }))).toMatchObject({ reply: { ok: true } });
    expect(issued).toHaveLength(1);
  });

  it('a request that fails inside has an unknown outcome', async () => {
    expect(await reply(request('throws', { id: 'c3' }))).toMatchObject({
      request: 7,
      reply: { ok: false, commandId: 'c3', error: 'outcome-unknown', message: 'the disk is full' },
    });
  });

  it('a line beyond 1 MiB is refused, and what follows it is no request', async () => {
    const hidden = request('status', { id: 'hidden' });
    socket.write('x'.repeat(1_200_000));
    const refused = JSON.parse((await lines.next()).value as string);
    expect(refused).toMatchObject({ reply: { ok: false, refusal: { code: 'invalid-request' } } });
    socket.write(`\n${hidden}\n`);
    expect((await lines.next()).done).toBe(true);
    expect(issued).toEqual([]);
  });
});
