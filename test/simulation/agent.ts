import type { z } from 'zod';
import type { EngineStatus, Order } from '../../adapters/engine/control-protocol.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { SimulatedBus } from './bus.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/**
 * A minimal agent: it plays the part of the control plane by the rules of REQUIREMENTS 3, knowing only what its own
 * engine and other agents tell it. Its memory is its engine's metadata; everything else is forgotten when it dies.
 *
 * At each heartbeat it asks its engine for its status, tells the others, and decides one thing:
 * - serving: a target that writes wait for is asked to record itself out of sync, or is lost (2.3);
 * - somebody serves: follow the one with the highest epoch;
 * - handed over to this node: serve; from this node: wait, or take it back by promise (rule 6);
 * - last owner: serve once every other replica has promised, or is out of sync (rule 9);
 * - target whose source is lost: the best eligible one asks all reachable for promises and serves (rule 7).
 */
export interface Timing {
  readonly heartbeatMs: number;
  readonly lostAfter: number;
}

export type Replica = NonNullable<EngineStatus['replica']>;
type WithoutId<Each> = Each extends unknown ? Omit<Each, 'id'> : never;
export type OrderBody = WithoutId<z.input<typeof Order>>;

export interface Reply {
  readonly ok: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly status?: EngineStatus;
}

/** The engine of this node as its agent sees it: null while no process runs. */
export interface EngineHandle {
  ask(order: OrderBody, replied: (reply: Reply) => void): void;
}

export type BusMessage =
  | { readonly kind: 'heartbeat'; readonly word: Word }
  | { readonly kind: 'record-out-of-sync'; readonly epoch: number }
  | { readonly kind: 'recorded-out-of-sync'; readonly epoch: number }
  | { readonly kind: 'ask-promise'; readonly epoch: number }
  | { readonly kind: 'promise'; readonly epoch: number; readonly isGiven: boolean; readonly because: string };

/** What an agent tells the others at each heartbeat. */
export interface Word {
  readonly replica: Replica | null;
  /** Milliseconds since this node last heard each other one, on the bus or on a link. */
  readonly silence: ReadonlyMap<NodeName, number>;
}

export interface AgentPorts {
  readonly world: World;
  readonly bus: SimulatedBus<BusMessage>;
  readonly engine: () => EngineHandle | null;
  /** The engine is gone: start it again, open its replica and connect it. */
  readonly repair: () => void;
  /** Rule 15: a replica that failed is first repaired in place, by another process. */
  readonly restart: () => void;
}

interface Gathering {
  readonly epoch: number;
  readonly awaited: Set<NodeName>;
  readonly sinceMs: number;
  readonly then: (epoch: number) => void;
}

export class Agent {
  readonly node: NodeName;
  readonly #nodes: readonly NodeName[];
  readonly #others: readonly NodeName[];
  readonly #ports: AgentPorts;
  readonly #random: Random;
  readonly #timing: Timing;
  readonly #heard = new Map<NodeName, { readonly atMs: number; readonly word: Word }>();
  #status: EngineStatus | null = null;
  /** The source that this agent has heard serving, and with which epoch: only such a one can be lost (rule 10). */
  #followed: { readonly node: NodeName; readonly epoch: number } | null = null;
  #gathering: Gathering | null = null;
  #askedAtMs: number | null = null;
  #handedOverAtMs: number | null = null;
  #outPromisedSinceMs: number | null = null;
  /** The epoch at which the engine refused to serve: it is not asked again before something has happened. */
  #vetoedEpoch: number | null = null;
  #isAlive = true;

