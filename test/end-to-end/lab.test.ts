import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Status } from '../../tools/cli/status-query.ts';
import { endAll, pidsUnder } from '../../tools/lab/processes.ts';

/** What `npm start` runs, compiled. */
const program = fileURLToPath(new URL('../../dist/tools/mirrorkeeper.js', import.meta.url));
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('MIRRORKEEPER_')),
);

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) {
    await endAll(pidsUnder(folder), 0);
    rmSync(folder, { recursive: true, force: true });
  }
});

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mk-lab-'));
  folders.push(folder);
  return folder;
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

/** The first terminal: the lab itself, with what it has printed so far. */
class Terminal {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #out = '';
  #wanted: { text: string; found: () => void } | null = null;

  constructor(folder: string, ...args: string[]) {
    this.child = spawn(process.execPath, [program, 'lab', ...args], { cwd: folder, env: environment });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.#out += text.toString();
        if (this.#wanted && this.#out.includes(this.#wanted.text)) this.#wanted.found();
      });
    this.ended = once(this.child, 'close').then(([code]) => ({
      code: code as number | null,
      out: this.#out,
    }));
  }

  /** Rejects with everything that was printed if the lab ends before. */
  async until(text: string): Promise<void> {
    if (this.#out.includes(text)) return;
    const found = new Promise<'found'>((resolve) => {
      this.#wanted = { text, found: () => resolve('found') };
    });
    const first = await Promise.race([found, this.ended]);
    if (first !== 'found') throw new Error(`the lab ended with ${first.code}: ${first.out}`);
  }
}

/** The second terminal: one command, from beginning to end. */
function typed(folder: string, line: string): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...line.split(' ')],
      { cwd: folder, env: environment },
      (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code), out: out + err });
      },
    );
  });
}

async function done(folder: string, line: string): Promise<string> {
  const { code, out } = await typed(folder, line);
  expect(code, `${line}: ${out}`).toBe(0);
  return out;
}

describe('lab', { timeout: 180_000 }, () => {
  it('--story plays an incident, and every check of the data holds (FAULTS 1, 10)', async () => {
    const { code, out } = await new Terminal(emptyFolder(), '--story').ended;
    expect(code, out).toBe(0);
    expect(out).toMatch(/All of it held: \d+ checks\.\n$/);
    expect(out).toContain('eve#'); // told in the words of the events
  });

  it('is written to, loses its source and gets it back from a second terminal, and goes on with its data', async () => {
    const folder = emptyFolder();
    expect((await typed(folder, 'lab verify')).code).toBe(3);

    const lab = new Terminal(folder);
    await lab.until('Ctrl-C stops everything');
    expect(await done(folder, 'lab write 4M')).toContain('written to the device on eve');
    await done(folder, 'wait datarep-ext3 --for in-sync --timeout 60');
    expect(await done(folder, 'lab verify')).toMatch(
      /device on eve: \d+ checksums are right.*\nthe copy on adam: .* right.*\nthe copy on sophocles: .* right/,
    );
    expect((await typed(folder, 'lab')).out).toContain('a lab runs already');

    await done(folder, 'switchover datarep-ext3 adam --reason maintenance');
    await done(folder, 'wait datarep-ext3 --for in-sync --timeout 60');
    await done(folder, 'lab kill adam');
    await done(folder, 'wait datarep-ext3 --for in-service --target eve --timeout 60');
    expect(await done(folder, 'lab verify')).toContain('the device on eve');
    await done(folder, 'lab heal adam');
    await done(folder, 'wait datarep-ext3 --for in-sync --timeout 60');
    expect(await done(folder, 'lab verify')).toContain('the copy on adam');
    const history = await done(folder, 'journal list --tag datarep-ext3 --type switchover');
    expect(history).toContain('because "maintenance"');
    expect((await typed(folder, 'lab partition nobody')).code).toBe(1);

    lab.child.kill('SIGINT');
    const ended = await lab.ended;
    expect(ended.code).toBe(0);
    expect(ended.out).toContain('are kept in');
    expect(pidsUnder(folder)).toEqual([]);

    const again = new Terminal(folder);
    await again.until('It goes on from what .lab had kept');
    await done(folder, 'wait datarep-ext3 --for in-service --timeout 60');
    expect(await done(folder, 'lab verify')).toContain('checksums are right');
    const status = JSON.parse(await done(folder, 'status datarep-ext3 --json')) as Status;
    expect(status.source).toBe('eve');
    again.child.kill('SIGINT');
    expect((await again.ended).code).toBe(0);
  });
});
