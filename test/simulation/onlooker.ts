import type { Export } from '../../adapters/nbd/export.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import type { OrderBody, Reply } from './agent.ts';
import { blank, Candidates, shows, type Write } from './candidates.ts';
import { sectorSize } from './disk.ts';
import { type Host, type Plan, pairKey } from './host.ts';
import { IntentChecker } from './intent-checker.ts';
import { blankCandidates, type Knowledge, outOfOrderSectors, Reign, wrongSectors } from './model.ts';
import { writeNumberOf } from './stamp.ts';
import type { Judge } from './workload.ts';
import type { World } from './world.ts';

/** An invariant does not hold. */
export class Violation extends Error {}

/** Everything that this target lacks is on its way, and it may be in sync after the end of the reign. */
interface Finishing {
  readonly reign: Reign;
  /** What it will hold then. */
  readonly knowledge: Knowledge;
}

/** Why a source may acknowledge without a target that has not recorded itself out of sync. */
type Excuse = 'lost' | 'without' | 'paused' | 'elsewhere';

/**
 * The onlooker sees all disks and all acknowledgements at once, and says at once when an invariant is broken. What it
 * takes for durable is what the stable layer of a disk holds, not what an engine believes.
 */
export class Onlooker {
  readonly reigns: Reign[] = [];
  readonly #world: World;
  readonly #plan: Plan;
  readonly #hosts: ReadonlyMap<NodeName, Host>;
  readonly #intents: IntentChecker;
  /** The reign whose knowledge speaks of this node's image: where it was last source, or in sync. */
  readonly #lineage = new Map<NodeName, Reign>();
  /** The reigns whose source serves now. */
  readonly #live = new Map<NodeName, Reign>();
  /** Targets that a source counted on when it died, and which had still to record that they are in sync. */
  readonly #finishing = new Map<NodeName, Finishing>();
  /** The step in which a node was seen to get in sync with a source that served. */
  readonly #syncedStep = new Map<NodeName, number>();
  /** By source > target. */
  readonly #excuses = new Map<string, Excuse>();
  readonly #counted = new Map<string, boolean>();
  readonly #inSync = new Map<string, boolean>();
  /** Nodes whose image has changed since it was last looked at for its order. */
  readonly #unchecked = new Set<NodeName>();
  /** Nodes whose latest order to serve was a forced one. */
  readonly #forced = new Set<NodeName>();
  readonly #beforeServing = new Map<NodeName, string | null>();
  readonly #sectorCount: number;

