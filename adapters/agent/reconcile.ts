import { type Intent, standing, wroteInConflict } from '../../domain/react.ts';
import { type ResourceState, replicaNodes } from '../../domain/state.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { EngineStatus, OrderRefusal } from '../engine/control-protocol.ts';
import { type AgentContext, isDurable } from './context.ts';
import { Continuity } from './continuity.ts';
import { Restarts } from './local-recovery.ts';
import { Mounting } from './mounting.ts';
import { OrderRefused } from './ports.ts';
import { collectPromisesForTakeover } from './promises.ts';

const recoveryTriesMax = 3;

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

/**
 * Carries out what the state asks of this node. One resource at a time, in the order of the intents, each as often
 * as it takes: an intent that failed, or whose engine began anew, is due again. Nothing here decides; what an
 * engine or a peer answered comes back as a command.
 */
export class Reconciler {
  readonly #context: AgentContext;
  readonly #continuity: Continuity;
  readonly #mounting: Mounting;
  readonly #done = new Map<Tag, Set<string>>();
  readonly #running = new Map<Tag, Promise<void>>();
  readonly #again = new Set<Tag>();
  readonly #waits = new Map<Tag, { readonly key: string; readonly cancel: () => void }>();
  /** Failed attempts of a local recovery, by tag. */
  readonly #tries = new Map<Tag, number>();
  readonly #restarts: Restarts;
  #closed = false;

  constructor(context: AgentContext) {
    this.#context = context;
    this.#restarts = new Restarts(context.clock);
    this.#continuity = new Continuity(context);
    this.#mounting = new Mounting(context);
  }

  /** The engine began anew: everything is due again. */
  forget(tag: Tag): void {
    this.#done.delete(tag);
  }

