import type { BusMessage } from './agent.ts';
import { SimulatedBus } from './bus.ts';
import { Chaos } from './chaos.ts';
import { Host } from './host.ts';
import { wrongSectors } from './model.ts';
import { SimulatedNetwork } from './network.ts';
import { Onlooker, Violation } from './onlooker.ts';
import { Operator } from './operator.ts';
import { drawProfile, type Profile } from './profile.ts';
import type { Clients } from './simulated-ports.ts';
import { Trace } from './trace.ts';
import { Application, Numbering } from './workload.ts';
import { World } from './world.ts';

/** How one seed went. Equal seeds of one commit have equal hashes (I18). */
export interface Outcome {
  readonly seed: number;
  readonly hash: string;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly failure: string | null;
  readonly lastLines: readonly string[];
}

/** A world that does not come to rest in so many steps has run away (I16). */
const stepsMax = 4_000_000;
/** Simulated time in which everything must be well again once all faults have ended (I17). */
const convergenceMs = 90_000;
const intentCheckSteps = 64;
const imageCheckSteps = 4_096;
const resyncCheckSteps = 32;

export function simulate(seed: number, follow?: (line: string) => void): Outcome {
  const run = new Run(seed, follow);
  const failure = run.toTheEnd();
  const { world } = run;
  return {
    seed,
    hash: world.trace.hash,
    steps: world.steps,
    simulatedMs: world.nowMs,
    counts: world.counts,
    failure,
    lastLines: world.trace.last,
  };
}

/**
 * One seed: the cluster is created and extended, then faults happen under the workload, then they end and everything
 * must become well by itself or by what operators may do; at last the application stops and all images are compared.
 */
class Run {
  readonly world: World;
  readonly #profile: Profile;
  readonly #hosts: readonly Host[];
  readonly #onlooker: Onlooker;
  readonly #operator: Operator;
  readonly #chaos: Chaos;
  readonly #applications = new Map<Host, Application>();
  readonly #numbering = new Numbering();

  constructor(seed: number, follow?: (line: string) => void) {
    this.world = new World(seed, new Trace(follow));
    const { world } = this;
    const profile = drawProfile(world.random.fork('profile'));
    const network = new SimulatedNetwork(world, profile.network);
    const bus = new SimulatedBus<BusMessage>(world, { latencyMs: [0.1, 5], duplicate: 0.02 });
    const around = {
      world,
      network,
      bus,
      linkKey: world.random.fork('key').bytes(32),
      plan: profile.plan,
      clientsOf: (host: Host) => this.#clientsOf(host),
      watch: {
        asking: (host: Host, order: Parameters<Onlooker['asking']>[1]) => this.#onlooker.asking(host, order),
        answered: (...answer: Parameters<Onlooker['answered']>) => this.#onlooker.answered(...answer),
        powerFailed: (host: Host) => this.#onlooker.powerFailed(host),
        pushed: (host: Host, message: object) => {
          world.note(host.node, `pushes ${JSON.stringify(message)}`);
          if ('type' in message && 'kind' in message) world.count(`${message.type} ${message.kind}`);
          if ('type' in message && 'differing' in message) world.count(`${message.type}`);
          this.#onlooker.pushed(host, message);
        },
      },
    };
    this.#profile = profile;
    this.#hosts = profile.plan.nodes.map((node) => new Host(node, around, profile.disk));
    world.count(`cluster of ${profile.plan.nodes.length} nodes`);
    this.#onlooker = new Onlooker(world, profile.plan, this.#hosts);
    this.#operator = new Operator(world, this.#hosts, profile.plan, this.#onlooker);
    this.#chaos = new Chaos(world, this.#hosts, network, bus, this.#operator, profile);
    world.note('seed', `${seed}: ${describe(profile)}`);
  }

  /** The sentence of the violation, or null. */
  toTheEnd(): string | null {
    try {
      this.#phases();
      return null;
    } catch (error) {
      if (error instanceof Violation) return error.message;
      return error instanceof Error ? `uncaught ${error.stack}` : String(error);
    }
  }

  #phases(): void {
    const { faultsFromMs, faultsForMs } = this.#profile;
    for (const host of this.#hosts) host.startAgent();
    this.#until(30_000, 'created and extended', () => this.#operator.isReady);
    this.#for(faultsFromMs);
    this.#phase('faults begin');
    this.#chaos.start();
    this.#for(faultsForMs);
    this.#phase('faults end');
    this.#chaos.end();
    this.#operator.isCalm = true;
    this.#until(convergenceMs, 'one source and all targets in sync', () => this.#isWell());
    this.#phase('well');
    this.#for(2_000);
    this.#until(convergenceMs, 'one source and all targets in sync', () => this.#isWell());
    this.#standStill();
    this.#compare();
  }

