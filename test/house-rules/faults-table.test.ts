import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const table = readFileSync(join(root, 'test/FAULTS.md'), 'utf8');
const rows = table.split('\n').filter((line) => /^\| \d/.test(line));
const numberOf = (row: string) => Number(/^\| (\d+)/.exec(row)?.[1]);

/** Of what there is: without quorum, the write-order log, rewind and upgrades. */
const built = [
  1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 33, 34,
  35, 36,
];

it('every fault that can happen has its row, with a test or with the reason why there is none', () => {
  expect(rows.map(numberOf)).toEqual(built);
  for (const row of rows) {
    const [, , processes = '', parts = '', missing = ''] = row.split('|');
    expect(`${processes}${parts}`.includes('.test.ts') || missing.trim() !== '', row).toBe(true);
  }
});

it('every file that the table of faults names is there', () => {
  const named = [...table.matchAll(/`((?:test|tools)\/[^`]+\.(?:ts|scenario))`/g)].map(
    ([, path = '']) => path,
  );
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
