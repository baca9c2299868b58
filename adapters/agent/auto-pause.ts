import { settingOf } from '../../domain/settings.ts';
import { type MirrorState, type ResourceState, reigns } from '../../domain/state.ts';
import type { PeerStatus } from '../engine/control-protocol.ts';
import type { AgentContext } from './context.ts';

/**
 * Rule 18: a mirror whose queue stays full for `auto-pause` seconds is paused by policy, and resumed when its link has
 * been there for as long again: a link that comes and goes, or that stays too slow, does not make the application
 * wait each time anew. Looked at with each heartbeat; an agent that began anew counts anew.
 */
export class AutoPause {
  readonly #context: AgentContext;
  /** Since when a mirror has waited to be paused or resumed, by tag, target and what; monotonic milliseconds. */
  readonly #since = new Map<string, number>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  async look(): Promise<void> {
    const { engines, options } = this.#context;
    const { resources } = this.#context.state();
    const due: { resource: ResourceState; mirror: MirrorState; command: 'auto-pause' | 'auto-resume' }[] = [];
    const waiting = new Set<string>();
    for (const tag of engines.tags()) {
      const resource = resources[tag];
      if (resource === undefined || !reigns(resource, options.node)) continue;
      for (const mirror of Object.values(resource.mirrors)) {
        const peer = engines.lastStatus(tag)?.peers.find(({ peer }) => peer === mirror.target);
        const command = peer && commandFor(mirror, peer);
        const seconds = this.#seconds(resource, mirror);
        if (command === undefined || seconds === null) continue;
        const key = `${tag} ${mirror.target} ${command}`;
        waiting.add(key);
        if (this.#waitedMs(key) >= 1000 * seconds) due.push({ resource, mirror, command });
      }
    }
    for (const key of this.#since.keys()) if (!waiting.has(key)) this.#since.delete(key);
    for (const { resource, mirror, command } of due) {
      const { source, target } = mirror;
      await this.#context.submit(command, { tag: resource.tag, source, target }, 'policy');
    }
  }

  /** Null: the policy is off. What it has paused, it resumes all the same. */
  #seconds({ tag }: ResourceState, { source, target, paused }: MirrorState): number | null {
    const { settings } = this.#context.state();
    const setting = settingOf(settings, { tag, node: source, peer: target }, 'auto-pause');
    if (typeof setting === 'number') return setting;
    return paused === null ? null : 0;
  }

  #waitedMs(key: string): number {
    const nowMs = this.#context.clock.nowMs();
    const since = this.#since.get(key) ?? nowMs;
    this.#since.set(key, since);
    return nowMs - since;
  }
}

function commandFor({ paused }: MirrorState, peer: PeerStatus): 'auto-pause' | 'auto-resume' | undefined {
  if (paused === null) return peer.congested && peer.connected ? 'auto-pause' : undefined;
  return paused.by === 'policy' && peer.connected ? 'auto-resume' : undefined;
}
