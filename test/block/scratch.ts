import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder that goes with the test. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mk-block-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function scratchFile(byteSize: number): string {
  const path = join(scratchFolder(), 'volume');
  writeFileSync(path, '');
  truncateSync(path, byteSize);
  return path;
}

/** A loop device that goes with the test. Needs root, as `npm test` does. */
export function scratchDisk(byteSize: number): string {
  const loop = execFileSync('losetup', ['--find', '--show', scratchFile(byteSize)], {
    encoding: 'utf8',
  }).trim();
  onTestFinished(() => {
    execFileSync('losetup', ['--detach', loop]);
  });
  return loop;
}
