import { realpath } from 'node:fs/promises';
import type { DeviceUris, MountedVolume } from '../../domain/events.ts';
import type { MountPoint } from '../../domain/file-systems.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import { type AttachedReign, DeviceInUse, type FileSystems } from '../agent/ports.ts';
import { type Attachment, Attachments, reignName } from './attachments.ts';
import type { Machine } from './machine.ts';
import { asShown, isWithin, type Mount, parseLoops, parseMountInfo } from './mount-table.ts';

const quickMs = 10_000;
/** Replaying a journal, or writing what is dirty, takes as long as the slowest synchronous target. */
const mountMs = 120_000;
const makeMs = 30 * 60_000;

/** Each overwrites whatever is there: an operator has accepted that (rule 23). */
const makers: Readonly<Record<string, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F'],
  xfs: ['mkfs.xfs', '-q', '-f'],
};

/** The other replicas of an XFS have the same identity: here they are known to be the same. */
const mountOptions: Readonly<Record<string, readonly string[]>> = { xfs: ['-o', 'nouuid'] };

/** File systems of this Linux machine, by util-linux, e2fsprogs, xfsprogs and nbdfuse. */
export class LinuxFileSystems implements FileSystems {
  readonly #machine: Machine;
  readonly #attachments: Attachments;
  /** What this agent has mounted, or found mounted: looked at with each heartbeat, so that no program is run for it. */
  readonly #mounted = new Map<Tag, { readonly reign: AttachedReign; readonly volumes: MountedVolume[] }>();

  /** @param dir the agent's absolute DIR */
  constructor(dir: string, machine: Machine) {
    this.#machine = machine;
    this.#attachments = new Attachments(dir, machine);
  }

  async make(reign: AttachedReign, fstype: string, devices: DeviceUris): Promise<void> {
    const [program, ...options] = makers[fstype] ?? [];
    if (program === undefined) throw new Error(`a file system of type ${fstype} cannot be made`);
    await this.#detachStale(reign);
    for (const { volume, uri } of devices) {
      const device = await this.#attachments.attach(reign, volume, uri);
      await this.#must(program, [...options, device], makeMs);
    }
  }

  async mount(
    reign: AttachedReign,
    fstype: string,
    devices: DeviceUris,
    points: readonly MountPoint[],
  ): Promise<MountedVolume[]> {
    await this.#detachStale(reign);
    const mounted: MountedVolume[] = [];
    for (const { volume, at } of points) {
      const uri = devices.find((device) => device.volume === volume)?.uri;
      if (uri === undefined) throw new Error(`${volume} has no device`);
      const device = await this.#attachments.attach(reign, volume, uri);
      await this.#mountAt(device, fstype, asShown(at));
      mounted.push({ volume, device, at } as MountedVolume);
    }
    this.#mounted.set(reign.tag, { reign, volumes: mounted });
    return mounted;
  }

  async #mountAt(device: string, fstype: string, at: string): Promise<void> {
    const there = (await this.#mounts()).filter((mount) => mount.at === at).at(-1);
    if (there?.source === device) return;
    if (there) throw new Error(`${there.source} is mounted at ${at} already`);
    await this.#must('mkdir', ['--parents', '--', at], quickMs);
    await this.#must('mount', ['-t', fstype, ...(mountOptions[fstype] ?? []), device, at], mountMs);
  }

  async unmount(tag: Tag, orderly: boolean): Promise<boolean> {
    this.#mounted.delete(tag);
    const attached = await this.#attachments.list(tag);
    // First all mounts: what is in use leaves everything attached.
    for (const attachment of [...attached].reverse()) if (orderly) await this.#unmountOrderly(attachment);
    for (const attachment of [...attached].reverse()) {
      if (!orderly) await this.#unmountNow(attachment);
      await this.#attachments.detach(attachment, orderly);
    }
    return attached.length > 0;
  }

