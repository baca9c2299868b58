import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findNatsServer, startNatsServer } from '../../tools/nats-server.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mk-nats-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function program(path: string, script = '#!/bin/sh\nexit 0\n'): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, script);
  await chmod(path, 0o755);
  return path;
}

describe('finding nats-server', () => {
  it('takes the first on PATH, then the system folders, then what was unpacked before', async () => {
    const cache = join(folder, 'cache');
    const unpacked = await program(join(cache, 'nats-server/usr/sbin/nats-server'));
    const path = ['empty', 'bin'].map((name) => join(folder, name)).join(delimiter);
    const system = [join(folder, 'sbin')];
    expect(await findNatsServer(cache, path, system)).toBe(unpacked);
    const inSystem = await program(join(folder, 'sbin/nats-server'));
    expect(await findNatsServer(cache, path, system)).toBe(inSystem);
    const onPath = await program(join(folder, 'bin/nats-server'));
    expect(await findNatsServer(cache, path, system)).toBe(onPath);
  });

  it('says in a sentence what to do where there is none and none can be had', async () => {
    const file = join(folder, 'a-file');
    await writeFile(file, '');
    await expect(findNatsServer(join(file, 'cache'), '', [])).rejects.toThrow(
      /nats-server is not installed and could not be unpacked .* apt-get install nats-server/,
    );
  });
});

describe('a private nats-server', () => {
  it('listens on a free port of the loopback interface until it is stopped', async () => {
    const server = await startNatsServer({ folder, jetStream: true });
    expect(server.url).toBe(`nats://127.0.0.1:${server.port}`);
    expect(await greeting(server.port)).toContain('"jetstream":true');
    const other = await startNatsServer({ folder: join(folder, 'other'), jetStream: false });
    expect(other.port).not.toBe(server.port);
    await other.stop();
    await server.stop();
    await server.exited;
    await expect(greeting(server.port)).rejects.toThrow('ECONNREFUSED');
  });

  it('that cannot start tells what it said', async () => {
    const wrong = startNatsServer({ folder, jetStream: false, configuration: 'max_payload: "much"' });
    await expect(wrong).rejects.toThrow(
      /nats-server did not start: it ended with 1; it said: .*nats-server\.conf/,
    );
    expect(await readFile(join(folder, 'nats-server.conf'), 'utf8')).toContain('max_payload');
  });
});

const greeting = (port: number) =>
  new Promise<string>((resolve, reject) => {
    const socket = dial(port, '127.0.0.1');
    socket.once('data', (info) => {
      socket.destroy();
      resolve(info.toString());
    });
    socket.once('error', reject);
  });
