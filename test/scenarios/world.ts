import { Agent } from '../../adapters/agent/agent.ts';
import type { AgentLog, Host } from '../../adapters/agent/ports.ts';
import { InProcessHub } from '../../adapters/bus/in-process-bus.ts';
import type { CommandReply } from '../../adapters/bus/messages.ts';
import { ActorName, ClusterName, CommandToken } from '../../adapters/bus/subjects.ts';
import type { EventEnvelope } from '../../domain/envelope.ts';
import { violations } from '../../domain/invariants.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import { MemoryJournal } from './memory-journal.ts';
import { SimulatedClock } from './simulated-clock.ts';
import { EngineYard } from './simulated-engines.ts';
import { SimulatedFileSystems } from './simulated-file-systems.ts';

const quietLog: AgentLog = { info() {}, warn() {}, error() {} };
const log: AgentLog = process.env['SCENARIO_LOG']
  ? {
      info: (f, t) => console.log(f, t),
      warn: (f, t) => console.log(f, t),
      error: (f, t) => console.log(f, t),
    }
  : quietLog;

/** Every path exists, is blank and has 1 GiB, but for those whose name says otherwise. */
const host: Host = {
  realPath: async (path) => path,
  inspect: async (path, taken) => ({
    exists: !path.includes('missing'),
    usedBy: taken.get(path) ?? (path.includes('mounted') ? 'mounted' : null),
    mountedAt: null,
    fstype: null,
    byteSize: path.includes('small') ? 4096 : 16 * 65_536,
    blank: !path.includes('filled'),
  }),
};

interface Node {
  readonly name: NodeName;
  readonly journal: MemoryJournal;
  readonly fileSystems: SimulatedFileSystems;
  agent: Agent | null;
  clockAheadMs: number;
}

