import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, run } from '../nbd/run.ts';

/**
 * An NBD export as a file system: nbdfuse makes it a file, losetup a block device, mount a folder. Whatever was
 * begun is undone by `close`, last first, also after a failure in between.
 */
export class MountedExport {
  readonly folder: string;
  readonly #fuse: string;
  readonly #undo: (() => Promise<unknown>)[] = [];
  #device = '';

  constructor(folder: string) {
    this.folder = join(folder, 'mounted');
    this.#fuse = join(folder, 'fuse');
    mkdirSync(this.folder);
    mkdirSync(this.#fuse);
  }

  /** Path of the loop device. */
  async attach(uri: string): Promise<string> {
    const file = join(this.#fuse, 'volume');
    const nbdfuse = spawn('nbdfuse', [file, uri], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#undo.push(() => this.#detachFuse(nbdfuse));
    await appeared(file, nbdfuse);
    const device = (await mustRun('losetup', '--find', '--show', file)).trim();
    this.#undo.push(() => run('losetup', '--detach', device));
    this.#device = device;
    return device;
  }

  async makeFileSystem(): Promise<void> {
    await mustRun('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.#device);
  }

  async mount(): Promise<void> {
    await mustRun('mount', '-t', 'ext4', this.#device, this.folder);
    this.#undo.push(() => run('umount', this.folder));
  }

  async unmount(): Promise<void> {
    await mustRun('umount', this.folder);
    await mustRun('blockdev', '--flushbufs', this.#device);
  }

  async close(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }

  async #detachFuse(nbdfuse: ChildProcess): Promise<void> {
    const ended = exited(nbdfuse);
    await run('fusermount3', '-u', this.#fuse);
    await ended;
  }
}

const exited = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });

/** The file of a FUSE file system raises no event: looked for some 100 times a second. */
function appeared(file: string, server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error: Error | null) => {
      clearInterval(timer);
      clearTimeout(limit);
      if (error === null) resolve();
      else reject(error);
    };
    const timer = setInterval(() => {
      if (existsSync(file)) finish(null);
    }, 10);
    const limit = setTimeout(() => finish(new Error(`no ${file} after 10 s`)), 10_000);
    server.once('error', finish);
    server.once('exit', (code) => finish(new Error(`it ended with ${code}`)));
  });
}
