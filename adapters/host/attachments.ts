import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tag } from '../../domain/vocabulary.ts';
import type { AttachedReign } from '../agent/ports.ts';
import type { Machine } from './machine.ts';
import { isWithin, type Loop, parseLoops, parseMountInfo } from './mount-table.ts';

/**
 * NBD exports as block devices, without a kernel that speaks NBD: `nbdfuse` shows an export as a file, `losetup` that
 * file as a disk. Everything is found again from what the system itself knows (mount table, loop devices, processes):
 *
 *     DIR/m/<8 hex of the tag's hash>/<epoch>.<pid of the engine>/<volume>/device     the file of nbdfuse
 *     DIR/m/<8 hex>/<epoch>.<pid of the engine>/<volume>.pid                         its process
 *     DIR/m/<8 hex>.log                                                              what nbdfuse has to say
 *
 * The folder names the reign: what is attached for another one is stale. `nbdfuse` never reconnects, and the export's
 * name holds the epoch, so that nothing stale is ever written (FAULTS 34); still it goes before the replica becomes a
 * target.
 */
export interface Attachment {
  readonly volume: string;
  /** `<epoch>.<pid>` */
  readonly reign: string;
  readonly folder: string;
  /** The loop device, where there is one. */
  readonly device: string | null;
  /** The process that serves the file runs. */
  readonly runs: boolean;
}

const quickMs = 10_000;
const appearMs = 10_000;
const pollMs = 10;

export const reignName = ({ epoch, enginePid }: AttachedReign): string => `${epoch}.${enginePid}`;

export class Attachments {
  readonly #dir: string;
  readonly #machine: Machine;

  /** @param dir the agent's absolute DIR */
  constructor(dir: string, machine: Machine) {
    this.#dir = dir;
    this.#machine = machine;
  }

  #folder(tag: Tag): string {
    return join(this.#dir, 'm', createHash('sha256').update(tag).digest('hex').slice(0, 8));
  }

  #folderOf(reign: AttachedReign, volume: string): string {
    return join(this.#folder(reign.tag), reignName(reign), volume);
  }

  /** Whether the process that serves the volume's file runs. */
  runs(reign: AttachedReign, volume: string): boolean {
    return this.#serverOf(this.#folderOf(reign, volume)) !== undefined;
  }

  /** Everything that is attached of the tag, of whatever reign. */
  async list(tag: Tag): Promise<Attachment[]> {
    const top = this.#folder(tag);
    const loops = (await this.#loops()).filter(({ file }) => isWithin(file, top));
    const mounts = parseMountInfo(await this.#machine.mountInfo()).filter(({ at }) => isWithin(at, top));
    const served = foldersIn(top).flatMap((reign) =>
      foldersIn(join(top, reign))
        .filter((name) => name.endsWith('.pid'))
        .map((name) => join(top, reign, name.slice(0, -'.pid'.length))),
    );
    const folders = new Set([
      ...loops.map(({ file }) => file.replace(/\/device$/, '')),
      ...mounts.map(({ at }) => at),
      ...served,
    ]);
    return [...folders].sort().map((folder) => {
      const [reign = '', volume = ''] = folder.slice(top.length + 1).split('/');
      const device = loops.find(({ file }) => file === join(folder, 'device'))?.device ?? null;
      return { volume, reign, folder, device, runs: this.#serverOf(folder) !== undefined };
    });
  }

  /** The block device of an export; attached only if it is not yet. */
  async attach(reign: AttachedReign, volume: string, uri: string): Promise<string> {
    const folder = this.#folderOf(reign, volume);
    const known = (await this.list(reign.tag)).find((one) => one.folder === folder);
    if (known?.runs && known.device !== null) return known.device;
    if (known !== undefined) await this.detach(known, false);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const log = `${this.#folder(reign.tag)}.log`;
    const file = join(folder, 'device');
    const pid = await this.#machine.start('nbdfuse', [file, uri], log);
    writeFileSync(`${folder}.pid`, `${pid}\n`, { mode: 0o600 });
    await this.#appears(folder, pid, log);
    const { code, stdout, stderr } = await this.#machine.run(
      'losetup',
      ['--find', '--show', '--direct-io=on', file],
      quickMs,
    );
    const device = stdout.trim();
    if (code === 0 && device.startsWith('/dev/')) return device;
    throw new Error(`losetup of ${file}: ${stderr.trim()}`);
  }

  /** Waited for some 100 times a second: a mount raises no event. */
  async #appears(folder: string, pid: number, log: string): Promise<void> {
    for (let leftMs = appearMs; ; leftMs -= pollMs) {
      const mounts = parseMountInfo(await this.#machine.mountInfo());
      if (mounts.some(({ at }) => at === folder)) return;
      if (this.#machine.commandLine(pid) === undefined) throw new Error(`nbdfuse ended: ${lastLine(log)}`);
      if (leftMs <= 0) throw new Error(`nbdfuse shows no file after ${appearMs} ms: ${lastLine(log)}`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /** From here on nothing that is stuck in its mounts waits any more, and nothing more is written. */
  stop(folder: string): void {
    const pid = this.#serverOf(folder);
    if (pid !== undefined) this.#machine.kill(pid);
  }

  /** Its file systems are unmounted. `orderly`: what the process still holds reaches the engine. */
  async detach({ folder, device }: Attachment, orderly: boolean): Promise<void> {
    const pid = this.#serverOf(folder);
    if (!orderly) this.stop(folder);
    if (device !== null) await this.#machine.run('losetup', ['--detach', device], quickMs);
    const mounts = parseMountInfo(await this.#machine.mountInfo());
    if (mounts.some(({ at }) => at === folder))
      await this.#machine.run('umount', ['--no-canonicalize', '--lazy', folder], quickMs);
    if (pid !== undefined) await this.#ends(folder, pid);
    forgetFiles(folder);
  }

  /** It ends by itself when its file is no longer mounted and nobody holds it. */
  async #ends(folder: string, pid: number): Promise<void> {
    for (let leftMs = appearMs; this.#serverOf(folder) === pid; leftMs -= pollMs) {
      if (leftMs <= 0) this.#machine.kill(pid);
      if (leftMs <= -appearMs) throw new Error(`nbdfuse (process ${pid}) does not end`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /** The process that serves the folder, by the pid that was noted: another one may have that number by now. */
  #serverOf(folder: string): number | undefined {
    const text = existsSync(`${folder}.pid`) ? readFileSync(`${folder}.pid`, 'utf8') : '';
    const pid = Number.parseInt(text, 10);
    if (!(pid > 0)) return undefined;
    return this.#machine.commandLine(pid)?.includes(join(folder, 'device')) ? pid : undefined;
  }

  async #loops(): Promise<Loop[]> {
    const listed = ['--list', '--json', '--output', 'NAME,BACK-FILE'];
    const { code, stdout, stderr } = await this.#machine.run('losetup', listed, quickMs);
    if (code !== 0) throw new Error(`losetup: ${stderr.trim()}`);
    return parseLoops(stdout);
  }
}

/** Names in a folder of this agent's own, which no mount is. */
function foldersIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function forgetFiles(folder: string): void {
  rmSync(`${folder}.pid`, { force: true });
  for (const empty of [folder, join(folder, '..')]) {
    try {
      rmdirSync(empty);
    } catch {
      // Another volume of the reign is still attached.
    }
  }
}

function lastLine(file: string): string {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  return lines.at(-1) ?? '';
}
