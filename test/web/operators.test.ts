import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isOwnHost, isOwnOrigin } from '../../adapters/web/guard.ts';
import { Operators } from '../../adapters/web/operators.ts';

const token = 'a'.repeat(64);
const other = 'b'.repeat(64);

async function fileWith(text: string, mode = 0o600): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mk-operators-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'operators');
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}

const asked = (headers: Record<string, string>) => ({ headers }) as unknown as IncomingMessage;

describe('operators of the dashboard', () => {
  it('are known by their tokens, and by nothing else', async () => {
    const operators = await Operators.read(await fileWith(`# who\nroot ${token}\n\nann ${other}\n`));
    expect(operators.nameOf(`Bearer ${token}`)).toBe('root');
    expect(operators.nameOf(`Bearer ${other}`)).toBe('ann');
    for (const wrong of [undefined, '', 'Bearer', `Bearer ${token.slice(1)}`, `Basic ${token}`, token])
      expect(operators.nameOf(wrong), wrong).toBeNull();
  });

  it('are nobody where there is no file of them', () => {
    expect(new Operators([]).nameOf(`Bearer ${token}`)).toBeNull();
  });

  it('a file that others may open, a short token, a line that is none: refused with a sentence', async () => {
    await expect(Operators.read(await fileWith(`root ${token}\n`, 0o644))).rejects.toThrow('chmod 600');
    await expect(Operators.read(await fileWith('root short\n'))).rejects.toThrow('NAME TOKEN');
    await expect(Operators.read(await fileWith(`${token}\n`))).rejects.toThrow('NAME TOKEN');
  });
});

describe('what a browser is not believed', () => {
  it('a name that somebody else’s DNS lets point here is not this server’s (DNS rebinding)', () => {
    const own = ['localhost', 'eve.example'];
    for (const host of ['127.0.0.1:80', '[::1]:80', 'localhost:1', 'EVE.example:1'])
      expect(isOwnHost(asked({ host }), own), host).toBe(true);
    for (const host of ['evil.example', 'localhost.evil.example:1', '', 'x y'])
      expect(isOwnHost(asked({ host }), own), host).toBe(false);
    expect(isOwnHost(asked({}), own)).toBe(false);
  });

  it('a page of another server may send nothing (CSRF)', () => {
    const host = '127.0.0.1:80';
    expect(isOwnOrigin(asked({ host }))).toBe(true);
    expect(isOwnOrigin(asked({ host, origin: 'http://127.0.0.1:80' }))).toBe(true); // the default port is left out by both
    expect(isOwnOrigin(asked({ host, origin: 'http://127.0.0.1:81' }))).toBe(false);
    expect(isOwnOrigin(asked({ host, origin: 'null' }))).toBe(false);
    expect(isOwnOrigin(asked({ host, 'sec-fetch-site': 'cross-site' }))).toBe(false);
    expect(isOwnOrigin(asked({ host, 'sec-fetch-site': 'same-site' }))).toBe(false);
  });
});
