import type { z } from 'zod';
import { decodeSlot, slotByteSize, slotOffset } from '../../adapters/block/replica-metadata-codec.ts';
import { intentLogPath, metadataPath } from '../../adapters/block/replica-paths.ts';
import type { ReplicaRecord } from '../../adapters/block/replica-record.ts';
import { Order } from '../../adapters/engine/control-protocol.ts';
import type { Mode, NodeName, VolumeName } from '../../domain/vocabulary.ts';
import { Tag } from '../../domain/vocabulary.ts';
import { Agent, type BusMessage, type OrderBody, type Reply, type Timing } from './agent.ts';
import type { SimulatedBus } from './bus.ts';
import { type DiskHabits, SimulatedDisk, type SimulatedFile } from './disk.ts';
import { type EngineUnderTest, startEngine } from './engine-under-test.ts';
import type { SimulatedNetwork } from './network.ts';
import { SimulatedProcess } from './process.ts';
import { type Clients, simulatedPorts } from './simulated-ports.ts';
import type { World } from './world.ts';

/** The resource as all hosts know it from the journal, which this simulation leaves out. */
export interface Plan {
  readonly nodes: readonly NodeName[];
  readonly volumes: readonly { readonly name: VolumeName; readonly byteSize: number }[];
  readonly modes: ReadonlyMap<string, Mode>;
  /** Levels; a pair that is not in it does not compress. */
  readonly compress: ReadonlyMap<string, number>;
  readonly asyncLimit: number;
  readonly intentLogs: 'kept' | 'none';
  readonly timing: Timing;
  readonly writeTimeoutMs: number;
  readonly clearAfterMs: number;
  readonly resyncChecksums: boolean;
  /** Operators have mirrors in sync compared now and then. */
  readonly verifies: boolean;
}

export const pairKey = (left: NodeName, right: NodeName) => [left, right].sort().join('+');

export interface HostSurroundings {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly bus: SimulatedBus<BusMessage>;
  readonly linkKey: Uint8Array;
  readonly plan: Plan;
  readonly clientsOf: (host: Host) => Clients;
  /** Each order before the engine gets it, and each message that the engine sends by itself. */
  readonly watch: {
    asking(host: Host, order: OrderBody): void;
    answered(host: Host, order: OrderBody, reply: Reply): void;
    pushed(host: Host, message: object): void;
    powerFailed(host: Host): void;
  };
}

interface Running {
  readonly process: SimulatedProcess;
  readonly engine: EngineUnderTest;
}

const folder = '/r';
const metadataAt = metadataPath(folder);
const linkPort = 7788;
const controlMs = [0.05, 0.5] as const;

/** One server: its disk survives everything; its engine and its agent come and go. */
export class Host {
  readonly node: NodeName;
  readonly disk: SimulatedDisk;
  powerFailedStep = -1;
  isUp = true;
  readonly #around: HostSurroundings;
  #running: Running | null = null;
  #agent: Agent | null = null;
  #isCreated = false;
  #agentSinceMs = 0;
  #orderNumber = 0;
  /** Made once: the checkers ask at every step. */
  readonly #logPaths = new Map<string, string>();
  #record: { readonly version: number; readonly value: ReplicaRecord | null } = { version: -1, value: null };

  constructor(node: NodeName, around: HostSurroundings, habits: DiskHabits) {
    this.node = node;
    this.#around = around;
    this.disk = new SimulatedDisk(around.world, node, habits);
    for (const { name, byteSize } of around.plan.volumes) this.disk.create(volumePath(name), byteSize);
  }

  get agent(): Agent | null {
    return this.#agent;
  }

  /** An agent has been there for a while: what its engine has concluded alone is past. */
  get isWatched(): boolean {
    return this.#agent !== null && this.#around.world.nowMs - this.#agentSinceMs > 2_000;
  }

  get process(): SimulatedProcess | null {
    return this.#running?.process ?? null;
  }

  volume(name: VolumeName): SimulatedFile {
    return this.disk.file(volumePath(name));
  }

  /** Null before the log is made. */
  intentLogFile(volume: VolumeName, peer: NodeName): SimulatedFile | null {
    const key = `${volume} ${peer}`;
    const path = this.#logPaths.get(key) ?? intentLogPath(folder, volume, peer);
    this.#logPaths.set(key, path);
    return this.disk.has(path) ? this.disk.file(path) : null;
  }

  metadataFile(): SimulatedFile | null {
    return this.disk.has(metadataAt) ? this.disk.file(metadataAt) : null;
  }

  /** The replica's record as the worst power failure would leave it. */
  get record(): ReplicaRecord | null {
    const file = this.metadataFile();
    if (file === null) return null;
    if (this.#record.version !== file.stableVersion) {
      const slots = ([0, 1] as const).map((slot) => decodeSlot(slotBytes(file.stable, slot)));
      const whole = slots.filter((slot) => typeof slot === 'object');
      const newest = whole.sort((left, right) => Number(right.sequence - left.sequence))[0];
      this.#record = { version: file.stableVersion, value: newest?.record ?? null };
    }
    return this.#record.value;
  }

