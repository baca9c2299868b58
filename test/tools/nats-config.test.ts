import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCredentials, publicKeyOf } from '../../adapters/bus/credentials.ts';
import { natsConfigCommand } from '../../tools/nats-config.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mk-nats-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function run(...args: string[]): Promise<string> {
  const printed: string[] = [];
  const command = natsConfigCommand((text) => printed.push(text))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  await command.parseAsync(args, { from: 'user' });
  return printed.join('');
}

const refused = (...args: string[]) =>
  run(...args).then(
    () => expect.unreachable('it was accepted'),
    (error: CommanderError) => error.message,
  );

const three = ['--server', 'a=10.0.0.1', '--server', 'b=10.0.0.2', '--server', 'c=10.0.0.3'];

describe('mirrorkeeper nats-config', () => {
  it('without keys takes passwords from the environment, and says which', async () => {
    const text = await run('--cluster', 'prod', '--node', 'eve-2', '--user', 'anna:operator');
    expect(text).toContain('#   MK_PASSWORD_EVE_2=');
    expect(text).toContain('user: "eve-2", password: $MK_PASSWORD_EVE_2');
    expect(text).toContain('user: "anna", password: $MK_PASSWORD_ANNA');
    expect(text).not.toContain('cluster {');
  });

  it('makes a missing key once, for its owner only, and prints no secret', async () => {
    const args = ['--cluster', 'prod', ...three, '--node', 'eve', '--keys', folder];
    const [a, b] = [await run(...args, '--this', 'a'), await run(...args, '--this', 'b')];
    expect(b).toBe(a.replaceAll('host of a', 'host of b').replace('server_name: "a"', 'server_name: "b"'));
    const file = join(folder, 'eve.creds');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const credentials = parseCredentials(await readFile(file, 'utf8'));
    if (!('seed' in credentials)) return expect.unreachable('it holds a password');
    expect(a).toContain(`nkey: "${publicKeyOf(credentials)}"`);
    expect(a).not.toContain(credentials.seed);
    expect(a).toContain('MK_ROUTES=\'["nats-route://route:PASSWORD@10.0.0.1:6222"');
  });

  it('does not overwrite what it finds in the place of a key', async () => {
    await writeFile(join(folder, 'eve.creds'), 'a note');
    const args = ['--cluster', 'prod', '--node', 'eve', '--keys', folder];
    expect(await refused(...args)).toMatch(/a credentials file holds/);
    await writeFile(join(folder, 'eve.creds'), '{"user":"adam","password":"x"}');
    expect(await refused(...args)).toMatch(/eve.creds belongs to adam/);
    expect(await readFile(join(folder, 'eve.creds'), 'utf8')).toBe('{"user":"adam","password":"x"}');
  });

  it.each([
    [['--server', 'a=1', '--server', 'b=2', '--node', 'eve'], /2 servers are worse than 1/],
    [[], /nobody could connect/],
    [['--node', 'eve', '--user', 'eve:operator'], /eve is there twice/],
    [['--node', 'eve-1', '--node', 'eve_1'], /password variable of another user/],
    [['--node', 'eve.1'], /letters, digits/],
    [['--node', 'eve=UABC'], /begins with U, 56 characters/],
    [['--user', 'anna:king'], /operator, auditor, dashboard/],
    [['--user', 'eve:agent'], /operator, auditor, dashboard/],
    [['--node', 'eve', '--this', 'z'], /--this z is none of the servers/],
    [['--node', 'eve', '--port', '99999'], /1 to 65535/],
  ])('refuses %j', async (args, sentence) => {
    expect(await refused('--cluster', 'prod', ...args)).toMatch(sentence);
  });
});
