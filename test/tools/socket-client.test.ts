import { mkdtempSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type CommandHandler, serveLocalSocket } from '../../adapters/agent/local-socket.ts';
import { connectClient } from '../../tools/cli/connection.ts';
import { writeKey } from '../../tools/cli/keygen-command.ts';
import { connectSocket } from '../../tools/cli/socket-client.ts';
import { exitCodes } from '../../tools/program.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const folder = () => mkdtempSync(join(tmpdir(), 'mk-cli-'));

async function agent(handle: CommandHandler) {
  const path = join(folder(), 'agent.sock');
  servers.push(await serveLocalSocket(path, handle));
  return path;
}

describe("an agent's socket", () => {
  it('carries each command with its user, and each answer to the one who asked', async () => {
    const path = await agent(async ({ command, actor, body }) => ({
      ok: true,
      decider: command,
      commandId: body.id,
      message: actor.id,
    }));
    const client = await connectSocket(path, 'anna');
    const replies = await Promise.all([
      client.request('status', { id: 'a' }, 1000),
      client.request('nodes', { id: 'b' }, 1000),
    ]);
    await client.close();
    expect(replies).toEqual([
      { ok: true, decider: 'status', commandId: 'a', message: 'anna' },
      { ok: true, decider: 'nodes', commandId: 'b', message: 'anna' },
    ]);
  });

  it('an answer that does not come leaves the outcome unknown, with how to ask again', async () => {
    const client = await connectSocket(await agent(() => new Promise(() => undefined)), 'anna');
    await expect(client.request('pause', { id: 'mine' }, 50)).rejects.toMatchObject({
      exitCode: exitCodes.unknown,
      message: expect.stringContaining('mirrorkeeper command mine'),
    });
    await client.close();
  });

  it('an agent that dies over a command leaves the outcome unknown', async () => {
    const path = join(folder(), 'agent.sock');
    const server = createServer((socket) => void socket.once('data', () => socket.destroy()));
    servers.push(server);
    await new Promise<void>((listening) => server.listen(path, listening));
    const client = await connectSocket(path, 'anna');
    await expect(client.request('pause', { id: 'mine' }, 5000)).rejects.toMatchObject({
      exitCode: exitCodes.unknown,
    });
  });

  it('no agent is unreachable', async () => {
    await expect(connectSocket(join(folder(), 'agent.sock'), 'anna')).rejects.toMatchObject({
      exitCode: exitCodes.unreachable,
    });
  });

  it('is taken from --socket, else from MIRRORKEEPER_SOCKET', async () => {
    const path = await agent(async () => ({ ok: true }));
    for (const client of [
      await connectClient({ socket: path }, { MIRRORKEEPER_SOCKET: '/nowhere' }),
      await connectClient({}, { MIRRORKEEPER_SOCKET: path, MIRRORKEEPER_NATS: 'nats://127.0.0.1:1' }),
    ]) {
      expect(await client.request('nodes', { id: 'x' }, 1000)).toEqual({ ok: true });
      await client.close();
    }
  });
});

describe('the bus', () => {
  it('without a server is unreachable, within the time that was given', async () => {
    await expect(
      connectClient({ nats: 'nats://127.0.0.1:1', cluster: 'c', timeout: 0.3 }, {}),
    ).rejects.toMatchObject({ exitCode: exitCodes.unreachable });
  });

  it('without the name of a cluster is a usage error', async () => {
    await expect(connectClient({ nats: 'nats://127.0.0.1:1' }, {})).rejects.toMatchObject({
      exitCode: exitCodes.usage,
    });
  });
});

describe('keygen', () => {
  it('makes 64 hex digits for their owner, and never over a key that is there', async () => {
    const file = join(folder(), 'link.key');
    await writeKey(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await expect(writeKey(file)).rejects.toMatchObject({ exitCode: exitCodes.refused });
  });
});
