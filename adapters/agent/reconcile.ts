import type { Intent } from '../../domain/react.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import { ConfirmationWait } from './confirmation-wait.ts';
import { type AgentContext, isDurable } from './context.ts';
import { Continuity } from './continuity.ts';
import { LocalRecovery } from './local-recovery.ts';
import { Mounting } from './mounting.ts';
import { openReplica } from './opening.ts';
import { OrderRefused } from './ports.ts';
import { collectPromisesForTakeover } from './promises.ts';
import { Roles } from './roles.ts';
import { type KeyedIntent, StandingIntents } from './standing-intents.ts';

/**
 * Carries out what the state asks of this node. One resource at a time, in the order of the intents, each as often
 * as it takes: an intent that failed, or whose engine began anew, is due again. Nothing here decides; what an
 * engine or a peer answered comes back as a command.
 */
export class Reconciler {
  readonly #context: AgentContext;
  readonly #continuity: Continuity;
  readonly #mounting: Mounting;
  readonly #roles: Roles;
  readonly #recovery: LocalRecovery;
  readonly #confirmation: ConfirmationWait;
  readonly #standing: StandingIntents;
  readonly #done = new Map<Tag, Set<string>>();
  readonly #running = new Map<Tag, Promise<void>>();
  readonly #again = new Set<Tag>();
  #closed = false;

  constructor(context: AgentContext) {
    this.#context = context;
    this.#standing = new StandingIntents(context.options.node);
    this.#continuity = new Continuity(context);
    this.#mounting = new Mounting(context);
    this.#roles = new Roles(context, this.#continuity, this.#mounting);
    this.#recovery = new LocalRecovery(context);
    this.#confirmation = new ConfirmationWait(context);
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
    this.#confirmation.close();
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
    const keys = new Set(intents.map(({ key }) => key));
    const done = this.#done.get(tag) ?? new Set<string>();
    this.#done.set(tag, done);
    await this.#undo(tag, done, keys);
    for (const { key, intent } of intents) {
      if (this.#closed || done.has(key)) continue;
      try {
        if (await this.#perform(intent)) done.add(key);
      } catch (error) {
        log.warn(
          { tag, node: options.node, intent: intent.do, error: String(error) },
          'an intent is not carried out yet',
        );
        await this.#recovery.failed(tag, intent);
        // Without an open replica nothing can be done, and no reign ends under a mount; else one that fails stops no other.
        if (intent.do === 'open' || intent.do === 'unmount') return;
      }
    }
  }

  #intents(tag: Tag): readonly KeyedIntent[] {
    const intents = this.#standing.of(this.#context.state(), tag);
    if (intents.length > 0 || (this.#done.get(tag)?.size ?? 0) === 0) return intents;
    const intent: Intent = { do: 'close', tag };
    return [{ key: JSON.stringify(intent), intent }];
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
        if (intent.do === 'await-confirmation') this.#confirmation.stop(tag);
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
        return openReplica(this.#context, intent);
      case 'connect':
        await engines.order(tag, {
          order: 'connect',
          peer: intent.peer,
          endpoints: [...intent.at],
          settings: { mode: intent.mode, asyncLimit: intent.asyncLimit, compress: intent.compress },
          baseline: intent.baseline,
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
        return this.#roles.serve(intent);
      case 'mount':
        return this.#mounting.mount(intent);
      case 'unmount':
        return this.#roles.unmount(intent);
      case 'follow':
        return this.#roles.follow(tag, intent.epoch);
      case 'stand-by':
        return this.#roles.standBy(tag);
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
        return this.#roles.handOver(intent);
      case 'collect-promises':
        return this.#collect(tag, intent.epoch);
      case 'await-confirmation':
        this.#confirmation.wait(tag, intent.seconds, JSON.stringify(intent));
        return true;
      case 'compare':
        return this.#roles.compare(intent);
      case 'recover':
        return this.#recovery.recover(tag, intent.what);
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

  async #collect(tag: Tag, epoch: number): Promise<boolean> {
    const resource = this.#context.state().resources[tag];
    if (!resource) return true;
    const answers = await collectPromisesForTakeover(this.#context, resource, epoch);
    return isDurable(await this.#context.submit('promises-collected', { tag, epoch, answers }, 'engine'));
  }
}