  startAgent(): void {
    if (!this.isUp || this.#agent !== null) return;
    const { world, bus, plan } = this.#around;
    this.#note('agent starts');
    this.#agentSinceMs = world.nowMs;
    this.#agent = new Agent(this.node, plan.nodes, plan.timing, {
      world,
      bus,
      engine: () => (this.#running === null ? null : { ask: (order, replied) => this.ask(order, replied) }),
      repair: () => this.#startEngine(),
      restart: () => this.killEngine(),
    });
  }

  killAgent(): void {
    if (this.#agent === null) return;
    this.#note('agent dies');
    this.#agent.die();
    this.#agent = null;
  }

  killEngine(): void {
    if (this.#running === null) return;
    this.#note('engine dies');
    this.#running.process.kill();
    this.#running = null;
  }

  /** Like SIGSTOP. */
  stopEngine(): void {
    this.#note('engine is stopped');
    this.#running?.process.stop();
  }

  continueEngine(): void {
    this.#note('engine goes on');
    this.#running?.process.proceed();
  }

  powerOff(): void {
    if (!this.isUp) return;
    this.#note('power fails');
    this.isUp = false;
    this.killAgent();
    this.#around.network.powerOff(this.node);
    this.killEngine();
    this.disk.powerFailure();
    this.powerFailedStep = this.#around.world.steps;
    this.#around.watch.powerFailed(this);
  }

  powerOn(): void {
    if (this.isUp) return;
    this.#note('power is back');
    this.isUp = true;
    this.#around.network.powerOn(this.node);
    this.startAgent();
  }

  /** Over the control socket: late, answered late or, by a process that is gone, never. */
  ask(body: OrderBody, replied: (reply: Reply) => void): void {
    const running = this.#running;
    if (running === null) return;
    const { world, watch } = this.#around;
    const order = Order.parse({ ...body, id: this.#orderNumber++ });
    const delayMs = () => world.random.span(...controlMs);
    world.after(delayMs(), () =>
      running.process.enter(() => {
        watch.asking(this, body);
        running.engine.handle(order, (reply) => {
          if (!running.process.alive) return;
          watch.answered(this, body, reply);
          world.after(delayMs(), () => replied(reply));
        });
      }),
    );
  }

  #startEngine(): void {
    if (this.#running !== null || !this.isUp) return;
    const { world, network, linkKey, watch } = this.#around;
    this.#note('engine starts');
    const process = new SimulatedProcess(world, this.node);
    const clients = this.#around.clientsOf(this);
    const ports = simulatedPorts({
      world,
      hostName: this.node,
      process,
      disk: this.disk,
      network,
      linkKey,
      clients,
    });
    const engine = startEngine(
      ports,
      (message) => watch.pushed(this, message),
      () => this.#agent !== null,
    );
    this.#running = { process, engine };
    process.onExit(() => {
      if (this.#running?.process === process) this.#running = null;
    });
    this.#open();
  }

  #open(): void {
    const { plan } = this.#around;
    const open: z.input<typeof Order> = {
      id: 'open',
      order: 'open',
      cluster: 'simulated',
      tag: Tag.parse('datarep'),
      resource: 'resource-1',
      node: this.node,
      volumes: plan.volumes.map(({ name }) => ({ name, path: volumePath(name) })),
      folder,
      intentLogs: plan.intentLogs === 'kept' ? folder : 'none',
      keyFile: '/key',
      listen: { host: this.node, port: linkPort },
      settings: {
        ...plan.timing,
        writeTimeoutMs: plan.writeTimeoutMs,
        clearAfterMs: plan.clearAfterMs,
        resyncChecksums: plan.resyncChecksums,
      },
      create: !this.#isCreated,
      isFirst: !this.#isCreated && this.node === plan.nodes[0],
    };
    this.ask(open, (reply) => {
      if (!reply.ok) {
        this.#note(`open refused: ${reply.code} ${reply.message}`);
        this.killEngine();
        return;
      }
      this.#isCreated = true;
      for (const peer of plan.nodes) if (peer !== this.node) this.#connect(peer);
    });
  }

  #connect(peer: NodeName): void {
    const { plan } = this.#around;
    const pair = pairKey(this.node, peer);
    const mode = plan.modes.get(pair) ?? 'sync';
    const compress = plan.compress.get(pair) ?? 0;
    const endpoints = [{ host: peer, port: linkPort }];
    this.ask(
      { order: 'connect', peer, endpoints, settings: { mode, asyncLimit: plan.asyncLimit, compress } },
      (reply) => {
        if (!reply.ok) this.#note(`connect ${peer} refused: ${reply.code} ${reply.message}`);
      },
    );
  }

  #note(what: string): void {
    this.#around.world.note(this.node, what);
  }
}

export const volumePath = (name: VolumeName) => `/v/${name}`;

const slotBytes = (bytes: Buffer, slot: 0 | 1) =>
  bytes.subarray(slotOffset(slot), slotOffset(slot) + slotByteSize);
