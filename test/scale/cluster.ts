import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from '../../adapters/agent/agent.ts';
import type { AgentLog, Host } from '../../adapters/agent/ports.ts';
import type { AgentBus, Bus } from '../../adapters/bus/bus.ts';
import type { CommandReply } from '../../adapters/bus/messages.ts';
import { connectNatsBus } from '../../adapters/bus/nats-bus.ts';
import { ActorName, ClusterName, CommandToken } from '../../adapters/bus/subjects.ts';
import { monotonicClock } from '../../adapters/engine/real-ports.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { ResourceState } from '../../domain/state.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import { type LevelJournal, openLevelJournal } from '../../journal/level-journal.ts';
import { type LevelViews, openLevelViews } from '../../journal/level-views.ts';
import { type NatsServer, startNatsServer } from '../../tools/nats-server.ts';
import { EngineYard } from '../scenarios/simulated-engines.ts';
import { SimulatedFileSystems } from '../scenarios/simulated-file-systems.ts';

const cluster = ClusterName.parse('scale');
export const nodeNames = ['eve', 'adam', 'sophocles'].map((name) => NodeName.parse(name));

const commandTimeoutMs = 60_000;
const yardTickMs = 100;
const readyMs = 10_000;

/** Every path is a blank volume of 1 MiB. */
const host: Host = {
  realPath: async (path) => path,
  inspect: async (path, taken) => ({
    exists: true,
    usedBy: taken.get(path) ?? null,
    mountedAt: null,
    fstype: null,
    byteSize: 16 * 65_536,
    blank: true,
  }),
};

/** One node's agent as the product runs it, over engines without bytes. */
export interface ScaleNode {
  readonly name: NodeName;
  readonly agent: Agent;
  readonly journal: LevelJournal;
  readonly views: LevelViews;
  readonly bus: AgentBus;
}

/** How long each part of an agent's start took, in milliseconds. */
export interface StartTimes {
  readonly openMs: number;
  readonly startMs: number;
}

/** Agents, journals, views, bus and clock are real; only hosts and engines are simulated. All run in this process. */
export class ScaleCluster {
  readonly yard = new EngineYard(monotonicClock);
  readonly running = new Map<NodeName, ScaleNode>();
  readonly folder: string;
  readonly client: Bus;
  readonly server: NatsServer;
  /** What agents could not do; their other messages are not kept. */
  readonly errors: string[] = [];
  /** Ids of the commands that the agent which took them handed on to the one that decides. */
  readonly forwarded = new Set<string>();
  readonly #heartbeatMs: number;
  readonly #waiters = new Set<() => void>();
  #tick: { cancel(): void } | null = null;
  #commands = 0;

  private constructor(folder: string, server: NatsServer, heartbeatMs: number) {
    this.folder = folder;
    this.server = server;
    this.#heartbeatMs = heartbeatMs;
    this.client = connectNatsBus({ cluster, user: ActorName.parse('root'), servers: [server.url] });
    this.#beat();
  }

