import { defineConfig } from 'vitest/config';

/** Tests of whole processes want the machine for themselves: they run one file after the other, behind the rest. */
const processes = ['end-to-end/**/*.test.ts', 'simulation/**/*.test.ts', 'engine/**/*process*.test.ts'];

export default defineConfig({
  test: {
    dir: 'test',
    globalSetup: ['test/setup/system-tools.ts'],
    reporters: ['default', 'json'],
    outputFile: { json: 'dist/test-results.json' },
    projects: [
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['**/*.test.ts'],
          exclude: processes,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: processes,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