  #isWell(): boolean {
    const serving = this.#hosts.filter(({ agent }) => agent?.replica?.serving === true);
    const [source] = serving;
    if (serving.length !== 1 || source === undefined || !this.#applications.has(source)) return false;
    const peers = source.agent?.status?.peers ?? [];
    return (
      peers.length === this.#hosts.length - 1 &&
      peers.every(({ status, connected }) => connected && status === 'fully-operational')
    );
  }

  #standStill(): void {
    let idle = 0;
    for (const application of this.#applications.values()) {
      application.leave(() => {
        idle++;
      });
    }
    this.#until(30_000, 'every request answered', () => idle === this.#applications.size);
    // What an async target has not got yet arrives, and what is quiet is cleared.
    this.#for(5_000);
  }

  #compare(): void {
    this.#onlooker.checkIntents();
    for (const [source, { reign }] of this.#applications) {
      const shown = this.#onlooker.imageOf(source);
      const wrong = wrongSectors(shown, reign.knowledgeOf(source.node).cached);
      if (wrong.length > 0) throw new Violation(`I1: at the end, on ${source.node}: ${wrong.join('; ')}`);
      for (const target of this.#hosts) this.#compareWith(source, target);
    }
  }

  #compareWith(source: Host, target: Host): void {
    for (const { name } of this.#profile.plan.volumes) {
      if (source.volume(name).cache.equals(target.volume(name).cache)) continue;
      throw new Violation(`I17: at the end ${name} differs between ${source.node} and ${target.node}`);
    }
  }

  #clientsOf(host: Host): Clients {
    return {
      arrive: (exports) => {
        const reign = this.#onlooker.served(host, exports);
        const server = host.process;
        if (server === null) return;
        const application = new Application(
          this.world,
          server,
          exports,
          reign,
          this.#profile.workload,
          this.#numbering,
          this.#onlooker.judgeOf(reign, host),
        );
        this.#applications.set(host, application);
        server.onExit(() => this.#gone(host, application));
        application.start();
      },
      leave: (done) => {
        const application = this.#applications.get(host);
        if (application === undefined) {
          done();
          return;
        }
        application.leave(() => {
          this.#gone(host, application);
          done();
        });
      },
    };
  }

  #gone(host: Host, application: Application): void {
    this.#onlooker.ended(application.reign);
    if (this.#applications.get(host) === application) this.#applications.delete(host);
  }

  #phase(name: string): void {
    this.world.note('simulation', `--- ${name} ---`);
  }

  #for(durationMs: number): void {
    const endMs = this.world.nowMs + durationMs;
    while (this.world.nowMs < endMs) this.#step();
  }

  #until(limitMs: number, what: string, isSo: () => boolean): void {
    const endMs = this.world.nowMs + limitMs;
    while (!isSo()) {
      if (this.world.nowMs > endMs)
        throw new Violation(`I17: not ${what} within ${limitMs} ms: ${this.#state()}`);
      this.#step();
    }
  }

  #step(): void {
    if (!this.world.step()) throw new Violation('I17: nothing happens any more');
    if (this.world.steps > stepsMax) throw new Violation(`I16: ${stepsMax} steps and no end`);
    this.#onlooker.look();
    if (this.world.steps % intentCheckSteps === 0) this.#onlooker.checkIntents();
    if (this.world.steps % imageCheckSteps === 0) {
      this.#onlooker.checkNoGarbage();
      this.#onlooker.checkConsistency(false);
    }
    if (this.world.steps % resyncCheckSteps === 0) this.#onlooker.checkConsistency(true);
  }

  #state(): string {
    return this.#hosts
      .map(({ node, agent }) => {
        const replica = agent?.replica ?? null;
        if (replica === null) return `${node}: no engine`;
        const peers = agent?.status?.peers.map(
          ({ peer, connected, status, refusal }) =>
            `${peer} ${connected ? '' : 'un'}connected ${status} ${refusal ?? ''}`,
        );
        const { role, serving, epoch, promised, inSync, consistent, paused, lastOwner, dataCorrupt, failed } =
          replica;
        return `${node}: ${JSON.stringify({ role, serving, epoch, promised, inSync, consistent, paused, lastOwner, dataCorrupt, failed })} [${peers?.join(', ')}]`;
      })
      .join('; ');
  }
}

function describe({ plan, faults, meanFaultMs, faultsForMs }: Profile): string {
  const volumes = plan.volumes.map(({ name, byteSize }) => `${name} ${byteSize}`).join(', ');
  const modes = [...plan.modes]
    .map(([pair, mode]) => `${pair} ${mode} ${plan.compress.get(pair) ?? ''}`)
    .join(', ');
  return `${volumes}; ${modes}; bitmaps ${plan.intentLogs}; for ${faultsForMs} ms every ${meanFaultMs} ms: ${faults.join(', ') || 'nothing'}`;
}
