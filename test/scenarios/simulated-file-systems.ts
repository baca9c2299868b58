import { type AttachedReign, DeviceInUse, type FileSystems } from '../../adapters/agent/ports.ts';
import type { DeviceUris, MountedVolume } from '../../domain/events.ts';
import type { MountPoint } from '../../domain/file-systems.ts';
import type { Tag } from '../../domain/vocabulary.ts';

interface Attached {
  readonly reign: AttachedReign;
  readonly mounts: MountedVolume[];
}

/** Mounts of one node without a kernel: they outlive agent and engine, as those of a node whose processes are killed. */
export class SimulatedFileSystems implements FileSystems {
  readonly #attached = new Map<Tag, Attached>();
  /** An application is in the mount. */
  inUse = false;
  /** It can be seen before it stands in the way. */
  isSeen = true;
  /** Why nothing can be mounted; null where it can. */
  failure: string | null = null;

  async make(): Promise<void> {
    if (this.failure !== null) throw new Error(this.failure);
  }

  async mount(
    reign: AttachedReign,
    _fstype: string,
    devices: DeviceUris,
    points: readonly MountPoint[],
  ): Promise<MountedVolume[]> {
    if (this.failure !== null) throw new Error(this.failure);
    const mounts = points.map(({ volume, at }) => {
      if (!devices.some((device) => device.volume === volume)) throw new Error(`${volume} has no device`);
      return { volume, device: '/dev/loop1', at };
    });
    this.#attached.set(reign.tag, { reign, mounts });
    return mounts;
  }

  async unmount(tag: Tag, orderly: boolean): Promise<boolean> {
    if (orderly && this.inUse) throw new DeviceInUse(await this.#user(tag));
    return this.#attached.delete(tag);
  }

  async stands(tag: Tag): Promise<boolean> {
    return this.#attached.has(tag);
  }

  async heldBy(tag: Tag): Promise<string | null> {
    return this.inUse && this.isSeen && this.#attached.has(tag) ? this.#user(tag) : null;
  }

  async #user(tag: Tag): Promise<string> {
    return `${this.#attached.get(tag)?.mounts[0]?.at} is used by postgres (process 7)`;
  }

  async mountedAt(tag: Tag): Promise<string | null> {
    const mount = this.#attached.get(tag)?.mounts[0];
    return mount ? `mounted at ${mount.at}` : null;
  }

  async usedMountPoint(folders: readonly string[]): Promise<string | null> {
    const mounts = [...this.#attached.values()].flatMap((attached) => attached.mounts);
    return mounts.find(({ at }) => folders.includes(at))?.device ?? null;
  }

  async usersOf(): Promise<string | null> {
    return this.inUse ? 'it is used by postgres (process 7)' : null;
  }

  async release(): Promise<void> {}

  /** For a transcript: where what is mounted, and of which reign. */
  lines(): string[] {
    return [...this.#attached.values()].flatMap(({ reign, mounts }) =>
      mounts.map(({ volume, at }) => `${volume} of epoch ${reign.epoch} at ${at}`),
    );
  }
}
