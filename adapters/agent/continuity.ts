import type { ResourceState } from '../../domain/state.ts';
import { replicaNodes } from '../../domain/state.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import { type AgentContext, silenceMs } from './context.ts';

interface Watched {
  readonly epoch: number;
  /** When this agent last knew that the reign stood: its engine served, or the event that began it became durable. */
  knownMs: number;
}

/**
 * Reigns of this node that this very agent has watched without a gap. Only in such a one an engine may (again) serve
 * without asking anybody: while its engine is not there, another may have taken over as soon as this node was silent
 * to it (rules 7, 9 and 24). What an earlier agent of this node has journaled proves nothing: the node may have been
 * down for as long as anybody needs.
 */
export class Continuity {
  readonly #context: AgentContext;
  readonly #watched = new Map<Tag, Watched>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** The reign began just now by this agent's own decision, or its engine serves it. */
  stands(tag: Tag, epoch: number): void {
    const known = this.#watched.get(tag);
    if (known && known.epoch > epoch) return;
    this.#watched.set(tag, { epoch, knownMs: this.#context.clock.nowMs() });
  }

  holds(tag: Tag, epoch: number): boolean {
    this.watch();
    return this.#watched.get(tag)?.epoch === epoch;
  }

  /** With each heartbeat: a doubt once is a doubt for good. */
  watch(): void {
    const { clock, liveness, options } = this.#context;
    const nowMs = clock.nowMs();
    for (const [tag, watched] of this.#watched) {
      const resource = this.#context.state().resources[tag];
      if (resource && this.#serves(tag, watched.epoch)) watched.knownMs = nowMs;
      if (nowMs - watched.knownMs <= silenceMs(options) && liveness.listensSince <= watched.knownMs) continue;
      // Nobody else can take over what has one replica only.
      const isAlone = resource !== undefined && replicaNodes(resource).length === 1;
      if (isAlone) continue;
      if (!resource || liveness.listensSince > watched.knownMs || this.#mayBeLostTo(resource, nowMs))
        this.#watched.delete(tag);
    }
  }

  /** By the engine's last word, which is not older than one heartbeat. */
  #serves(tag: Tag, epoch: number): boolean {
    const replica = this.#context.engines.lastStatus(tag)?.replica;
    return replica?.serving === true && replica.epoch === epoch;
  }

  /** Somebody who could take over has not said in time that it hears this node. Who was lost before is no news. */
  #mayBeLostTo(resource: ResourceState, nowMs: number): boolean {
    const { liveness, options } = this.#context;
    const { nodes } = this.#context.state();
    return replicaNodes(resource).some(
      (node) =>
        node !== options.node &&
        nodes[node]?.alive !== false &&
        resource.replicas[node]?.knowsOutOfSync !== true &&
        !liveness.hearsThis(node, nowMs, silenceMs(options)),
    );
  }
}
