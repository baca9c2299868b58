import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Command, CommandName } from '../../domain/commands.ts';
import { commandSchemas, isOperatorCommand } from '../../domain/commands.ts';
import { decide } from '../../domain/decide.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { Actor } from '../../domain/events.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import { CommandLoop, commandDigest, type Executed } from '../../journal/execute.ts';
import type { Damage, Journal, LogHead, SignedHead } from '../../journal/journal.ts';
import type { LevelViews } from '../../journal/level-views.ts';
import { raisedAlarm } from '../../projections/alarms.ts';
import type { AgentBus } from '../bus/bus.ts';
import type { CommandReply, Heartbeat, IssuedCommand } from '../bus/messages.ts';
import type { Clock } from '../engine/clock.ts';
import { type AgentContext, type AgentOptions, type SubmitResult, silenceMs } from './context.ts';
import { EngineNews } from './engine-news.ts';
import { EngineRoom } from './engine-room.ts';
import { gatherFacts } from './facts.ts';
import { type Change, History } from './history.ts';
import { HistoryKeeper } from './history-keeper.ts';
import { answerQuestion } from './inbox.ts';
import { type Answered, CommandIntake } from './intake.ts';
import { JournalExchange } from './journal-exchange.ts';
import { Liveness } from './liveness.ts';
import type { AgentLog, Engines, FileSystems, Host } from './ports.ts';
import { Pulse } from './pulse.ts';
import { Reconciler } from './reconcile.ts';
import { ReplicationPorts } from './replication-ports.ts';
import { ViewPublisher } from './view-publisher.ts';
import { WholeOrder } from './whole-order.ts';

export interface AgentPorts {
  readonly journal: Journal;
  readonly bus: AgentBus;
  /** Where views and their checkpoint are stored. */
  readonly views: Pick<LevelViews, 'get' | 'put'>;
  readonly engines: Engines;
  readonly host: Host;
  readonly fileSystems: FileSystems;
  readonly clock: Clock;
  readonly log: AgentLog;
  /** Milliseconds since 1970. */
  readonly wallNow: () => number;
}

/** A remote clock that is further ahead than this is told of. */
const clockAheadMsMax = 60_000;

/**
 * One node, wired (DESIGN 1): command → decide → event → journal → replicate; event → state → intents → engine; what
 * the engine and the network show comes back as commands.
 */
export class Agent {
  readonly context: AgentContext;
  readonly history = new History();
  readonly past: WholeOrder;
  readonly #options: AgentOptions;
  readonly #ports: AgentPorts;
  readonly #keeper: HistoryKeeper;
  readonly #loop: CommandLoop;
  readonly #reconciler: Reconciler;
  readonly #exchange: JournalExchange;
  readonly #views: ViewPublisher;
  readonly #intake: CommandIntake;
  readonly #engines: EngineRoom;
  readonly #liveness: Liveness;
  readonly #news: EngineNews;
  readonly #pulse: Pulse;
  #heardHeads: () => void = () => {};
  readonly #skewed = new Set<NodeName>();
  readonly #watchers = new Set<(change: Change) => void>();
  #closed = false;