  /** All of them, of other reigns than this one; their devices are gone, so that no order helps. */
  async #detachStale(reign: AttachedReign): Promise<void> {
    for (const attachment of await this.#attachments.list(reign.tag)) {
      if (attachment.reign === reignName(reign) && attachment.runs) continue;
      await this.#unmountNow(attachment);
      await this.#attachments.detach(attachment, false);
    }
  }

  async #unmountOrderly({ device }: Attachment): Promise<void> {
    const mounts = device === null ? [] : (await this.#mounts()).filter(({ source }) => source === device);
    for (const { at } of mounts.reverse()) {
      const { code, stderr } = await this.#machine.run('umount', ['--no-canonicalize', at], mountMs);
      if (code === 0 || !(await this.#isMounted(device, at))) continue;
      throw new DeviceInUse((await this.usersOf(at)) ?? `${at}: ${stderr.trim()}`);
    }
  }

  /** Whatever uses it finds errors from here on; the kernel lets go when the last one has gone. */
  async #unmountNow({ device, folder }: Attachment): Promise<void> {
    this.#attachments.stop(folder);
    const mounts = device === null ? [] : (await this.#mounts()).filter(({ source }) => source === device);
    for (const { at } of mounts.reverse())
      await this.#machine.run('umount', ['--no-canonicalize', '--lazy', at], quickMs);
    for (const { at } of mounts)
      if (await this.#isMounted(device, at)) throw new Error(`${at} cannot be unmounted`);
  }

  async #isMounted(device: string | null, at: string): Promise<boolean> {
    return (await this.#mounts()).some((mount) => mount.source === device && mount.at === at);
  }

  async stands(tag: Tag): Promise<boolean> {
    const known = this.#mounted.get(tag);
    if (known === undefined) return false;
    const mounts = await this.#mounts();
    return known.volumes.every(
      ({ volume, device, at }) =>
        mounts.some((mount) => mount.source === device && mount.at === asShown(at)) &&
        this.#attachments.runs(known.reign, volume),
    );
  }

  async heldBy(tag: Tag): Promise<string | null> {
    for (const { at } of await this.#mountsOf(tag)) {
      const users = await this.usersOf(at);
      if (users !== null) return users;
    }
    return null;
  }

  async mountedAt(tag: Tag): Promise<string | null> {
    const [mount] = await this.#mountsOf(tag);
    if (mount) return `mounted at ${mount.at}`;
    const attached = (await this.#attachments.list(tag)).find(({ device }) => device !== null);
    return attached ? `attached as ${attached.device}` : null;
  }

  async #mountsOf(tag: Tag): Promise<Mount[]> {
    const devices = (await this.#attachments.list(tag)).map(({ device }) => device);
    return (await this.#mounts()).filter(({ source }) => devices.includes(source));
  }

  async usedMountPoint(folders: readonly string[]): Promise<string | null> {
    if (folders.length === 0) return null;
    const mounts = await this.#mounts();
    const mount = mounts.find(({ at }) => folders.some((folder) => asShown(folder) === at));
    return mount ? `${mount.source} (${mount.fstype})` : null;
  }

  async usersOf(folder: string): Promise<string | null> {
    const below = (await this.#mounts()).find(({ at }) => at !== folder && isWithin(at, folder));
    if (below) return `${below.source} is mounted at ${below.at}`;
    const users = (await this.#machine.openPaths()).filter(({ path }) => isWithin(path, folder));
    const named = [...new Set(users.map(({ pid, program }) => `${program} (process ${pid})`))];
    if (named.length === 0) return null;
    const more = named.length > 3 ? ` and ${named.length - 3} more` : '';
    return `${folder} is used by ${named.slice(0, 3).join(', ')}${more}`;
  }

  async release(path: string): Promise<void> {
    const real = await realpath(path);
    const { stdout } = await this.#machine.run(
      'losetup',
      ['--list', '--json', '--output', 'NAME,BACK-FILE'],
      quickMs,
    );
    const loops = parseLoops(stdout).filter(({ file }) => file === real);
    const devices = [real, ...loops.map(({ device }) => device)];
    const mounts = (await this.#mounts()).filter(({ source }) => devices.includes(source));
    for (const { at, source } of mounts.reverse()) {
      const { code, stderr } = await this.#machine.run('umount', ['--no-canonicalize', at], mountMs);
      if (code !== 0) throw new DeviceInUse((await this.usersOf(at)) ?? `${at}: ${stderr.trim()}`);
      // What `mount -o loop` attached has gone with its mount; else it goes here.
      if (source !== real) await this.#machine.run('losetup', ['--detach', source], quickMs);
    }
  }

  async #mounts(): Promise<Mount[]> {
    return parseMountInfo(await this.#machine.mountInfo());
  }

  async #must(program: string, args: readonly string[], deadlineMs: number): Promise<void> {
    const { code, stderr } = await this.#machine.run(program, args, deadlineMs);
    if (code !== 0) throw new Error(`${program} ${args.at(-1)}: ${stderr.trim() || `ended with ${code}`}`);
  }
}
