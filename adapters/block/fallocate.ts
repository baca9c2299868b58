import { spawn } from 'node:child_process';

/** `zero-range` keeps the space, `punch-hole` gives it back; both read back as zeros. */
export type FallocateKind = 'zero-range' | 'punch-hole';

export type FallocateOutcome = 'done' | 'unsupported' | 'failed';

/**
 * Node has no fallocate(2): util-linux' program does it, on the descriptor itself, so that the path may mean
 * something else by now. The child holds the descriptor's lock (file-lock.ts, or O_EXCL of a device): if this process
 * is killed meanwhile, nobody else opens the volume before the child has ended.
 */
export function fallocate(
  fd: number,
  kind: FallocateKind,
  offset: number,
  byteCount: number,
  done: (outcome: FallocateOutcome) => void,
): void {
  const range = ['--offset', String(offset), '--length', String(byteCount)];
  const child = spawn('fallocate', [`--${kind}`, ...range, '/proc/self/fd/3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  child.once('error', () => done('unsupported'));
  child.once('close', (status) => {
    if (child.pid === undefined) return;
    if (status === 0) done('done');
    else done(/not supported|unsupported/i.test(complaint) ? 'unsupported' : 'failed');
  });
}
