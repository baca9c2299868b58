import { asSeenBy, reigns } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { Journal } from '../../journal/journal.ts';
import type { Timer } from '../engine/clock.ts';
import { AutoPause } from './auto-pause.ts';
import { type AgentContext, isDurable, silenceMs } from './context.ts';
import type { EngineNews } from './engine-news.ts';
import type { JournalExchange } from './journal-exchange.ts';
import type { Reconciler } from './reconcile.ts';

interface Parts {
  readonly journal: Pick<Journal, 'heads' | 'logs' | 'signedHead'>;
  readonly exchange: JournalExchange;
  readonly news: EngineNews;
  readonly reconciler: Reconciler;
}

/**
 * What an agent does with each heartbeat. The sign of life waits for nothing: a slow disk or an engine that hangs must
 * not make the whole node look lost (rule 24).
 */
export class Pulse {
  readonly #context: AgentContext;
  readonly #parts: Parts;
  readonly #autoPause: AutoPause;
  /** Nodes whose silence is journaled by this one. */
  readonly #silent = new Set<NodeName>();
  #looking = false;
  /** Until the replicas of this node were looked at once, nothing is concluded about others: see `start`. */
  #opening = true;
  #timer: Timer | null = null;
  /** Between two heartbeats, when a silence becomes a loss. */
  #deadline: Timer | null = null;
  #closed = false;

  constructor(context: AgentContext, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
    this.#autoPause = new AutoPause(context);
  }

  /**
   * A target that began anew says so before it can find the source lost (rule 10), however long its engine takes to
   * open: else it would seem fit to take over in between.
   */
  start(): void {
    void this.#parts.reconciler.settled().finally(() => {
      this.#opening = false;
    });
    this.#beat();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#deadline?.cancel();
  }

  #beat(): void {
    if (this.#closed) return;
    const { bus, clock, liveness, options } = this.#context;
    const { journal, exchange } = this.#parts;
    const nowMs = clock.nowMs();
    this.#timer = clock.after(options.heartbeatMs, () => this.#beat());
    if (this.#opening) liveness.start(nowMs);
    this.#listen(nowMs);
    bus.publishHeartbeat({
      heads: journal.heads(),
      logs: journal.logs(),
      heard: liveness.heardForHeartbeat(nowMs),
      signed: journal.signedHead(),
    });
    exchange.tick();
    this.#awaitSilence(nowMs);
    this.#unlessLooking(() => this.#look());
  }

  #listen(nowMs: number): void {
    const { liveness, options } = this.#context;
    liveness.beat(nowMs, options.heartbeatMs * Math.max(2, options.lostAfter / 2));
  }

  /** A loss is found when it is one, and not up to a heartbeat later: that time would be missing from the failover. */
  #awaitSilence(nowMs: number): void {
    const { clock, liveness, options } = this.#context;
    this.#deadline?.cancel();
    const atMs = liveness.nextSilenceMs(nowMs, silenceMs(options));
    if (atMs === null || atMs >= nowMs + options.heartbeatMs) return;
    // Silent is who was heard longer ago than that.
    this.#deadline = clock.after(atMs - nowMs + 1, () => {
      // After a standstill of this agent its timers fire before what came meanwhile is read.
      this.#listen(clock.nowMs());
      this.#unlessLooking(() => this.#watchNodes());
    });
  }

  #unlessLooking(look: () => Promise<void>): void {
    if (this.#looking || this.#closed) return;
    this.#looking = true;
    look()
      .catch((error: unknown) =>
        this.#context.log.error({ error: String(error) }, 'a look around was not finished'),
      )
      .finally(() => {
        this.#looking = false;
      });
  }

  async #look(): Promise<void> {
    const { engines } = this.#context;
    const { news, reconciler } = this.#parts;
    // An engine that hangs is waited for until it is killed; the nodes are watched meanwhile.
    await this.#forOneHeartbeat(Promise.all(engines.tags().map((tag) => news.compare(tag))));
    reconciler.watch();
    await this.#watchNodes();
    for (const tag of engines.tags()) news.releaseWaiting(tag, this.#silent);
    await this.#autoPause.look();
    this.#retry();
  }

  #forOneHeartbeat(work: Promise<unknown>): Promise<void> {
    const { clock, options } = this.#context;
    return new Promise((resolve, reject) => {
      const timer = clock.after(options.heartbeatMs, resolve);
      work.then(() => {
        timer.cancel();
        resolve();
      }, reject);
    });
  }

  /** Lost and heard again, each journaled once by each node that finds it. */
  async #watchNodes(): Promise<void> {
    const { clock, liveness, options } = this.#context;
    const nowMs = clock.nowMs();
    const silence = silenceMs(options);
    for (const node of this.#others()) {
      const isHeard = liveness.heardBy(node, nowMs, silence).length > 0;
      const isAlive = this.#context.state().nodes[node]?.alive;
      if (!isHeard && !this.#silent.has(node) && !liveness.isInDoubt(node, nowMs, silence))
        await this.#lost(node, liveness.heardMsAgo(node, nowMs) ?? silence);
      else if (isHeard && (this.#silent.delete(node) || isAlive === false))
        await this.#context.submit('node-heard', { node, restarted: false }, 'engine');
    }
  }

  #others(): NodeName[] {
    const { liveness, options } = this.#context;
    const known = Object.values(this.#context.state().nodes).map(({ node }) => node);
    return [...new Set([...liveness.known(), ...known])].filter((node) => node !== options.node);
  }

  async #lost(node: NodeName, silentMs: number): Promise<void> {
    if (isDurable(await this.#context.submit('node-silent', { node, silentMs }, 'engine')))
      this.#silent.add(node);
    for (const resource of Object.values(this.#context.state().resources)) {
      if (reigns(resource, this.#context.options.node) && resource.replicas[node])
        await this.#parts.news.giveUp(resource.tag, node);
    }
  }

  /** What could not be done, or was refused for a reason that passes, is tried again with each heartbeat. */
  #retry(): void {
    const { node } = this.#context.options;
    for (const resource of Object.values(this.#context.state().resources))
      if (asSeenBy(resource, node).replicas[node]) this.#parts.reconciler.consider(resource.tag);
  }
}
