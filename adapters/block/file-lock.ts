import { spawn } from 'node:child_process';

/**
 * Locks an open file for as long as anybody has it open through this descriptor: this process, or a child that got
 * the descriptor. The kernel lets go when the last of them ends, so no lock is ever stale.
 * Node has no flock(2); util-linux' `flock` locks the description that we share with it, and leaves.
 * Resolves to false where somebody else holds the lock.
 */
export function lockFile(fd: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const flock = spawn('flock', ['--exclusive', '--nonblock', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', fd],
    });
    flock.once('error', (error) => reject(new Error(`cannot lock a file: ${error.message}`)));
    flock.once('exit', (status) => {
      if (status === 0 || status === 1) resolve(status === 0);
      else reject(new Error(`cannot lock a file: flock ended with ${status}`));
    });
  });
}
