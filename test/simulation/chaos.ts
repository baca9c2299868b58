import { blockByteSize } from '../../adapters/block/bitmap-codec.ts';
import { slotByteSize, slotOffset } from '../../adapters/block/replica-metadata-codec.ts';
import type { BusMessage } from './agent.ts';
import type { SimulatedBus } from './bus.ts';
import type { DiskFault } from './disk.ts';
import type { Host } from './host.ts';
import type { SimulatedNetwork } from './network.ts';
import type { Operator } from './operator.ts';
import type { FaultKind, Profile } from './profile.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/**
 * Faults at random moments, each for a random while. The budget is honest (I20): a disk fault is in force on one host
 * at a time, and decay hits a metadata slot only while no engine runs and the other one holds the same.
 */
export class Chaos {
  readonly #world: World;
  readonly #random: Random;
  readonly #hosts: readonly Host[];
  readonly #network: SimulatedNetwork;
  readonly #bus: SimulatedBus<BusMessage>;
  readonly #operator: Operator;
  readonly #profile: Profile;
  #sick: Host | null = null;
  #isOver = false;

  constructor(
    world: World,
    hosts: readonly Host[],
    network: SimulatedNetwork,
    bus: SimulatedBus<BusMessage>,
    operator: Operator,
    profile: Profile,
  ) {
    this.#world = world;
    this.#random = world.random.fork('chaos');
    this.#hosts = hosts;
    this.#network = network;
    this.#bus = bus;
    this.#operator = operator;
    this.#profile = profile;
  }

  start(): void {
    if (this.#profile.faults.length > 0) this.#next();
  }

  /** Everything works again, from now on. */
  end(): void {
    this.#isOver = true;
    this.#network.healAll();
    this.#bus.healAll();
    this.#network.habits = { ...this.#network.habits, bitFlip: 0 };
    for (const host of this.#hosts) {
      host.disk.setFaults([]);
      host.disk.setSlowness(1);
      host.disk.freeze(0);
      host.powerOn();
      host.startAgent();
      host.continueEngine();
    }
  }

  #next(): void {
    const waitMs = -Math.log(1 - this.#random.fraction()) * this.#profile.meanFaultMs;
    this.#world.after(waitMs, () => {
      if (this.#isOver) return;
      this.#happen(this.#random.pick(this.#profile.faults));
      this.#next();
    });
  }

