import { type Intent, wroteInConflict } from '../../domain/react.ts';
import { type ResourceState, replicaNodes } from '../../domain/state.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { EngineStatus, OrderRefusal } from '../engine/control-protocol.ts';
import { type AgentContext, isDurable } from './context.ts';
import type { Continuity } from './continuity.ts';
import type { Mounting } from './mounting.ts';
import { OrderRefused } from './ports.ts';

/** What an engine that refuses to serve will not take back by itself: its own record contradicts (rule 13). */
const refusalsForGood: ReadonlySet<string> = new Set([
  'stale-epoch',
  'handed-over',
  'target-out-of-sync',
  'target-inconsistent',
  'target-paused',
  'target-resyncing',
  'split-brain',
  'unrelated-data',
] satisfies OrderRefusal[]);

async function refusalForGood(ordered: Promise<unknown>): Promise<OrderRefused | undefined> {
  try {
    await ordered;
    return undefined;
  } catch (error) {
    if (error instanceof OrderRefused && refusalsForGood.has(error.code)) return error;
    throw error;
  }
}

/** Who this node's engine is: source, target, neither; and the way from one to the other (rules 6, 7, 9, 12). */
export class Roles {
  readonly #context: AgentContext;
  readonly #continuity: Continuity;
  readonly #mounting: Mounting;

  constructor(context: AgentContext, continuity: Continuity, mounting: Mounting) {
    this.#context = context;
    this.#continuity = continuity;
    this.#mounting = mounting;
  }

  async serve(intent: Extract<Intent, { do: 'serve' }>): Promise<boolean> {
    const { engines, options } = this.#context;
    const { tag, epoch } = intent;
    const status = await engines.status(tag);
    const resource = this.#context.state().resources[tag];
    if (!status?.replica || !resource) return false;
    if (status.replica.serving && status.replica.epoch === epoch) {
      this.#continuity.stands(tag, epoch);
      await this.#served(tag, epoch, status);
      return true;
    }
    // Handed over (rule 6, step 4): to be journaled, not to be served.
    const handed = status.replica.handedTo;
    if (handed && handed.epoch === resource.switchover?.epoch) return false;
    // A reign that was not watched without a gap may have ended meanwhile (rule 9).
    if (!this.#continuity.holds(tag, epoch) || (handed && handed.epoch >= epoch)) {
      await this.#context.submit('return', { tag }, 'policy');
      return false;
    }
    // An epoch above that of a hand-over was promised by whoever it was handed to.
    if (handed) await engines.order(tag, { order: 'take-back', epoch: handed.epoch });
    // The survivor of a conflict goes on at a new epoch, which the others can follow: clients come back to new exports.
    if (status.replica.serving) await this.#leave(tag, this.#isServedElsewhere(tag));
    const order = {
      order: 'serve',
      epoch,
      force: resource.entering?.why === 'forced' || this.#hasVictim(resource),
      without: this.#absent(resource),
    } as const;
    const refusal = await refusalForGood(engines.order(tag, order));
    if (refusal) {
      // An engine that had served in this reign is repaired in place (rule 15): somebody may have written.
      const hasServed = status.replica.role === 'source' && status.replica.epoch === epoch;
      if (hasServed) throw refusal;
      const why = `${refusal.code}: ${refusal.message}`;
      return isDurable(await this.#context.submit('serve-failed', { tag, epoch, why }, 'engine'));
    }
    this.#continuity.stands(tag, epoch);
    await engines.order(tag, { order: 'flags', lastOwner: true, dataCorrupt: false });
    await this.#served(tag, epoch, await engines.status(tag));
    this.#context.log.info({ tag, node: options.node, epoch }, 'in service');
    return true;
  }

  /** An operator chose this side of a split brain and accepted what the other loses (rule 12). */
  #hasVictim(resource: ResourceState): boolean {
    return Object.values(resource.replicas).some(({ victimOf }) => victimOf === this.#context.options.node);
  }

  #absent(resource: ResourceState): NodeName[] {
    const { node } = this.#context.options;
    const { nodes } = this.#context.state();
    return replicaNodes(resource).filter((peer) => {
      if (peer === node) return false;
      return nodes[peer]?.alive === false || resource.replicas[peer]?.knowsOutOfSync === true;
    });
  }