  static async open(heartbeatMs: number): Promise<ScaleCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'mk-scale-'));
    const server = await startNatsServer({ folder: join(folder, 'nats'), jetStream: true });
    const opened = new ScaleCluster(folder, server, heartbeatMs);
    await opened.client.ready(readyMs);
    return opened;
  }

  async close(): Promise<void> {
    this.#tick?.cancel();
    for (const name of [...this.running.keys()]) await this.stop(name);
    await this.client.close();
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #beat(): void {
    this.yard.tick();
    for (const waiter of this.#waiters) waiter();
    this.#tick = monotonicClock.after(yardTickMs, () => this.#beat());
  }

  directoryOf = (name: NodeName): string => join(this.folder, name);

  /** Starts the agent on what its node has on disk; its engines, if they run, are adopted. */
  async start(name: NodeName): Promise<StartTimes> {
    const began = performance.now();
    const dir = this.directoryOf(name);
    const journal = await openLevelJournal({ directory: join(dir, 'journal'), node: name, cluster });
    const views = await openLevelViews(join(dir, 'views'));
    const openMs = performance.now() - began;
    const bus = connectNatsBus({
      cluster,
      user: ActorName.parse(name),
      servers: [this.server.url],
      journal,
    });
    const forward = bus.forward.bind(bus);
    bus.forward = (to, issued, timeoutMs) => {
      this.forwarded.add(issued.body.id);
      return forward(to, issued, timeoutMs);
    };
    await bus.ready(readyMs);
    const agent = new Agent(
      {
        cluster,
        node: name,
        dir,
        keyFile: join(dir, 'key'),
        replicate: { host: '127.0.0.1', first: 7800, last: 9999 },
        heartbeatMs: this.#heartbeatMs,
        lostAfter: 5,
      },
      {
        journal,
        views,
        bus,
        engines: this.yard.enginesOf(name),
        host,
        fileSystems: new SimulatedFileSystems(),
        clock: monotonicClock,
        log: this.#logOf(name),
        wallNow: Date.now,
      },
    );
    this.running.set(name, { name, agent, journal, views, bus });
    const beforeStart = performance.now();
    await agent.start();
    return { openMs, startMs: performance.now() - beforeStart };
  }

  #logOf(name: NodeName): AgentLog {
    return {
      info: () => undefined,
      warn: () => undefined,
      error: (fields, text) => this.errors.push(`${name}: ${text} ${JSON.stringify(fields)}`),
    };
  }

  /** The agent ends in order; its engines go on. */
  async stop(name: NodeName): Promise<void> {
    const { agent, bus, views, journal } = this.node(name);
    this.running.delete(name);
    this.yard.orphan(name);
    await agent.close();
    await bus.close();
    await views.close();
    await journal.close();
  }

  /** Agent and engines are silent from one moment to the next; only the databases are closed in order. */
  async kill(name: NodeName): Promise<void> {
    const { agent, bus, views, journal } = this.node(name);
    this.running.delete(name);
    this.yard.orphan(name);
    for (const { node, tag } of [...this.yard.replicas.values()])
      if (node === name) this.yard.kill(name, tag);
    await Promise.all([bus.close(), agent.close()]);
    await views.close();
    await journal.close();
  }

  node(name: NodeName): ScaleNode {
    const node = this.running.get(name);
    if (!node) throw new Error(`${name} does not run`);
    return node;
  }

  resources(name: NodeName): ResourceState[] {
    return Object.values(this.node(name).agent.history.state.resources);
  }

  /** A person's command over the bus, at whichever agent takes it. Throws where it is not carried out. */
  async command(name: string, body: Readonly<Record<string, unknown>>): Promise<CommandReply> {
    this.#commands += 1;
    const id = `scale-${this.#commands}`;
    const reply = await this.client.request(CommandToken.parse(name), { id, ...body }, commandTimeoutMs);
    if (!reply.ok) throw new Error(`${name} ${JSON.stringify(body)}: ${JSON.stringify(reply)}`);
    return { id, ...reply };
  }

  /** Resolves when the condition holds; looked at with each tick of the engines. */
  until(what: string, condition: () => boolean, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = performance.now() + timeoutMs;
      const look = () => {
        const holds = condition();
        if (!holds && performance.now() < end) return;
        this.#waiters.delete(look);
        if (holds) resolve();
        else reject(new Error(`not within ${timeoutMs} ms: ${what}; ${this.errors.slice(-3).join('; ')}`));
      };
      this.#waiters.add(look);
    });
  }

  /** Lets time pass. */
  idle(durationMs: number): Promise<void> {
    return new Promise((resolve) => monotonicClock.after(durationMs, resolve));
  }

  /** The agents that run have the same events. */
  headsAgree(): boolean {
    const heads = [...this.running.values()].map(({ journal }) => JSON.stringify(sortedHeads(journal)));
    return new Set(heads).size === 1;
  }

  /** Calls back with each event of a node's journal once it is durable there. */
  watch(name: NodeName, stored: (event: EventEnvelope) => void): () => void {
    return this.node(name).journal.onStored((events) => events.forEach(stored));
  }
}

const sortedHeads = (journal: LevelJournal) =>
  Object.entries(journal.heads())
    .map(([node, { incarnation, sequence, hash }]) => [node, incarnation, sequence, hash])
    .sort();