  /** With each heartbeat: an engine that does not do what it was ordered to any more is ordered again. */
  watch(): void {
    this.#continuity.watch();
    for (const [tag, done] of this.#done) {
      if (!this.#isServingAsOrdered(tag)) this.#done.delete(tag);
      else void this.#watchMount(tag, done);
    }
  }

  /** Unmounted by hand, or its process died: it is mounted again for as long as the reign lasts. */
  async #watchMount(tag: Tag, done: Set<string>): Promise<void> {
    const mount = [...done].find((key) => key.startsWith('{"do":"mount"'));
    if (mount === undefined || this.#running.has(tag)) return;
    if (await this.#context.fileSystems.stands(tag).catch(() => true)) return;
    done.delete(mount);
    this.consider(tag);
  }

  #isServingAsOrdered(tag: Tag): boolean {
    const replica = this.#context.engines.lastStatus(tag)?.replica;
    const isOrdered = [...(this.#done.get(tag) ?? [])].some((key) => key.startsWith('{"do":"serve"'));
    return !isOrdered || !replica || replica.serving || this.#running.has(tag);
  }

  /** A reign began by this agent's own decision. */
  entered(tag: Tag, epoch: number): void {
    this.#continuity.stands(tag, epoch);
  }

  /** Resolves when the rounds that run now are over. */
  settled(): Promise<unknown> {
    return Promise.all(this.#running.values());
  }

  close(): Promise<unknown> {
    this.#closed = true;
    for (const { cancel } of this.#waits.values()) cancel();
    return this.settled();
  }

  /** Looks at the resource anew; while a round runs, another one follows it. */
  consider(tag: Tag): void {
    if (this.#closed || this.#context.isDamaged()) return;
    if (this.#running.has(tag)) {
      this.#again.add(tag);
      return;
    }
    const round = this.#round(tag).finally(() => {
      this.#running.delete(tag);
      if (this.#again.delete(tag)) this.consider(tag);
    });
    this.#running.set(tag, round);
  }

  async #round(tag: Tag): Promise<void> {
    const { log, options } = this.#context;
    const intents = this.#intents(tag);
    const keys = new Set(intents.map((intent) => JSON.stringify(intent)));
    const done = this.#done.get(tag) ?? new Set<string>();
    this.#done.set(tag, done);
    await this.#undo(tag, done, keys);
    for (const intent of intents) {
      const key = JSON.stringify(intent);
      if (this.#closed || done.has(key)) continue;
      try {
        if (await this.#perform(intent)) done.add(key);
      } catch (error) {
        log.warn(
          { tag, node: options.node, intent: intent.do, error: String(error) },
          'an intent is not carried out yet',
        );
        await this.#recoveryFailed(tag, intent);
        // Without an open replica nothing can be done, and no reign ends under a mount; else one that fails stops no other.
        if (intent.do === 'open' || intent.do === 'unmount') return;
      }
    }
  }

  #intents(tag: Tag): Intent[] {
    const state = this.#context.state();
    const resource = state.resources[tag];
    const { node } = this.#context.options;
    const intents = standing(state, resource, node);
    if (intents.length === 0 && (this.#done.get(tag)?.size ?? 0) > 0) return [{ do: 'close', tag }];
    return intents;
  }

  /** What was carried out and is no longer asked for: a pause ends by a resume, a peer by a disconnect. */
  async #undo(tag: Tag, done: Set<string>, keys: ReadonlySet<string>): Promise<void> {
    for (const key of [...done]) {
      if (keys.has(key)) continue;
      const intent = JSON.parse(key) as Intent;
      try {
        if (intent.do === 'pause')
          await this.#context.engines.order(tag, { order: 'resume', peer: intent.peer });
        if (intent.do === 'connect' && !this.#stillPeer(tag, intent.peer)) {
          await this.#context.engines.order(tag, { order: 'disconnect', peer: intent.peer });
        }
        if (intent.do === 'await-confirmation') this.#stopWaiting(tag);
      } catch (error) {
        const fields = { tag, intent: intent.do, error: String(error) };
        this.#context.log.warn(fields, 'an intent is not taken back yet');
        // What the engine refuses is over already: the pause of a mirror that there is no more.
        if (!(error instanceof OrderRefused) || error.code === 'engine-gone') continue;
      }
      done.delete(key);
    }
  }

  #stillPeer(tag: Tag, peer: NodeName): boolean {
    return this.#context.state().resources[tag]?.replicas[peer] !== undefined;
  }

  /** True when it need not be done again while the state asks for it. */
  async #perform(intent: Intent): Promise<boolean> {
    const { engines } = this.#context;
    const { tag } = intent;
    switch (intent.do) {
      case 'open':
        return this.#open(intent);
      case 'connect':
        await engines.order(tag, {
          order: 'connect',
          peer: intent.peer,
          endpoints: [...intent.at],
          settings: { mode: intent.mode, asyncLimit: intent.asyncLimit, compress: intent.compress },
          pauseReason: this.#context.state().resources[tag]?.mirrors[intent.peer]?.paused?.reason ?? null,
        });
        return true;
      case 'tune': {
        const { writeTimeoutMs, resyncMin, resyncMax, resyncChecksums } = intent;
        const rates = {
          ...(resyncMin === null ? {} : { resyncMin }),
          ...(resyncMax === null ? {} : { resyncMax }),
        };
        await engines.order(tag, {
          order: 'settings',
          settings: { writeTimeoutMs, resyncChecksums, ...rates },
        });
        return true;
      }
      case 'serve':
        return this.#serve(intent);
      case 'mount':
        return this.#mounting.mount(intent);
      case 'unmount':
        return this.#unmount(intent);
      case 'follow':
        return this.#follow(tag, intent.epoch);
      case 'stand-by':
        return this.#standBy(tag);
      case 'pause':
        await engines.order(tag, { order: 'pause', peer: intent.peer, reason: intent.reason });
        return true;
      case 'verify':
        await engines.order(tag, { order: 'verify', peer: intent.peer });
        return true;
      case 'resync':
        await engines.order(tag, { order: 'resync', peer: intent.peer, kind: intent.kind, force: true });
        return true;
      case 'hand-over':
        return this.#handOver(intent);
      case 'collect-promises':
        return this.#collect(tag, intent.epoch);
      case 'await-confirmation':
        this.#wait(tag, intent.seconds, JSON.stringify(intent));
        return true;
      case 'compare':
        return this.#compare(intent);
      case 'recover':
        return this.#recover(tag, intent.what);
      case 'propose':
        await this.#context.submit(intent.command, { tag }, 'policy');
        return false;
      case 'settle':
        await this.#context.submit('settle-command', { tag, settles: intent.command }, 'policy');
        return false;
      case 'close':
        await this.#mounting.giveUp(tag, false);
        await engines.order(tag, { order: 'stop' }).catch(() => undefined);
        await engines.remove(tag);
        this.#done.delete(tag);
        return false;
      default:
        return intent satisfies never;
    }
  }

  async #open(intent: Extract<Intent, { do: 'open' }>): Promise<boolean> {
    const { engines, options } = this.#context;
    const { tag } = intent;
    await engines.ensure(tag);
    const status = await engines.status(tag);
    if (status?.open) return true;
    const bitmap = intent.bitmap === 'none' ? null : intent.bitmap;
    const { folder, wasOpened } = engines.home(tag, intent.volumes[0]?.path ?? '', bitmap);
    const resource = this.#context.state().resources[tag];
    const isFirst =
      resource !== undefined && resource.id === intent.resource && resource.id.startsWith(`${options.node}/`);
    // Only before its very first reign: what is mounted directly later on was not written through the device.
    if (isFirst && !wasOpened && resource.content === 'existing-filesystem')
      for (const { path } of intent.volumes) await this.#context.fileSystems.release(path);
    await engines.order(tag, {
      order: 'open',
      cluster: options.cluster,
      tag,
      resource: intent.resource,
      node: options.node,
      volumes: intent.volumes.map(({ name, path, byteSize }) => ({ name, path, byteSize })),
      folder,
      intentLogs: intent.bitmap === 'none' ? 'none' : (intent.bitmap ?? folder),
      keyFile: options.keyFile,
      listen: intent.replication,
      settings: { heartbeatMs: options.heartbeatMs, lostAfter: options.lostAfter },
      create: !wasOpened,
      isFirst,
    });
    engines.noteOpened(tag);
    if (wasOpened) await this.#beganAnew(tag, resource);
    return true;
  }

  /** A target whose engine began anew cannot know what it missed until it meets the source (rule 10). */
  async #beganAnew(tag: Tag, resource: ResourceState | undefined): Promise<void> {
    const { node } = this.#context.options;
    const source = resource?.reigns[0]?.node ?? resource?.lastOwner?.node;
    if (source === undefined || source === node || resource?.replicas[node]?.away) return;
    await this.#context.submit(
      'peer-disconnected',
      { tag, source, target: node, why: 'restarted', away: true },
      'engine',
    );
  }

  async #serve(intent: Extract<Intent, { do: 'serve' }>): Promise<boolean> {
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

  /** A local failure is being repaired in place (rule 15). */
  #recovering(resource: ResourceState): boolean {
    return resource.replicas[this.#context.options.node]?.failed != null;
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

  async #unmount({ tag, orderly }: Extract<Intent, { do: 'unmount' }>): Promise<boolean> {
    const status = await this.#context.engines.status(tag);
    const serving = status?.replica?.serving === true;
    // A reign that its own word has not ended goes on, with what is mounted, until that is settled.
    if (!orderly && serving && !this.#isEnded(tag, status.replica?.epoch ?? 0)) return false;
    const { switchover } = this.#context.state().resources[tag] ?? {};
    if (switchover?.from === this.#context.options.node) await this.#mounting.makeWay(tag);
    else await this.#mounting.unmount(tag, orderly && serving);
    return true;
  }

  async #follow(tag: Tag, epoch: number): Promise<boolean> {
    if (!(await this.#notServing(tag))) return false;
    const status = await this.#context.engines.status(tag);
    const handed = status?.replica?.handedTo;
    if (status?.replica?.role !== 'target' || (handed && handed.epoch >= epoch)) {
      await this.#context.engines.order(tag, { order: 'flags', lastOwner: false, dataCorrupt: false });
    }
    await this.#context.engines.order(tag, { order: 'become-target', epoch });
    return true;
  }

  async #standBy(tag: Tag): Promise<boolean> {
    return this.#notServing(tag);
  }

  /** Never undoes a serving source by itself: it ends the reign that its own word has ended, else it says so. */
  async #notServing(tag: Tag): Promise<boolean> {
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

  async #handOver({ tag, to, epoch }: Extract<Intent, { do: 'hand-over' }>): Promise<boolean> {
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

  async #collect(tag: Tag, epoch: number): Promise<boolean> {
    const resource = this.#context.state().resources[tag];
    if (!resource) return true;
    const answers = await collectPromisesForTakeover(this.#context, resource, epoch);
    return isDurable(await this.#context.submit('promises-collected', { tag, epoch, answers }, 'engine'));
  }

  #wait(tag: Tag, seconds: number, key: string): void {
    if (this.#waits.get(tag)?.key === key) return;
    this.#stopWaiting(tag);
    const timer = this.#context.clock.after(seconds * 1000, () => {
      this.#waits.delete(tag);
      void this.#context.submit('confirmation-timed-out', { tag }, 'policy');
    });
    this.#waits.set(tag, { key, cancel: () => timer.cancel() });
  }

  #stopWaiting(tag: Tag): void {
    this.#waits.get(tag)?.cancel();
    this.#waits.delete(tag);
  }

  /**
   * Rule 12. A node that wrote says so and goes on. One that did not:
   * 1. freezes, so that nothing is acknowledged between the decision and its leaving;
   * 2. waits until all that its engine saw before is journaled, and looks again who wrote.
   */
  async #compare({ tag, wrote }: Extract<Intent, { do: 'compare' }>): Promise<boolean> {
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

  /** Rule 15: in place first. A replica whose disk failed takes no more orders until its engine begins anew. */
  async #recover(tag: Tag, what: string): Promise<boolean> {
    const { engines } = this.#context;
    let ok = false;
    try {
      if (!engines.isRunning(tag)) await engines.ensure(tag);
      const status = await engines.status(tag);
      const failed = status?.replica?.failed ?? null;
      if (failed !== null && this.#restarts.take(tag)) {
        await engines.giveUp(tag, `its disk failed (${failed})`);
        return false;
      }
      ok = status?.open === true && failed === null;
    } catch {
      ok = false;
    }
    if (ok) this.#tries.delete(tag);
    return isDurable(await this.#context.submit('local-recovery-ended', { tag, what, ok }, 'engine'));
  }

  /** Local recovery is tried a few times; then rule 15 says what follows. */
  async #recoveryFailed(tag: Tag, { do: what }: Intent): Promise<void> {
    const resource = this.#context.state().resources[tag];
    if (!resource || !this.#recovering(resource) || (what !== 'open' && what !== 'serve')) return;
    const tries = (this.#tries.get(tag) ?? 0) + 1;
    this.#tries.set(tag, tries);
    if (tries !== recoveryTriesMax) return;
    const failed = resource.replicas[this.#context.options.node]?.failed ?? what;
    await this.#context.submit('local-recovery-ended', { tag, what: failed, ok: false }, 'engine');
  }
}