  async #served(tag: Tag, epoch: number, status: EngineStatus | null): Promise<void> {
    const resource = this.#context.state().resources[tag];
    if (resource?.entering?.epoch !== epoch) return;
    await this.#context.submit('served', { tag, epoch, device: status?.replica?.exports ?? [] }, 'engine');
  }

  async unmount({ tag, orderly }: Extract<Intent, { do: 'unmount' }>): Promise<boolean> {
    const status = await this.#context.engines.status(tag);
    const serving = status?.replica?.serving === true;
    // A reign that its own word has not ended goes on, with what is mounted, until that is settled.
    if (!orderly && serving && !this.#isEnded(tag, status.replica?.epoch ?? 0)) return false;
    const { switchover } = this.#context.state().resources[tag] ?? {};
    if (switchover?.from === this.#context.options.node) await this.#mounting.makeWay(tag);
    else await this.#mounting.unmount(tag, orderly && serving);
    return true;
  }

  async follow(tag: Tag, epoch: number): Promise<boolean> {
    if (!(await this.notServing(tag))) return false;
    const status = await this.#context.engines.status(tag);
    const handed = status?.replica?.handedTo;
    if (status?.replica?.role !== 'target' || (handed && handed.epoch >= epoch)) {
      await this.#context.engines.order(tag, { order: 'flags', lastOwner: false, dataCorrupt: false });
    }
    await this.#context.engines.order(tag, { order: 'become-target', epoch });
    return true;
  }

  async standBy(tag: Tag): Promise<boolean> {
    return this.notServing(tag);
  }

  /** True where its engine does not serve. Never undoes a serving source by itself: it ends the reign that its own word has ended, else it says so. */
  async notServing(tag: Tag): Promise<boolean> {
    const { engines } = this.#context;
    const status = await engines.status(tag);
    if (!status?.replica?.serving) return true;
    if (this.#isEnded(tag, status.replica.epoch)) {
      await this.#leave(tag, this.#isServedElsewhere(tag));
      return true;
    }
    await this.#context.submit('superseded', { tag }, 'engine');
    return false;
  }

  #isEnded(tag: Tag, epoch: number): boolean {
    const replica = this.#context.state().resources[tag]?.replicas[this.#context.options.node];
    return (replica?.leftEpoch ?? 0) >= epoch || replica?.victimOf != null;
  }

  /** `abandon`: another node serves too, and answers no write of this one. */
  async #leave(tag: Tag, abandon: boolean): Promise<void> {
    await this.#mounting.giveUp(tag, abandon);
    await this.#context.engines.order(tag, { order: 'leave-service', abandon });
  }

  #isServedElsewhere(tag: Tag): boolean {
    const { node } = this.#context.options;
    return this.#context.state().resources[tag]?.reigns.some((reign) => reign.node !== node) === true;
  }

  async handOver({ tag, to, epoch }: Extract<Intent, { do: 'hand-over' }>): Promise<boolean> {
    const { engines } = this.#context;
    const isHandedOver = (status: EngineStatus | null) =>
      status?.replica?.handedTo?.node === to && status.replica.handedTo.epoch === epoch;
    const before = await engines.status(tag);
    if (!isHandedOver(before)) {
      // Nothing is handed over by an engine that began anew: its reign ends or goes on first (rule 9).
      if (!before?.replica?.serving) return false;
      try {
        await engines.order(tag, { order: 'hand-over', to, epoch });
      } catch (error) {
        // What counts is what the replica's metadata says, not whether the answer came.
        const after = await engines.status(tag);
        if (after === null) throw error;
        if (!isHandedOver(after)) {
          const why = error instanceof Error ? error.message : String(error);
          return isDurable(await this.#context.submit('switchover-stopped', { tag, step: 3, why }, 'engine'));
        }
      }
    }
    return isDurable(await this.#context.submit('handed-over', { tag, to, epoch }, 'engine'));
  }

  /**
   * Rule 12. A node that wrote says so and goes on. One that did not:
   * 1. freezes, so that nothing is acknowledged between the decision and its leaving;
   * 2. waits until all that its engine saw before is journaled, and looks again who wrote.
   */
  async compare({ tag, wrote }: Extract<Intent, { do: 'compare' }>): Promise<boolean> {
    const { engines, options, state } = this.#context;
    if (!wrote.includes(options.node)) {
      await this.#leave(tag, true);
      if (!(await engines.journaled(tag))) return false;
    }
    const resource = state().resources[tag];
    if (resource?.phase !== 'conflicted') return true;
    const body = { tag, wrote: wroteInConflict(resource), related: true };
    return isDurable(await this.#context.submit('settle-conflict', body, 'engine'));
  }
}