  constructor(world: World, plan: Plan, hosts: readonly Host[]) {
    this.#world = world;
    this.#plan = plan;
    this.#hosts = new Map(hosts.map((host) => [host.node, host]));
    this.#intents = new IntentChecker(hosts, plan);
    for (const host of hosts) {
      for (const { name } of plan.volumes) {
        host.volume(name).listeners.push(() => this.#unchecked.add(host.node));
      }
    }
    this.#sectorCount = plan.volumes.reduce((sum, { byteSize }) => sum + byteSize / sectorSize, 0);
  }

  /** The reign of which this node's image is a copy, as far as anyone can tell. */
  lineageOf(node: NodeName): Reign | null {
    return this.#lineage.get(node) ?? null;
  }

  /** Before the engine gets an order. */
  asking(host: Host, order: OrderBody): void {
    if (order.order === 'peer-lost') this.#excuse(host.node, order.peer, 'lost');
    if (order.order === 'pause') this.#excuse(host.node, order.peer, 'paused');
    if (order.order !== 'serve') return;
    for (const peer of order.without ?? []) this.#excuse(host.node, peer, 'without');
    const isForced = order.force === true;
    if (isForced) this.#forced.add(host.node);
    else this.#forced.delete(host.node);
    this.#beforeServing.set(host.node, isForced ? null : whyNotEligible(host));
  }

  answered(host: Host, order: OrderBody, reply: Reply): void {
    if (!reply.ok || order.order !== 'serve') return;
    const unfit = this.#beforeServing.get(host.node) ?? null;
    if (unfit !== null) this.#fail(`I2: ${host.node} serves although it is ${unfit}`);
  }

  /**
   * Without an agent the engine's own links decide who is lost (REQUIREMENTS 1). A verify compares both at one moment
   * of their stream: there nothing differs.
   */
  pushed(host: Host, message: object): void {
    if ('differing' in message && message.differing !== 0) {
      this.#fail(`I1: ${host.node} finds differences in a mirror in sync: ${JSON.stringify(message)}`);
    }
    if (host.isWatched || !('type' in message) || message.type !== 'peer-out-of-sync') return;
    if ('because' in message && message.because === 'lost' && 'peer' in message) {
      this.#excuse(host.node, String(message.peer), 'lost');
    }
  }

  /** A reign begins: what its source's image shows must be what the history promises (I1, I6, I13). */
  served(host: Host, exports: readonly Export[]): Reign {
    const isForced = this.#forced.has(host.node);
    const epoch = exports[0]?.epoch ?? 0;
    const before = this.#lineage.get(host.node);
    const shown = this.imageOf(host);
    const known = before?.knowledgeOf(host.node) ?? this.#blank();
    if (!isForced) this.#checkTakenOver(host, before, shown, known);
    const visible = exactly(shown, known.cached);
    const own = { cached: visible, durable: known.durable.or(visible), hasLostPower: known.hasLostPower };
    const knowledge = new Map<string, Knowledge>([[host.node, own]]);
    const inherited = new Set<string>();
    for (const peer of this.#plan.nodes) {
      const isSameLine = before !== undefined && this.#lineage.get(peer) === before;
      // A former source that still serves goes on writing to whoever follows it.
      if (isSameLine && !this.#isLive(before)) inherited.add(peer);
      if (peer !== host.node) knowledge.set(peer, copyOf(isSameLine ? before.knowledgeOf(peer) : own));
    }
    const reign = new Reign(epoch, host.node, knowledge, before ?? null, inherited, this.#world.steps);
    this.reigns.push(reign);
    this.#lineage.set(host.node, reign);
    this.#live.set(host.node, reign);
    for (const [peer, finishing] of this.#finishing) {
      if (peer === host.node || finishing.reign.source === host.node) this.#finishing.delete(peer);
    }
    for (const peer of this.#plan.nodes) {
      if (peer !== host.node) this.#startCounting(reign, host, peer);
    }
    this.#world.note('onlooker', `reign ${reign.name} begins`);
    return reign;
  }

  /** Its source does not serve any more. */
  ended(reign: Reign): void {
    const source = NodeName.parse(reign.source);
    if (this.#live.get(source) !== reign) return;
    this.look();
    this.#live.delete(source);
    for (const peer of this.#plan.nodes) {
      const key = `${source}>${peer}`;
      if (this.#counted.get(key) !== true || this.#inSync.get(key) === true) continue;
      const isSync = this.#plan.modes.get(pairKey(source, peer)) === 'sync';
      const knowledge = isSync ? reign.knowledgeOf(source) : reign.sentTo(peer);
      if (knowledge !== null) this.#finishing.set(peer, { reign, knowledge: copyOf(knowledge) });
    }
  }

  /** An operator has decided that what only this node has may be lost. */
  giveUp(host: Host): void {
    for (
      let reign = this.#lineage.get(host.node) ?? null;
      reign?.source === host.node;
      reign = reign.parent
    ) {
      reign.isGivenUp = true;
    }
  }

  judgeOf(reign: Reign, host: Host): Judge {
    return {
      acknowledged: (write, isDurable) => this.#acknowledged(reign, host, write, isDurable),
      flushed: (issuedStep) => this.#flushed(reign, host, issuedStep),
      wrong: (message) => this.#fail(`${reign.name}: ${message}`),
    };
  }

  powerFailed(host: Host): void {
    this.#finishing.delete(host.node);
    for (const reign of this.reigns) reign.powerFailed(host.node);
  }

  /** After every step that may have changed a record: who is in sync with whom. */
  look(): void {
    for (const [node, reign] of this.#live) {
      const host = this.#host(node);
      for (const peer of this.#plan.nodes) if (peer !== node) this.#noticeSync(reign, host, peer);
    }
    for (const [node, finishing] of this.#finishing) this.#noticeFinish(node, finishing);
  }

  /** The expensive ones, from time to time. */
  checkIntents(): void {
    for (const message of this.#intents.check()) this.#fail(message);
  }

  checkNoGarbage(): void {
    for (const host of this.#hosts.values()) {
      const sector = this.imageOf(host).indexOf(-1);
      if (sector >= 0) this.#fail(`I13: sector ${sector} of ${host.node} holds what nobody wrote`);
    }
  }

  /**
   * I6: a target that gets anything out of order has durably said "inconsistent" before. `outOfSyncOnly`: just those
   * that may be in the middle of a resync.
   */
  checkConsistency(outOfSyncOnly: boolean): void {
    for (const reign of this.#live.values()) {
      for (const peer of this.#plan.nodes) {
        const host = this.#host(peer);
        if (peer === reign.source || !this.#isTracked(reign, peer) || host.record?.consistent !== true)
          continue;
        if (outOfSyncOnly && (host.record.inSync || !this.#unchecked.delete(peer))) continue;
        const { cached, hasLostPower } = reign.knowledgeOf(peer);
        const disordered = hasLostPower ? [] : outOfOrderSectors(this.imageOf(host), cached);
        if (disordered.length > 0) {
          this.#fail(`I6: ${peer} calls itself consistent under ${reign.name}, but ${disordered.join('; ')}`);
        }
      }
    }
  }

  /** The node follows that reign, and what is known of its image is complete. */
  #isTracked(reign: Reign, node: NodeName): boolean {
    if (this.#host(node).record?.epoch !== reign.epoch) return false;
    const line = this.#lineage.get(node);
    return line === reign || (line === reign.parent && reign.inherited.has(node));
  }

  /** Write numbers of all sectors of all volumes. */
  imageOf(host: Host): Int32Array {
    const shown = new Int32Array(this.#sectorCount);
    let sector = 0;
    for (const { name, byteSize } of this.#plan.volumes) {
      const { cache } = host.volume(name);
      for (let offset = 0; offset < byteSize; offset += sectorSize) {
        shown[sector] = writeNumberOf(cache, offset, sector);
        sector++;
      }
    }
    return shown;
  }

  #acknowledged(reign: Reign, host: Host, write: Write, isDurable: boolean): void {
    this.look();
    const { holders, without } = this.#holders(reign, host, write.issuedStep);
    reign.acknowledged(write, this.#world.steps, holders, isDurable);
    for (const peer of without) {
      if (this.#has(reign, peer, write)) continue;
      reign.missed(peer);
      this.#checkExcused(reign, host, this.#host(peer));
    }
    for (const node of holders) this.#checkHolds(reign, node, write, isDurable);
  }

  #flushed(reign: Reign, host: Host, issuedStep: number): void {
    this.look();
    const { holders } = this.#holders(reign, host, issuedStep);
    const covered = reign.flushed(issuedStep, holders);
    for (const node of holders) for (const write of covered) this.#checkStable(reign, node, write);
  }

  /**
   * REQUIREMENTS 2.3: the source and the `sync` targets that its durable record does not call out of sync hold what
   * is acknowledged; it goes on without those that the record does call so.
   */
  #holders(reign: Reign, host: Host, sinceStep: number): { holders: NodeName[]; without: NodeName[] } {
    const holders = [host.node];
    const without: NodeName[] = [];
    for (const peer of this.#plan.nodes) {
      if (peer === host.node) continue;
      const isSync = this.#plan.modes.get(pairKey(host.node, peer)) === 'sync';
      // It serves or follows a later reign: what it had when it acknowledged cannot be seen any more.
      if ((this.#host(peer).record?.epoch ?? 0) > reign.epoch) continue;
      const isHere = this.#areInSync(host, peer) && !this.#isElsewhere(reign, peer);
      if (!this.#countsOn(host, peer)) without.push(peer);
      else if (isSync && isHere && this.#host(peer).powerFailedStep < sinceStep) holders.push(peer);
    }
    return { holders, without };
  }

  #isLive(reign: Reign | undefined): boolean {
    return [...this.#live.values()].some((live) => live === reign);
  }

  #countsOn(source: Host, target: NodeName): boolean {
    return source.record?.generation.peers[target]?.outOfSync === false;
  }

  /** Both say so, durably: the source counts on the target first, then the target believes it. */
  #areInSync(source: Host, target: NodeName): boolean {
    return this.#countsOn(source, target) && this.#host(target).record?.inSync === true;
  }

  #checkExcused(reign: Reign, source: Host, target: Host): void {
    // An async mirror may have so many writes on their way that the target knows nothing of.
    const isAsync = this.#plan.modes.get(pairKey(source.node, target.node)) === 'async';
    if (isAsync && reign.missedBy(target.node) <= this.#plan.asyncLimit) return;
    const theirs = target.record;
    if (this.#isElsewhere(reign, target.node)) {
      this.#excuse(source.node, target.node, 'elsewhere');
      return;
    }
    if (theirs === null || !theirs.inSync || theirs.paused !== null) return;
    if (source.agent === null || this.#excuses.has(`${source.node}>${target.node}`)) return;
    this.#fail(
      `2.3: ${source.node} acknowledges without ${target.node}, which has not recorded itself out of sync and is not lost`,
    );
  }

  /** It has recorded itself out of sync, and has been brought to the state of another reign since. */
  #isElsewhere(reign: Reign, node: NodeName): boolean {
    const line = this.#lineage.get(node);
    if (line === undefined || line === reign) return false;
    const isForked = (this.#syncedStep.get(node) ?? -1) > reign.beganStep;
    return this.#isLive(line) || isForked || reign.childOf(line) === null;
  }

  /** It got the write before the mirror broke. */
  #has(reign: Reign, node: NodeName, write: Write): boolean {
    const { cached } = reign.knowledgeOf(reign.source);
    for (let sector = write.sector; sector < write.sector + write.sectorCount; sector++) {
      if (cached.match(sector, this.#shown(this.#host(node), sector, 'cache')) === undefined) return false;
    }
    return true;
  }

  #checkHolds(reign: Reign, node: NodeName, write: Write, isDurable: boolean): void {
    const host = this.#host(node);
    const { cached } = reign.knowledgeOf(node);
    for (let sector = write.sector; sector < write.sector + write.sectorCount; sector++) {
      const shown = this.#shown(host, sector, 'cache');
      if (cached.match(sector, shown) === undefined) {
        this.#fail(`I1: write ${write.number} is acknowledged, sector ${sector} of ${node} shows ${shown}`);
      }
    }
    if (isDurable) this.#checkStable(reign, node, write);
  }

  #checkStable(reign: Reign, node: NodeName, write: Write): void {
    const host = this.#host(node);
    const { durable } = reign.knowledgeOf(node);
    for (let sector = write.sector; sector < write.sector + write.sectorCount; sector++) {
      const shown = this.#shown(host, sector, 'stable');
      if (durable.match(sector, shown) === undefined) {
        this.#fail(
          `I14: write ${write.number} was flushed, sector ${sector} of ${node} shows ${shown} on stable storage`,
        );
      }
    }
  }

  #checkTakenOver(host: Host, before: Reign | undefined, shown: Int32Array, known: Knowledge): void {
    const from = before === undefined ? 'nothing' : before.name;
    const lost = wrongSectors(shown, known.cached);
    if (lost.length > 0) this.#fail(`I1: ${host.node} takes over from ${from}, but ${lost.join('; ')}`);
    if (before === undefined || before.source === host.node || known.hasLostPower) return;
    const disordered = outOfOrderSectors(shown, known.cached);
    if (disordered.length > 0) {
      this.#fail(`I6: ${host.node} takes over from ${from}, but ${disordered.join('; ')}`);
    }
  }

  /** A new source counts on whoever may believe to be in sync; what that one has is for a resync to find out. */
  #startCounting(reign: Reign, host: Host, peer: NodeName): void {
    const key = `${host.node}>${peer}`;
    this.#counted.set(key, this.#countsOn(host, peer));
    const isInSync = this.#areInSync(host, peer);
    this.#inSync.set(key, isInSync);
    if (!isInSync) return;
    this.#excuses.delete(key);
    if (reign.inherited.has(peer)) this.#lineage.set(peer, reign);
  }

  /**
   * The end of a resync, in two steps. When the source counts on the target, all that it had acknowledged is on its
   * way; when the target believes it too, that has arrived, and in a `sync` mirror what came after it as well.
   */
  #noticeSync(reign: Reign, host: Host, peer: NodeName): void {
    const key = `${host.node}>${peer}`;
    const isCounted = this.#countsOn(host, peer);
    if (this.#counted.get(key) !== isCounted) {
      this.#counted.set(key, isCounted);
      if (isCounted) {
        this.#checkNotOverwritten(reign, peer);
        reign.sentAll(peer);
      }
    }
    const isInSync = this.#areInSync(host, peer);
    if (this.#inSync.get(key) === isInSync || (isInSync && !this.#isOf(reign, host, peer))) return;
    this.#inSync.set(key, isInSync);
    if (!isInSync) return;
    this.#excuses.delete(key);
    this.#lineage.set(peer, reign);
    this.#syncedStep.set(peer, this.#world.steps);
    if (this.#plan.modes.get(pairKey(host.node, peer)) === 'sync') reign.inSync(peer);
    else reign.hasAllSent(peer);
    this.#world.note('onlooker', `${peer} is in sync with ${reign.name}`);
  }

  /** What it says of itself as a source, or as the target of another one (even with this epoch), is about that one. */
  #isOf(reign: Reign, source: Host, target: NodeName): boolean {
    const { record } = this.#host(target);
    const ours = source.record?.generation;
    const theirs = record?.generation.current ?? null;
    if (record?.epoch !== reign.epoch || theirs === null || ours === undefined) return false;
    return ours.current === theirs || ours.history.includes(theirs);
  }

  /** The last message of the resync was on its way, or being made durable, when the source died. */
  #noticeFinish(peer: NodeName, { reign, knowledge }: Finishing): void {
    const { record } = this.#host(peer);
    if (record?.epoch === reign.epoch && !record.inSync) return;
    this.#finishing.delete(peer);
    if (!this.#isOf(reign, this.#host(NodeName.parse(reign.source)), peer)) return;
    this.#lineage.set(peer, reign);
    reign.holds(peer, knowledge);
    this.#world.note('onlooker', `${peer} is in sync with ${reign.name}, which is over`);
  }

  /** I4 and I7: what another reign acknowledged was not copied over, unless an operator gave it up. */
  #checkNotOverwritten(reign: Reign, peer: NodeName): void {
    const theirs = this.#lineage.get(peer);
    if (theirs === undefined || theirs.source !== peer || theirs.isGivenUp) return;
    const child = reign.childOf(theirs);
    const lost = child === null ? theirs.acknowledgedCount : theirs.missedBy(child.source);
    if (reign === theirs || lost === 0) return;
    this.#fail(
      `I4: ${reign.name} has overwritten ${lost} writes that ${theirs.name} acknowledged, and nobody gave them up`,
    );
  }

  #excuse(source: string, target: string, why: Excuse): void {
    this.#excuses.set(`${source}>${target}`, why);
  }

  #shown(host: Host, sector: number, layer: 'cache' | 'stable'): number {
    let first = 0;
    for (const { name, byteSize } of this.#plan.volumes) {
      const sectors = byteSize / sectorSize;
      if (sector < first + sectors) {
        return writeNumberOf(host.volume(name)[layer], (sector - first) * sectorSize, sector);
      }
      first += sectors;
    }
    throw new RangeError(`no sector ${sector}`);
  }

  #blank(): Knowledge {
    const all = blankCandidates(this.#sectorCount);
    return { cached: all, durable: all.clone(), hasLostPower: false };
  }

  #host(node: NodeName): Host {
    const host = this.#hosts.get(node);
    if (host === undefined) throw new Error(`no host ${node}`);
    return host;
  }

  #fail(message: string): never {
    throw new Violation(message);
  }
}

function whyNotEligible(host: Host): string | null {
  const record = host.record;
  if (record === null) return 'without a record';
  if (!record.inSync) return 'out of sync';
  if (!record.consistent) return 'inconsistent';
  if (record.paused !== null) return 'paused';
  return null;
}

const copyOf = ({ cached, durable, hasLostPower }: Knowledge): Knowledge => ({
  cached: cached.clone(),
  durable: durable.clone(),
  hasLostPower,
});

/** What an image shows, as the only candidates; what nobody knows of stands for itself. */
function exactly(shown: Int32Array, known: Candidates): Candidates {
  const seen = new Map<number, Write>();
  const bySector = Array.from(shown, (number, sector) => {
    const write = known.match(sector, number) ?? seen.get(number) ?? unknown(number);
    seen.set(number, write);
    return [write];
  });
  return new Candidates(bySector);
}

const unknown = (number: number): Write =>
  shows(blank, number) ? blank : { ...blank, number, isZeros: false };
