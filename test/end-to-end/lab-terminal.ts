import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { endAll, pidsUnder } from '../../tools/lab/processes.ts';

/** What `npm start` runs, compiled. */
const program = fileURLToPath(new URL('../../dist/tools/mirrorkeeper.js', import.meta.url));
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('MIRRORKEEPER_')),
);

/** Of a lab, which is gone with its folder when the test is. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mk-lab-'));
  onTestFinished(async () => {
    await endAll(pidsUnder(folder), 0);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
}

/** The first terminal: the lab itself, with what it has printed so far. */
export class Terminal {
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

  /** What it has printed so far. */
  get out(): string {
    return this.#out;
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
export function typed(folder: string, line: string): Promise<Ended> {
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

export async function done(folder: string, line: string): Promise<string> {
  const { code, out } = await typed(folder, line);
  expect(code, `${line}: ${out}`).toBe(0);
  return out;
}