/** A cluster of real agents on a bus, journals and engines without a machine under them, and without chance. */
export class World {
  readonly clock = new SimulatedClock();
  readonly yard = new EngineYard(this.clock);
  readonly nodes = new Map<NodeName, Node>();
  /** Every event of every log, in the order in which it became durable. */
  readonly events: EventEnvelope[] = [];
  readonly #cut = new Set<string>();
  readonly #commands = new Map<string, number>();
  readonly #crashAt = new Map<NodeName, string>();
  #busDown = false;
  readonly #hub = new InProcessHub({
    clock: this.clock,
    route: ({ from, to }) => (this.#reaches(from, to) && !this.#busDown ? [1] : []),
  });

  constructor() {
    this.yard.reaches = (a, b) => this.#reaches(a, b) && !this.linksDown;
    this.#tick();
  }

  linksDown = false;

  set busDown(down: boolean) {
    this.#busDown = down;
  }

  #tick(): void {
    this.yard.tick();
    this.clock.after(100, () => this.#tick());
  }

  #reaches(a: string, b: string): boolean {
    return !this.#cut.has(`${a} ${b}`);
  }

  async start(name: NodeName): Promise<void> {
    const node = this.nodes.get(name) ?? this.#newNode(name);
    node.journal.reopen();
    node.journal.onStored((events) => this.#recorded(node, events));
    const agent = new Agent(
      {
        cluster: 'scenario',
        node: name,
        dir: `/sim/${name}`,
        keyFile: '/sim/key',
        replicate: { host: name, first: 7800, last: 7899 },
        heartbeatMs: 1000,
        lostAfter: 5,
      },
      {
        journal: node.journal,
        views: { get: async () => undefined, put: async () => {} },
        bus: this.#hub.connect(ClusterName.parse('scenario'), ActorName.parse(name)),
        engines: this.yard.enginesOf(name),
        host,
        fileSystems: node.fileSystems,
        clock: this.clock,
        log,
        wallNow: () => this.#wallNow(node),
      },
    );
    node.agent = agent;
    let started = false;
    void agent.start().then(() => {
      started = true;
    });
    await this.clock.pass(2000, () => started);
  }

  #newNode(name: NodeName): Node {
    const node: Node = {
      name,
      journal: new MemoryJournal(name, () => this.#wallNow(node)),
      fileSystems: new SimulatedFileSystems(),
      agent: null,
      clockAheadMs: 0,
    };
    this.nodes.set(name, node);
    return node;
  }

  fileSystemsOf(name: NodeName): SimulatedFileSystems {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`${name} was never started`);
    return node.fileSystems;
  }

  #wallNow(node: Node): number {
    return 1_700_000_000_000 + this.clock.nowMs() + node.clockAheadMs;
  }

  #recorded(node: Node, events: readonly EventEnvelope[]): void {
    for (const event of events) {
      if (event.node !== node.name) continue;
      this.events.push(event);
      const trap = this.#crashAt.get(node.name);
      if (trap !== undefined && event.type.includes(`.${trap}.v`)) {
        this.#crashAt.delete(node.name);
        this.kill(node.name);
        throw new Error(`${node.name} crashes at ${trap}`);
      }
    }
  }

  /** Agent and engines end at once; journal and disks stay. */
  kill(name: NodeName): void {
    this.killAgent(name);
    for (const { node, tag } of [...this.yard.replicas.values()])
      if (node === name) this.yard.kill(name, tag);
  }

  killAgent(name: NodeName): void {
    const node = this.nodes.get(name);
    node?.journal.reopen();
    void node?.agent?.close();
    void node?.agent?.context.bus.close();
    if (node) node.agent = null;
    this.yard.orphan(name);
  }

  /** The node ends at the moment at which its journal has the next event of that type. */
  crashAt(name: NodeName, type: string): void {
    this.#crashAt.set(name, type);
  }

  /** The node ends just before, or just after, its engine carries out an order of that name. */
  crashOnOrder(name: NodeName, order: string, when: 'before' | 'after'): void {
    this.yard.onOrder = (node, ordered, now) => {
      if (node !== name || ordered !== order || now !== when) return;
      this.yard.onOrder = () => {};
      this.kill(name);
      throw new Error(`${name} crashes ${when} ${order}`);
    };
  }

  /** The application writes in the last moment before its engine carries out an order of that name. */
  writeBefore(name: NodeName, order: string, tag: Tag, region: number, content: string): void {
    this.yard.onOrder = (node, ordered, now) => {
      if (node !== name || ordered !== order || now !== 'before') return;
      this.yard.onOrder = () => {};
      this.yard.write(node, tag, region, content);
    };
  }

  cut(a: NodeName, b: NodeName): void {
    this.#cut.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  setClock(name: NodeName, aheadMs: number): void {
    const node = this.nodes.get(name);
    if (node) node.clockAheadMs = aheadMs;
  }

  /** A person's command at one node's agent; undefined where no reply comes in time. */
  async command(
    at: NodeName,
    name: string,
    body: Readonly<Record<string, unknown>>,
  ): Promise<CommandReply | undefined> {
    const agent = this.nodes.get(at)?.agent;
    if (!agent) throw new Error(`${at} is down`);
    let reply: CommandReply | undefined;
    const issued = {
      command: CommandToken.parse(name),
      actor: { id: 'root', via: 'socket' as const, verified: false },
      body: { id: this.#commandId(), ...body },
    };
    void agent.command(issued, 60_000).then(
      (answer) => {
        reply = answer;
      },
      () => undefined,
    );
    await this.clock.pass(90_000, () => reply !== undefined);
    return reply;
  }

  /** Numbered by what had happened; a refusal that is counted with an equal one leaves no event of its own. */
  #commandId(): string {
    const id = `command-${this.events.length}`;
    const times = this.#commands.get(id) ?? 0;
    this.#commands.set(id, times + 1);
    return times === 0 ? id : `${id}-${times + 1}`;
  }

  running(): NodeName[] {
    return [...this.nodes.values()].filter(({ agent }) => agent !== null).map(({ name }) => name);
  }

  /** Violated invariants, at every running node; and commands that ended twice (I11), in all logs. */
  violations(): string[] {
    const ofStates = [...this.nodes.values()].flatMap(({ name, agent }) =>
      agent ? violations(agent.history.state).map((text) => `${name}: ${text}`) : [],
    );
    return [...ofStates, ...this.#endedTwice()];
  }

  #endedTwice(): string[] {
    const ended = this.events.flatMap(({ type, data }) =>
      /\.command\.(completed|failed)\./.test(type) ? [String(data['commandId'])] : [],
    );
    return [...new Set(ended.filter((id, index) => ended.indexOf(id) !== index))].map(
      (id) => `command ${id} ended more than once`,
    );
  }

  image(node: NodeName, tag: Tag): string {
    const image = this.yard.replicas.get(`${node}/${tag}`)?.image ?? new Map();
    return [...image]
      .sort(([a], [b]) => a - b)
      .map(([region, content]) => `${region}=${content}`)
      .join(' ');
  }
}
