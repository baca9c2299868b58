import type { CommandName } from '../../domain/commands.ts';
import type { Intent } from '../../domain/react.ts';
import type { ReplicaState } from '../../domain/state.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import type { AgentContext } from './context.ts';
import { DeviceInUse } from './ports.ts';

type Mount = Extract<Intent, { do: 'mount' }>;

/** A file system that could not be mounted or unmounted is tried again after this time, ms. */
const retryMs = 2000;

/**
 * File systems of this node's reigns: what the intents ask for is brought about on the host, and what became of it is
 * journaled once. A device that answers is a completed takeover (rule 6); mounting follows, and an alarm tells where it
 * fails.
 */
export class Mounting {
  readonly #context: AgentContext;
  /** By tag: until when what failed is not tried again. */
  readonly #notBefore = new Map<Tag, number>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** True when everything is mounted; false where it is not due yet, or has to be looked at again. */
  async mount({ tag, epoch, fstype, make, mounts }: Mount): Promise<boolean> {
    const { engines, fileSystems } = this.#context;
    const status = await engines.status(tag);
    if (!status?.replica?.serving || status.replica.epoch !== epoch || this.#waits(tag)) return false;
    const reign = { tag, epoch, enginePid: status.pid };
    const devices = status.replica.exports;
    if (make) {
      await this.#tried(tag, 'make', () => fileSystems.make(reign, fstype, devices));
      // Durable before the first mount: what was mounted once is never made again.
      await this.#submit(tag, 'file-system-made', { fstype, volumes: mounts.map(({ volume }) => volume) });
      return false;
    }
    const mounted = await this.#tried(tag, 'mount', () => fileSystems.mount(reign, fstype, devices, mounts));
    const known = this.#replica(tag)?.mounted;
    if (JSON.stringify(known) !== JSON.stringify({ epoch, mounts: mounted }))
      await this.#submit(tag, 'file-system-mounted', { epoch, mounts: mounted });
    return true;
  }

  /** Rejects where `orderly` and something is in use; an alarm tells it. */
  async unmount(tag: Tag, orderly: boolean): Promise<void> {
    if (this.#waits(tag)) throw new DeviceInUse('it is tried again in a moment');
    const there = await this.#tried(tag, 'unmount', () => this.#context.fileSystems.unmount(tag, orderly));
    await this.#unmounted(tag, there, !orderly);
  }

  /** Rule 6: what cannot be unmounted stops the switchover at step 2; the source stays. */
  async makeWay(tag: Tag): Promise<void> {
    try {
      await this.#unmounted(tag, await this.#context.fileSystems.unmount(tag, true), false);
    } catch (error) {
      const why = error instanceof DeviceInUse ? `device-in-use: ${error.message}` : String(error);
      await this.#submit(tag, 'switchover-stopped', { step: 2, why });
      throw error;
    }
  }

  /** The device goes, whatever is mounted: in order where that can be, unless nothing more is acknowledged (`atOnce`). */
  async giveUp(tag: Tag, atOnce: boolean): Promise<void> {
    const { fileSystems } = this.#context;
    if (this.#replica(tag)?.mount === null) return;
    const inOrder = atOnce ? null : await fileSystems.unmount(tag, true).catch(() => null);
    await this.#unmounted(tag, inOrder ?? (await fileSystems.unmount(tag, false)), inOrder === null);
  }

  async #unmounted(tag: Tag, wasThere: boolean, forced: boolean): Promise<void> {
    const replica = this.#replica(tag);
    if (replica && (wasThere || replica.mounted))
      await this.#submit(tag, 'file-system-unmounted', { forced });
  }

  #waits(tag: Tag): boolean {
    return (this.#notBefore.get(tag) ?? 0) > this.#context.clock.nowMs();
  }

  async #tried<T>(tag: Tag, what: 'make' | 'mount' | 'unmount', attempt: () => Promise<T>): Promise<T> {
    try {
      const done = await attempt();
      this.#notBefore.delete(tag);
      return done;
    } catch (error) {
      this.#notBefore.set(tag, this.#context.clock.nowMs() + retryMs);
      const why = error instanceof Error ? error.message : String(error);
      const known = this.#replica(tag)?.mountFailure;
      if (known?.what !== what || known.why !== why)
        await this.#submit(tag, 'file-system-failed', { what, why: why.slice(0, 500) });
      throw error;
    }
  }

  #replica(tag: Tag): ReplicaState | undefined {
    return this.#context.state().resources[tag]?.replicas[this.#context.options.node];
  }

  async #submit(tag: Tag, command: CommandName, body: object): Promise<void> {
    await this.#context.submit(command, { tag, ...body }, 'engine');
  }
}