  #happen(kind: FaultKind): void {
    const host = this.#random.pick(this.#hosts);
    const other = this.#random.pick(this.#hosts.filter((each) => each !== host));
    this.#world.count(`fault: ${kind}`);
    this.#world.note('chaos', `${kind}: ${host.node}, ${other.node}`);
    switch (kind) {
      case 'engine killed':
        host.killEngine();
        return;
      case 'agent killed':
        host.killAgent();
        this.#later(100, 5_000, () => host.startAgent());
        return;
      case 'engine and agent killed':
        host.killAgent();
        host.killEngine();
        this.#later(100, 5_000, () => host.startAgent());
        return;
      case 'power failure':
        host.powerOff();
        this.#later(200, 8_000, () => host.powerOn());
        return;
      case 'power failure everywhere':
        for (const each of this.#hosts) {
          this.#later(0, 50, () => each.powerOff());
          this.#later(200, 8_000, () => each.powerOn());
        }
        return;
      case 'engine stopped':
        host.stopEngine();
        this.#later(50, 4_000, () => host.continueEngine());
        return;
      case 'path cut':
        this.#cut(
          [
            [host, other],
            [other, host],
          ],
          this.#random.chance(0.5),
        );
        return;
      case 'path cut one way':
        this.#cut([[host, other]], this.#random.chance(0.5));
        return;
      case 'node cut off':
        this.#cut(
          this.#hosts
            .filter((each) => each !== host)
            .flatMap(
              (each) =>
                [
                  [host, each],
                  [each, host],
                ] as const,
            ),
          this.#random.chance(0.8),
        );
        return;
      case 'bus silent':
        this.#silence();
        return;
      case 'path clogged':
        this.#network.clog(host.node, other.node, this.#random.span(20, 1_500));
        this.#later(100, 4_000, () => this.#network.clog(host.node, other.node, 0));
        return;
      case 'connections reset':
        this.#network.reset(host.node, other.node);
        return;
      case 'bits flipped on the link':
        this.#network.habits = { ...this.#network.habits, bitFlip: 0.01 };
        this.#later(100, 3_000, () => {
          this.#network.habits = { ...this.#network.habits, bitFlip: 0 };
        });
        return;
      case 'disk slow':
        host.disk.setSlowness(this.#random.pick([5, 50]));
        this.#later(100, 4_000, () => host.disk.setSlowness(1));
        return;
      case 'disk frozen':
        host.disk.freeze(this.#world.nowMs + this.#random.span(50, 5_000));
        return;
      case 'EIO on a volume':
        this.#makeSick(host, {
          path: /^\/v\//,
          operations: ['read', 'write'],
          code: 'EIO',
          probability: 0.3,
        });
        return;
      case 'ENOSPC on a volume':
        this.#makeSick(host, { path: /^\/v\//, operations: ['write'], code: 'ENOSPC', probability: 1 });
        return;
      case 'EIO on a flush':
        this.#makeSick(host, { path: /./, operations: ['flush'], code: 'EIO', probability: 0.3 });
        return;
      case 'bitmap cannot be written':
        this.#makeSick(host, {
          path: /\.bitmap$/,
          operations: ['write', 'flush'],
          code: this.#random.pick(['EIO', 'ENOSPC']),
          probability: 1,
        });
        return;
      case 'metadata cannot be written':
        this.#makeSick(host, { path: /metadata/, operations: ['write'], code: 'ENOSPC', probability: 1 });
        return;
      case 'decay of a bitmap':
        this.#decayBitmap(host);
        return;
      case 'decay of metadata':
        this.#decayMetadata(host);
        return;
      case 'switchover':
        this.#operator.switchOver(host);
        return;
      case 'pause':
        this.#operator.pause(host);
        this.#later(200, 5_000, () => this.#operator.resume(host));
        return;
      case 'force-online':
        this.#operator.forceOnline(host);
        return;
      case 'wrong order':
        this.#operator.wrongOrder(host, other);
        return;
      default:
        kind satisfies never;
    }
  }

  #later(lowMs: number, highMs: number, run: () => void): void {
    this.#world.after(this.#random.span(lowMs, highMs), () => {
      if (!this.#isOver) run();
    });
  }

  #cut(paths: readonly (readonly [Host, Host])[], isBusToo: boolean): void {
    for (const [from, to] of paths) {
      this.#network.block(from.node, to.node);
      if (isBusToo) this.#bus.block(from.node, to.node);
    }
    this.#later(100, 6_000, () => {
      for (const [from, to] of paths) {
        this.#network.heal(from.node, to.node);
        this.#bus.heal(from.node, to.node);
      }
    });
  }

  #silence(): void {
    for (const from of this.#hosts) for (const to of this.#hosts) this.#bus.block(from.node, to.node);
    this.#later(100, 6_000, () => this.#bus.healAll());
  }

  #makeSick(host: Host, fault: DiskFault): void {
    if (this.#sick !== null) return;
    this.#sick = host;
    host.disk.setFaults([fault]);
    this.#later(20, 2_000, () => {
      host.disk.setFaults([]);
      this.#sick = null;
    });
  }

  #decayBitmap(host: Host): void {
    const bitmaps = host.disk.files.filter(({ path }) => path.endsWith('.bitmap'));
    if (bitmaps.length === 0) return;
    const file = this.#random.pick(bitmaps);
    file.flipBit(this.#random.below(Math.min(file.byteSize, 2 * blockByteSize)), this.#random.below(8));
  }

  #decayMetadata(host: Host): void {
    const file = host.metadataFile();
    if (file === null || file.dirtySectorCount > 0 || host.process !== null) return;
    const slot = (index: 0 | 1) => file.stable.subarray(slotOffset(index), slotOffset(index) + slotByteSize);
    if (!slot(0).equals(slot(1))) return;
    const index = this.#random.pick([0, 1] as const);
    file.flipBit(slotOffset(index) + this.#random.below(512), this.#random.below(8));
  }
}