  /** `nodes`: all replicas of the resource, the best priority first. */
  constructor(node: NodeName, nodes: readonly NodeName[], timing: Timing, ports: AgentPorts) {
    this.node = node;
    this.#nodes = nodes;
    this.#others = nodes.filter((other) => other !== node);
    this.#timing = timing;
    this.#ports = ports;
    this.#random = ports.world.random.fork(`agent ${node}`);
    ports.bus.subscribe(node, (from, message) => this.#receive(from as NodeName, message));
    this.#later(this.#random.span(0, timing.heartbeatMs), () => this.#beat());
  }

  get replica(): Replica | null {
    return this.#status?.replica ?? null;
  }

  get status(): EngineStatus | null {
    return this.#status;
  }

  die(): void {
    this.#isAlive = false;
    this.#ports.bus.subscribe(this.node, null);
  }

  /** An order of an operator, or one that this agent concluded. */
  order(order: OrderBody, replied: (reply: Reply) => void = () => {}): void {
    const engine = this.#ports.engine();
    const label = describe(order);
    if (engine === null) {
      replied({ ok: false, code: 'no-engine' });
      return;
    }
    if (order.order !== 'acknowledge') this.#ports.world.note(`agent ${this.node}`, label);
    engine.ask(order, (reply) => {
      if (!this.#isAlive) return;
      if (!reply.ok) this.#ports.world.note(`agent ${this.node}`, `${label} refused: ${reply.code}`);
      replied(reply);
    });
  }

  /** Rule 6: the operator asks the source's agent. */
  switchOver(to: NodeName): void {
    const epoch = 1 + this.#highestEpoch();
    this.order({ order: 'hand-over', to, epoch });
  }

  get #lostMs(): number {
    return this.#timing.heartbeatMs * this.#timing.lostAfter;
  }

  #later(delayMs: number, run: () => void): void {
    this.#ports.world.after(delayMs, () => {
      if (this.#isAlive) run();
    });
  }

  #beat(): void {
    this.#later(this.#timing.heartbeatMs, () => this.#beat());
    const { world } = this.#ports;
    if (this.#ports.engine() === null) {
      this.#status = null;
      this.#ports.repair();
    } else if (this.#askedAtMs === null || world.nowMs - this.#askedAtMs > this.#lostMs) {
      this.#askedAtMs = world.nowMs;
      this.#ports.engine()?.ask({ order: 'status' }, (reply) => {
        if (!this.#isAlive) return;
        this.#askedAtMs = null;
        this.#status = reply.status ?? null;
        this.#decide();
      });
    }
    const word: Word = { replica: this.replica, silence: this.#silences() };
    for (const other of this.#others) this.#ports.bus.send(this.node, other, { kind: 'heartbeat', word });
  }

  #silences(): Map<NodeName, number> {
    return new Map(this.#others.map((other) => [other, this.#silenceOf(other)]));
  }

  /** Since this node heard that one on any path of its own. */
  #silenceOf(node: NodeName): number {
    const onBus = this.#ports.world.nowMs - (this.#heard.get(node)?.atMs ?? -Infinity);
    const onLink = this.#status?.peers.find(({ peer }) => peer === node)?.heardMsAgo ?? Infinity;
    return Math.min(onBus, onLink);
  }

  #freshWords(): [NodeName, Word][] {
    const now = this.#ports.world.nowMs;
    return [...this.#heard]
      .filter(([, { atMs }]) => now - atMs < this.#lostMs)
      .map(([node, { word }]) => [node, word]);
  }

  /** REQUIREMENTS 1: silent on all paths of this node, and no reachable node has heard it in that time. */
  #isLost(node: NodeName): boolean {
    if (this.#silenceOf(node) < this.#lostMs) return false;
    return this.#freshWords().every(([, { silence }]) => (silence.get(node) ?? Infinity) >= this.#lostMs);
  }

  #highestEpoch(): number {
    const words = [this.replica, ...this.#freshWords().map(([, { replica }]) => replica)];
    return Math.max(0, ...words.map((replica) => Math.max(replica?.epoch ?? 0, replica?.promised ?? 0)));
  }

  #decide(): void {
    const mine = this.replica;
    if (mine === null) return;
    const { next, pending } = this.#status?.observations ?? { next: 1, pending: 0 };
    if (pending > 0) this.order({ order: 'acknowledge', observation: next - 1 });
    if (mine.failed !== null) {
      this.#ports.restart();
      return;
    }
    if (mine.serving) {
      this.#keepServing(mine);
      return;
    }
    const serving = this.#freshWords()
      .filter(([, { replica }]) => replica?.serving === true)
      .map(([node, { replica }]) => ({ node, epoch: replica?.epoch ?? 0 }))
      .sort((left, right) => right.epoch - left.epoch)[0];
    const handed = this.#handedToMe(mine);
    if (serving !== undefined && serving.epoch >= mine.promised) this.#follow(mine, serving);
    else if (handed !== null) this.#serve(handed);
    else if (mine.handedTo !== null && mine.lastOwner) this.#awaitTaker(mine, mine.handedTo);
    else if (mine.lastOwner) this.#returnAsLastOwner(mine);
    else this.#considerFailover(mine);
  }

  #keepServing(mine: Replica): void {
    this.#followed = null;
    this.#handedOverAtMs = null;
    this.#renewIfOutPromised(mine);
    for (const { peer, waitingMs, connected } of this.#status?.peers ?? []) {
      const isStalled = waitingMs > 0 && (!connected || waitingMs > this.#lostMs * 3);
      if (!isStalled) continue;
      if (this.#isLost(peer)) this.order({ order: 'peer-lost', peer });
      else
        this.#ports.bus.send(this.node, peer, {
          kind: 'record-out-of-sync',
          epoch: mine.epoch,
        });
    }
  }

  /**
   * Somebody has promised a higher epoch to a candidate that does not serve: it can follow this reign no more. So
   * this source leaves service, and returns with a higher one (rule 9).
   */
  #renewIfOutPromised(mine: Replica): void {
    const { nowMs } = this.#ports.world;
    const words = this.#freshWords();
    const isRefused = this.#status?.peers.some(({ refusal }) => refusal === 'stale-epoch') === true;
    const isOutPromised =
      (isRefused || words.some(([, { replica }]) => (replica?.promised ?? 0) > mine.epoch)) &&
      !words.some(([, { replica }]) => replica?.serving === true);
    this.#outPromisedSinceMs = isOutPromised ? (this.#outPromisedSinceMs ?? nowMs) : null;
    if (this.#outPromisedSinceMs === null || nowMs - this.#outPromisedSinceMs < 3 * this.#lostMs) return;
    this.#outPromisedSinceMs = null;
    // What is in flight may wait for the one that will never answer this reign.
    this.order({ order: 'leave-service', abandon: true });
  }

  #follow(mine: Replica, source: { readonly node: NodeName; readonly epoch: number }): void {
    this.#followed = source;
    this.#gathering = null;
    if (mine.lastOwner || mine.dataCorrupt) {
      this.order({ order: 'flags', lastOwner: false, dataCorrupt: false });
    }
    if (mine.role !== 'target' || mine.epoch < source.epoch) {
      this.order({ order: 'become-target', epoch: source.epoch });
    }
  }

  /** Rule 6, step 5. */
  #handedToMe(mine: Replica): number | null {
    for (const [, { replica }] of this.#freshWords()) {
      const to = replica?.handedTo;
      if (to?.node === this.node && to.epoch > mine.epoch && to.epoch >= mine.promised) return to.epoch;
    }
    return null;
  }

  /** Rule 6 after step 4: only if the taker promises not to start. */
  #awaitTaker(mine: Replica, to: { readonly node: NodeName; readonly epoch: number }): void {
    const { nowMs } = this.#ports.world;
    this.#handedOverAtMs ??= nowMs;
    if (nowMs - this.#handedOverAtMs < 3 * this.#lostMs) return;
    const epoch = 1 + Math.max(to.epoch, this.#highestEpoch());
    this.#gather(mine, epoch, this.#others, (promised) => {
      this.order({ order: 'take-back', epoch: promised }, (reply) => {
        if (reply.ok) this.#serve(promised);
      });
    });
  }

  /** Rule 9. */
  #returnAsLastOwner(mine: Replica): void {
    const words = new Map(this.#freshWords());
    const isOvertaken = [...words.values()].some(({ replica }) => (replica?.epoch ?? 0) > mine.epoch);
    if (isOvertaken) return;
    const awaited = this.#others.filter((other) => words.get(other)?.replica?.inSync !== false);
    if (awaited.some((other) => !words.has(other))) {
      if (!mine.dataCorrupt) this.order({ order: 'flags', dataCorrupt: true });
      return;
    }
    const reachable = [...words.keys()];
    this.#gather(mine, 1 + this.#highestEpoch(), reachable, (epoch) => {
      if (mine.dataCorrupt) this.order({ order: 'flags', dataCorrupt: false });
      this.#serve(epoch);
    });
  }

  /** Rules 4, 7, 8 and 10. */
  #considerFailover(mine: Replica): void {
    const { world } = this.#ports;
    if (this.#followed === null || !isEligible(mine) || !this.#isLost(this.#followed.node)) return;
    const words = this.#freshWords();
    const better = words.some(
      ([node, { replica }]) =>
        replica !== null &&
        replica.role === 'target' &&
        isEligible(replica) &&
        replica.epoch >= mine.epoch &&
        this.#priority(node) < this.#priority(this.node),
    );
    if (better) return;
    world.count('failover attempted');
    this.#gather(
      mine,
      1 + this.#highestEpoch(),
      words.map(([node]) => node),
      (epoch) => this.#serve(epoch),
    );
  }

  #priority(node: NodeName): number {
    return this.#nodes.indexOf(node);
  }

  /** This node promises first; then every one of `from` must, each durably (rule 7). */
  #gather(mine: Replica, epoch: number, from: readonly NodeName[], then: (epoch: number) => void): void {
    const { world } = this.#ports;
    if (this.#gathering !== null && world.nowMs - this.#gathering.sinceMs < this.#lostMs) return;
    if (mine.promised >= epoch || mine.promised === this.#vetoedEpoch) return;
    const gathering = { epoch, awaited: new Set(from), sinceMs: world.nowMs, then };
    this.#gathering = gathering;
    this.order({ order: 'promise', epoch, to: this.node }, (reply) => {
      if (this.#gathering !== gathering) return;
      if (!reply.ok) {
        this.#giveUp(gathering);
        return;
      }
      for (const other of from) this.#ports.bus.send(this.node, other, { kind: 'ask-promise', epoch });
      this.#checkGathered(gathering);
    });
  }

  #checkGathered(gathering: Gathering): void {
    if (gathering.awaited.size > 0) return;
    this.#gathering = null;
    gathering.then(gathering.epoch);
  }

  /** Another attempt after a while of its own length, so that two candidates do not go on in step. */
  #giveUp(gathering: Gathering): void {
    this.#later(this.#random.span(0, 2 * this.#lostMs), () => {
      if (this.#gathering === gathering) this.#gathering = null;
    });
  }

  #serve(epoch: number): void {
    const words = new Map(this.#freshWords());
    const isAway = (node: NodeName) => this.#isLost(node) || words.get(node)?.replica?.inSync === false;
    this.order({ order: 'serve', epoch, without: this.#others.filter(isAway) }, ({ ok, code }) => {
      this.#vetoedEpoch = ok || code === 'device-failed' ? null : epoch;
    });
  }

  #receive(from: NodeName, message: BusMessage): void {
    const { world, bus } = this.#ports;
    switch (message.kind) {
      case 'heartbeat':
        this.#heard.set(from, { atMs: world.nowMs, word: message.word });
        break;
      case 'record-out-of-sync':
        this.order({ order: 'record-out-of-sync', source: from, epoch: message.epoch }, (reply) => {
          if (reply.ok) bus.send(this.node, from, { kind: 'recorded-out-of-sync', epoch: message.epoch });
        });
        break;
      case 'recorded-out-of-sync':
        if (this.replica?.serving === true && this.replica.epoch === message.epoch) {
          this.order({ order: 'peer-recorded-out-of-sync', peer: from });
        }
        break;
      case 'ask-promise':
        this.#promise(from, message.epoch);
        break;
      case 'promise':
        this.#takePromise(from, message);
        break;
      default:
        message satisfies never;
    }
  }

  #promise(candidate: NodeName, epoch: number): void {
    const answer = (isGiven: boolean, because: string) =>
      this.#ports.bus.send(this.node, candidate, { kind: 'promise', epoch, isGiven, because });
    const alive = [[this.node, { replica: this.replica }] as const, ...this.#freshWords()].some(
      ([node, { replica }]) => node !== candidate && replica?.serving === true,
    );
    if (alive) {
      answer(false, 'source-alive');
      return;
    }
    this.order({ order: 'promise', epoch, to: candidate }, (reply) => answer(reply.ok, reply.code ?? ''));
  }

  #takePromise(from: NodeName, answer: Extract<BusMessage, { kind: 'promise' }>): void {
    const gathering = this.#gathering;
    if (gathering === null || gathering.epoch !== answer.epoch) return;
    if (!answer.isGiven) {
      this.#giveUp(gathering);
      return;
    }
    gathering.awaited.delete(from);
    this.#checkGathered(gathering);
  }
}

/** Rule 4, as far as a replica can know it of itself. */
export const isEligible = (replica: Replica): boolean =>
  replica.inSync &&
  replica.consistent &&
  replica.paused === null &&
  replica.resyncing === null &&
  replica.failed === null;

function describe(order: OrderBody): string {
  const { order: name, ...rest } = order;
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return [name, ...facts].join(' ');
}
