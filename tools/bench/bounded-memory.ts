import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fio } from './fio.ts';
import { BenchMirror } from './mirror.ts';
import { BenchProcess, makeImage } from './processes.ts';

export interface MemoryLine {
  readonly name: string;
  readonly process: string;
  readonly beforeMiB: number;
  readonly peakMiB: number;
}

/** What each write to the slow target's disk takes: some 100 times as long as one to the page cache over the link. */
const writeDelayMs = 8;

/** Memory of our processes while an application writes as fast as it can to a mirror whose target's disk crawls. */
export async function boundedMemory(
  folder: string,
  byteCount: number,
  seconds: number,
): Promise<MemoryLine[]> {
  mkdirSync(folder);
  const fuse = join(folder, 'fuse');
  mkdirSync(fuse);
  const image = makeImage(join(folder, 'image'), byteCount);
  const socket = join(folder, 'slow.sock');
  const slow = ['-f', '-U', socket, '--filter=delay', 'file', image, `wdelay=${writeDelayMs}ms`];
  const disk = new BenchProcess('nbdkit, slow', 'nbdkit', slow);
  await disk.listens({ path: socket });
  const pidFile = join(folder, 'nbdfuse.pid');
  const file = join(fuse, 'volume');
  const nbdfuse = new BenchProcess('nbdfuse', 'nbdfuse', [
    '-P',
    pidFile,
    file,
    `nbd+unix:///?socket=${socket}`,
  ]);
  try {
    await nbdfuse.makes(pidFile);
    const lines: MemoryLine[] = [];
    for (const mode of ['sync', 'async']) {
      const home = join(folder, mode);
      mkdirSync(home);
      const mirror = new BenchMirror(home, { targets: 1, mode, byteCount, targetImage: file });
      try {
        await mirror.start();
        lines.push(...(await underLoad(mirror, mode, seconds)));
      } finally {
        await mirror.end();
      }
    }
    return lines;
  } finally {
    await unmount(fuse);
    await Promise.all([nbdfuse.end(), disk.end()]);
  }
}

async function underLoad(mirror: BenchMirror, mode: string, seconds: number): Promise<MemoryLine[]> {
  const watched = mirror.processes.map((process) => {
    const beforeMiB = process.memoryMiB;
    return { process, beforeMiB, peakMiB: beforeMiB };
  });
  const timer = setInterval(() => {
    for (const one of watched) one.peakMiB = Math.max(one.peakMiB, one.process.memoryMiB);
  }, 50);
  try {
    await fio(mirror.uri, { rw: 'randwrite', blockSize: '4k', depth: 64 }, seconds, 1);
    await fio(mirror.uri, { rw: 'randwrite', blockSize: '1M', depth: 16 }, seconds, 2);
  } finally {
    clearInterval(timer);
  }
  return watched.map(({ process, beforeMiB, peakMiB }) => ({
    name: `${mode} mirror, target's disk 100 times slower`,
    process: process.name,
    beforeMiB,
    peakMiB,
  }));
}

function unmount(folder: string): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn('fusermount3', ['-u', '-z', folder], { stdio: 'ignore' });
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
}