  constructor(options: AgentOptions, ports: AgentPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#engines = new EngineRoom(ports.engines, { clock: ports.clock, ...options });
    this.#liveness = new Liveness(options.node);
    this.context = {
      options,
      bus: ports.bus,
      engines: this.#engines,
      host: ports.host,
      fileSystems: ports.fileSystems,
      clock: ports.clock,
      liveness: this.#liveness,
      replicationPorts: new ReplicationPorts(options.node, options.replicate, ports.clock),
      log: ports.log,
      wallNow: ports.wallNow,
      isDamaged: () => ports.journal.damage().length > 0,
      state: () => this.history.state,
      alarm: (id) => raisedAlarm(this.history.standing, id),
      submit: (command, body, via, id) => this.#submit(command, body, via, id),
      wouldAllow: (command, body) => this.#wouldAllow(command, body),
    };
    this.past = new WholeOrder(this.history, ports.journal, ports.clock);
    this.#keeper = new HistoryKeeper(this.history, {
      ...ports,
      changed: (change) => this.#changed(change),
    });
    this.#loop = new CommandLoop({
      journal: ports.journal,
      state: () => this.history.state,
      settled: () => this.#keeper.settled,
      factsFor: (command) => gatherFacts(this.context, command),
    });
    this.#reconciler = new Reconciler(this.context);
    this.#exchange = new JournalExchange({
      ...ports,
      others: () =>
        this.#liveness
          .reachable(ports.clock.nowMs(), silenceMs(options))
          .filter((node) => node !== options.node),
      repaired: (damage) => this.#repaired(damage),
    });
    this.#news = new EngineNews(this.context);
    this.#pulse = new Pulse(this.context, {
      journal: ports.journal,
      exchange: this.#exchange,
      news: this.#news,
      reconciler: this.#reconciler,
    });
    this.#views = new ViewPublisher({
      history: this.history,
      bus: ports.bus,
      store: ports.views,
      clock: ports.clock,
      log: ports.log,
      heads: () => ports.journal.heads(),
    });
    this.#intake = new CommandIntake(this.context, this.#loop, {
      history: this.history,
      past: this.past,
      views: this.#views,
      journal: ports.journal,
    });
  }

  /** Folds the journal, takes up the bus, and carries out what the state asks of this node. */
  async start(): Promise<void> {
    this.#liveness.start(this.#ports.clock.nowMs());
    const { journal, bus } = this.#ports;
    await this.#keeper.load();
    this.#views.start();
    journal.onStored((events) => this.#stored(events));
    this.#engines.listen({
      observed: (tag, observation) => this.#news.observed(tag, observation),
      noticed: (tag, notice) => this.#news.noticed(tag, notice),
      gone: (tag, why) => this.#engineGone(tag, why),
    });
    bus.subscribeHeartbeats((heartbeat) => {
      this.#liveness.heartbeat(heartbeat.node, heartbeat.heard, this.#ports.clock.nowMs());
      this.#exchange.announced(heartbeat.node, announcedLogs(heartbeat));
      this.#heardHeads();
      const keys = this.history.state.nodes[heartbeat.node]?.keys ?? [];
      if (heartbeat['signed'] && keys.length > 0)
        this.#exchange.attested(heartbeat['signed'] as SignedHead, keys);
    });
    bus.answer((question, from) => answerQuestion(this.context, question, from));
    this.#exchange.start();
    this.#intake.start();
    await this.#hearOthers();
    await this.#join();
    for (const tag of Object.keys(this.history.state.resources)) this.#reconciler.consider(tag as Tag);
    this.#pulse.start();
  }

  async #repaired(damage: readonly Damage[]): Promise<void> {
    await this.#keeper.repaired();
    await this.#join();
    for (const { code, message } of damage)
      await this.#submit('journal-damaged', { code, text: message }, 'engine');
    await this.#submit('journal-repaired', { text: 'fetched from other nodes' }, 'engine');
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pulse.close();
    await this.#reconciler.close();
    this.#exchange.close();
    await this.#keeper.close();
    this.past.close();
    await this.#views.close();
  }

  /** A command of a person, over the local socket or the web. */
  command(issued: IssuedCommand, timeoutMs: number): Promise<CommandReply> {
    return this.#intake.handle(issued, timeoutMs);
  }

  /** What became of each command of a person that this agent took, by whatever way it came. */
  onAnswered(watcher: (answered: Answered) => void): void {
    this.#intake.onAnswered(watcher);
  }

  /** Every change of the history, once it is folded. Returns unsubscribe. */
  onChange(watcher: (change: Change) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  // What has happened

  #stored(events: readonly EventEnvelope[]): void {
    this.#watchClocks(events);
    this.#exchange.stored(events.filter(({ node }) => node === this.#options.node));
    this.#keeper.stored(events);
  }

  /** DESIGN 2: time is shown and never ordered by, but who shows a wrong one is told of, once until it is right again. */
  #watchClocks(events: readonly EventEnvelope[]): void {
    for (const { node, time } of events) {
      if (node === this.#options.node) continue;
      const aheadMs = Date.parse(time) - this.#ports.wallNow();
      const writer = NodeName.parse(node);
      if (aheadMs <= clockAheadMsMax) this.#skewed.delete(writer);
      else if (!this.#skewed.has(writer)) {
        this.#skewed.add(writer);
        void this.#submit('clock-skewed', { node: writer, aheadMs }, 'engine');
      }
    }
  }

  #changed(change: Change): void {
    this.#views.changed(change);
    this.#intake.changed(change);
    for (const watcher of this.#watchers) watcher(change);
    for (const event of change.events) {
      if (event.type === 'resource.entered-service' && event.data.node === this.#options.node)
        this.#reconciler.entered(Tag.parse(event.resource), event.data.epoch);
    }
    for (const tag of touched(change)) this.#reconciler.consider(tag);
  }

  /**
   * A node whose journal is empty is new, or has lost its disk. It hears the others first: had they a log of its own,
   * a first event written now would fork it for ever (FAULTS 20).
   */
  async #hearOthers(): Promise<void> {
    const { journal, bus, clock } = this.#ports;
    if (journal.logs().length > 0) return;
    const heard = new Promise<void>((resolve) => {
      const timer = clock.after(silenceMs(this.#options), resolve);
      this.#heardHeads = () => {
        timer.cancel();
        resolve();
      };
    });
    bus.publishHeartbeat({ heads: {}, heard: {} });
    await heard;
    this.#exchange.tick();
  }

  async #join(): Promise<void> {
    const { node, replicate } = this.#options;
    if (!this.history.state.nodes[node])
      await this.#submit('node-joined', { host: replicate.host }, 'engine');
    else await this.#submit('node-heard', { node, restarted: true }, 'engine');
    const { publicKey } = this.#ports.journal;
    if (!this.history.state.nodes[node]?.keys.includes(publicKey))
      await this.#submit('node-key', { publicKey }, 'engine');
  }

  #engineGone(tag: Tag, what: string): void {
    if (this.#closed) return;
    this.#reconciler.forget(tag);
    const resource = this.history.state.resources[tag];
    this.#ports.log.error({ tag }, what);
    if (resource?.replicas[this.#options.node] && resource.phase !== 'deleted')
      void this.#submit('local-failure', { tag, what }, 'engine');
  }

  // Deciding for this node itself

  async #submit(
    name: CommandName,
    body: Readonly<Record<string, unknown>>,
    via: Actor['via'],
    id?: string,
  ): Promise<SubmitResult> {
    if (this.#closed) return { ok: false, code: 'closed' };
    const command = this.#commandOf(name, body, via, id);
    try {
      return submitResult(await this.#loop.execute(command));
    } catch (error) {
      this.#ports.log.error({ command: name, error: String(error) }, 'the journal did not take a decision');
      return { ok: false, code: 'write-failed' };
    }
  }

  async #wouldAllow(name: CommandName, body: Readonly<Record<string, unknown>>): Promise<SubmitResult> {
    const command = this.#commandOf(name, body, 'policy');
    const facts = { ...(await gatherFacts(this.context, command)), journalDamaged: this.context.isDamaged() };
    const decision = decide(this.history.state, command, facts);
    return decision.kind === 'accepted' ? { ok: true } : { ok: false, code: decision.refusal.code };
  }

  #commandOf(
    name: CommandName,
    body: Readonly<Record<string, unknown>>,
    via: Actor['via'],
    id?: string,
  ): Command {
    const args = commandSchemas[name].parse(body) as object;
    const actor = { id: this.#options.node, via, verified: true };
    const prefix = isOperatorCommand(name) ? 'policy' : via;
    return {
      ...args,
      command: name,
      id: `${prefix}/${this.#options.node}/${id ?? randomUUID()}`,
      actor,
      digest: commandDigest(body),
    } as unknown as Command;
  }
}

const AnnouncedLogs = z.array(
  z.object({ node: z.string(), incarnation: z.int().min(1), sequence: z.int().min(0), hash: z.string() }),
);

/** Every incarnation of every log, where the heartbeat says it; else the latest of each. */
function announcedLogs({ heads, logs }: Heartbeat): LogHead[] {
  const announced = AnnouncedLogs.safeParse(logs);
  if (announced.success) return announced.data;
  return Object.entries(heads).map(([node, head]) => ({ node, ...head }));
}

function submitResult(executed: Executed): SubmitResult {
  return executed.kind === 'refused' ? { ok: false, code: executed.refusal.code } : { ok: true };
}

/** Resources that the change may have brought something to do for. */
function touched({ before, after, events }: Change): Tag[] {
  const nodes = events.some(({ resource }) => resource === null);
  if (nodes) return Object.keys(after.resources) as Tag[];
  return Object.keys(after.resources).filter(
    (tag) => before.resources[tag] !== after.resources[tag],
  ) as Tag[];
}
