import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { draft } from './drafts.ts';
import { allEvents, codeOf, openJournal, temporaryDirectory } from './support.ts';

const script = join(import.meta.dirname, '../../dist/test/journal/appender.js');

function startAppender(directory: string): ChildProcess {
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** What the child printed, killed as soon as it has printed so many lines. */
async function killAfter(child: ChildProcess, lineCount: number): Promise<string[]> {
  if (child.stdout === null) throw new Error('no output');
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    lines.push(line);
    if (lines.length === lineCount) child.kill('SIGKILL');
  });
  await Promise.all([once(reader, 'close'), once(child, 'exit')]);
  return lines;
}

describe('kill -9', () => {
  it('loses nothing that was acknowledged, round after round, and leaves nothing to clean up', async () => {
    const directory = temporaryDirectory();
    const acknowledged: string[] = [];
    for (const lineCount of [1, 40, 333, 1500, 77]) {
      const lines = await killAfter(startAppender(directory), lineCount);
      // A last line that was cut off is no acknowledgement.
      acknowledged.push(...lines.filter((line) => /^\S+ [0-9a-f]{64}$/.test(line)));
      const journal = await openJournal(directory);
      expect(journal.damage()).toEqual([]);
      const stored = new Set((await allEvents(journal)).map(({ id, hash }) => `${id} ${hash}`));
      expect(acknowledged.filter((line) => !stored.has(line))).toEqual([]);
      await journal.close();
    }
    expect(acknowledged.length).toBeGreaterThan(1900);
  });
});

describe('the lock of the directory', () => {
  it('keeps a second process out, also after its holder tried to open twice and copied the directory', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    expect(await codeOf(openJournal(directory))).toBe('locked');
    cpSync(directory, join(temporaryDirectory(), 'copy'), { recursive: true });
    const [line] = await killAfter(startAppender(directory), 1);
    expect(line).toBe('locked');
    await journal.append([draft(1)]);
  });

  it('finds a process that holds it', async () => {
    const directory = temporaryDirectory();
    const child = startAppender(directory);
    if (child.stdout === null) throw new Error('no output');
    await once(child.stdout, 'data');
    expect(await codeOf(openJournal(directory))).toBe('locked');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await openJournal(directory)).damage()).toEqual([]);
  });

  it('is not taken for held when its process id belongs to another process by now', async () => {
    const directory = temporaryDirectory();
    const journal = await openJournal(directory);
    const lock = JSON.parse(readFileSync(join(directory, 'lock'), 'utf8')) as Record<string, unknown>;
    await journal.close();
    writeFileSync(join(directory, 'lock'), JSON.stringify({ ...lock, startTime: '1' }));
    await (await openJournal(directory)).close();
    writeFileSync(join(directory, 'lock'), 'garbage');
    expect((await openJournal(directory)).damage()).toEqual([]);
  });
});

describe('a full disk (a small tmpfs: mounting it needs root)', () => {
  it('refuses, loses nothing, stays readable, and goes on when there is room again', async () => {
    const mount = temporaryDirectory();
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mount]);
    expect(mounted.status).toBe(0);
    onTestFinished(() => void spawnSync('umount', [mount]));
    const ballast = join(mount, 'ballast');
    writeFileSync(ballast, Buffer.alloc(4 * 1024 * 1024));
    const directory = join(mount, 'journal');
    mkdirSync(directory);
    const journal = await openJournal(directory);

    const acknowledged: EventEnvelope[] = [];
    const append = async (number: number) =>
      void acknowledged.push(...(await journal.append([draft(number)])));
    let refusal = '';
    for (let round = 0; refusal === '' && round < 2000; round += 1) {
      const results = await Promise.allSettled(
        Array.from({ length: 16 }, (_, lane) => append(round * 16 + lane)),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) refusal = (failed.reason as { code: string }).code;
    }
    expect(refusal).toBe('write-failed');
    expect(await codeOf(journal.append([draft(0)]))).toBe('write-failed');
    expect(await allEvents(journal)).toEqual(acknowledged);

    rmSync(ballast);
    for (let number = 0; number < 50; number += 1) await append(number);
    const sequences = acknowledged.map(({ sequence }) => sequence);
    const stored = await allEvents(journal);
    expect(acknowledged.filter(({ sequence, hash }) => stored[sequence - 1]?.hash !== hash)).toEqual([]);
    expect(new Set(sequences).size).toBe(sequences.length);
    await journal.close();

    const again = await openJournal(directory);
    expect(again.damage()).toEqual([]);
    expect(await allEvents(again)).toEqual(stored);
    await again.close();
  });
});
