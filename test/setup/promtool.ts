import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebianPackage } from '../../tools/debian-package.ts';

const folder = join(import.meta.dirname, '../../.cache/prometheus');
const program = join(folder, 'usr/bin/promtool');

/** Prometheus' own checker, of Debian's package `prometheus`, which is unpacked and not installed. Resolves with what it says. */
export async function promtool(args: readonly string[], input = ''): Promise<{ ok: boolean; said: string }> {
  if (!existsSync(program)) await unpackDebianPackage('prometheus', folder);
  return new Promise((resolve) => {
    const child = execFile(program, args, (error, out, err) => {
      resolve({ ok: error === null, said: `${out}${err}`.trim() });
    });
    child.stdin?.end(input);
  });
}
