import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A safety rule of the product, broken on purpose in a copy of its source: the texts to find (each exactly once) and
 * what to put there. The copy is compiled in a folder of its own, so the product needs no switch for it.
 */
export interface Mutation {
  readonly name: string;
  /** What the mutant does wrong. */
  readonly rule: string;
  /** The first seed, where 1 would be long before the one that meets it. */
  readonly from?: number;
  readonly changes: readonly Change[];
}

export interface Change {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export interface Verdict {
  readonly caught: boolean;
  readonly output: string;
}

const folders = ['domain', 'journal', 'projections', 'adapters', 'test/simulation'] as const;

/** Runs seeds of the mutant until the simulation catches it, or `seedCount` are through. `root`: the repository. */
export function tryMutation(root: string, mutation: Mutation, seedCount: number): Verdict {
  const from = mutation.from ?? 1;
  const copy = mkdtempSync(join(tmpdir(), 'mutant-'));
  try {
    copySource(root, copy);
    for (const change of mutation.changes) mutate(copy, mutation.name, change);
    compile(root, copy);
    const main = join(copy, 'dist/test/simulation/main.js');
    const run = spawnSync(process.execPath, [main, '--seeds', `${from}`, `${seedCount}`, '--until-failure'], {
      encoding: 'utf8',
      cwd: copy,
    });
    return { caught: run.status === 1, output: run.stdout + run.stderr };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function copySource(root: string, copy: string): void {
  for (const folder of folders) cpSync(join(root, folder), join(copy, folder), { recursive: true });
  cpSync(join(root, 'package.json'), join(copy, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const tsconfig = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as Record<string, unknown>;
  const { include, ...rest } = tsconfig;
  const changed = { ...rest, files: ['test/simulation/main.ts'] };
  writeFileSync(join(copy, 'tsconfig.json'), JSON.stringify(include === undefined ? tsconfig : changed));
}

function mutate(copy: string, name: string, { file, find, put }: Change): void {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new Error(`mutation ${name}: its text occurs ${parts.length - 1} times in ${file}, not once`);
  }
  writeFileSync(path, parts.join(put));
}

function compile(root: string, copy: string): void {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(
    process.execPath,
    [compiler, '--noUnusedLocals', 'false', '--noUnusedParameters', 'false'],
    {
      encoding: 'utf8',
      cwd: copy,
    },
  );
  if (status !== 0) throw new Error(`the mutant does not compile:\n${stdout}`);
}
