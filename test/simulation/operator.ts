import type { NodeName } from '../../domain/vocabulary.ts';
import type { OrderBody, Replica } from './agent.ts';
import type { Host, Plan } from './host.ts';
import type { Onlooker } from './onlooker.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

const tickMs = 300;

interface Split {
  readonly source: Host;
  readonly victim: Host;
  /** The victim has promised or followed as high an epoch. */
  readonly isOutranked: boolean;
  readonly kind: 'partial' | 'full';
}

/**
 * The people who run the cluster: they create and extend the resource, command this and that while faults happen,
 * and settle what only people may settle (split brain, a last owner that does not come back).
 */
export class Operator {
  readonly #world: World;
  readonly #random: Random;
  readonly #hosts: readonly Host[];
  readonly #plan: Plan;
  readonly #onlooker: Onlooker;
  readonly #extended = new Set<NodeName>();
  /** Faults are over: nothing stays paused. */
  isCalm = false;
  #isCreated = false;
  #troubleSinceMs: number | null = null;
  #sourcelessSinceMs: number | null = null;

  constructor(world: World, hosts: readonly Host[], plan: Plan, onlooker: Onlooker) {
    this.#world = world;
    this.#random = world.random.fork('operator');
    this.#hosts = hosts;
    this.#plan = plan;
    this.#onlooker = onlooker;
    this.#tick();
  }

  /** The resource is created and every resync of its extension has begun. */
  get isReady(): boolean {
    return this.#isCreated && this.#extended.size === this.#plan.nodes.length - 1;
  }

  switchOver(to: Host): void {
    const source = this.#serving()[0];
    if (source !== undefined && source !== to) source.agent?.switchOver(to.node);
  }

  pause(target: Host): void {
    const source = this.#serving()[0];
    if (source === undefined || source === target) return;
    source.agent?.order({ order: 'pause', peer: target.node, reason: 'backup' });
  }

  resume(target: Host): void {
    for (const source of this.#serving()) {
      if (source !== target) source.agent?.order({ order: 'resume', peer: target.node });
    }
  }

  /** Rule 11: only where no other reachable node is in service. */
  forceOnline(host: Host): void {
    if (this.#serving().length > 0 || replicaOf(host) === null) return;
    this.#serveByForce(host);
  }

  /** Something that must be refused, or change nothing that matters. */
  wrongOrder(host: Host, other: Host): void {
    const epoch = replicaOf(host)?.epoch ?? 0;
    const orders: readonly OrderBody[] = [
      { order: 'serve', epoch },
      { order: 'promise', epoch, to: other.node },
      { order: 'take-back', epoch },
      { order: 'resync', peer: other.node, kind: 'partial' },
      { order: 'record-out-of-sync', source: other.node, epoch: Math.max(0, epoch - 1) },
      { order: 'resume', peer: other.node },
      { order: 'peer-recorded-out-of-sync', peer: host.node },
    ];
    host.agent?.order(this.#random.pick(orders));
  }

  #tick(): void {
    this.#world.after(tickMs, () => this.#tick());
    if (!this.isReady) this.#createAndExtend();
    else this.#settle();
  }

  #createAndExtend(): void {
    const [first, ...others] = this.#hosts;
    const replica = first === undefined ? null : replicaOf(first);
    if (first === undefined || replica === null) return;
    if (!replica.serving) {
      if (!this.#isCreated) {
        first.agent?.order({ order: 'serve', epoch: 1, without: others.map(({ node }) => node) });
      }
      return;
    }
    this.#isCreated = true;
    for (const { node } of others) {
      const isConnected = first.agent?.status?.peers.some(
        ({ peer, connected }) => peer === node && connected,
      );
      if (this.#extended.has(node) || isConnected !== true) continue;
      first.agent?.order({ order: 'resync', peer: node, kind: 'full', force: true }, (reply) => {
        if (reply.ok) this.#extended.add(node);
      });
    }
  }

  #settle(): void {
    const serving = this.#serving();
    this.#sourcelessSinceMs = serving.length > 0 ? null : (this.#sourcelessSinceMs ?? this.#world.nowMs);
    if (this.#sourcelessSinceMs !== null && this.#world.nowMs - this.#sourcelessSinceMs > 12_000) {
      this.#sourcelessSinceMs = this.#world.nowMs;
      this.#forceBest();
    }
    if (this.isCalm) for (const host of this.#hosts) this.#resumePaused(host);
    if (this.#plan.verifies && this.#random.chance(0.2)) this.#verify(serving);
    const isTroubled = serving.length > 1 || this.#splits().length > 0;
    this.#troubleSinceMs = isTroubled ? (this.#troubleSinceMs ?? this.#world.nowMs) : null;
    if (this.#troubleSinceMs !== null && this.#world.nowMs - this.#troubleSinceMs > 3_000) {
      this.#troubleSinceMs = this.#world.nowMs;
      if (serving.length > 1) this.#stepDown(serving);
      else this.#resolveSplitBrain();
    }
  }

  #verify([source]: readonly Host[]): void {
    const target = this.#random.pick(this.#hosts);
    if (source === undefined || target === source) return;
    source.agent?.order({ order: 'verify', peer: target.node });
  }

  #resumePaused(source: Host): void {
    for (const { peer, status } of source.agent?.status?.peers ?? []) {
      if (status === 'paused') source.agent?.order({ order: 'resume', peer });
    }
  }

  /** In sync before last owner before any other. */
  #forceBest(): void {
    const rank = ({ inSync, consistent, lastOwner, epoch }: Replica) =>
      epoch * 8 + (inSync ? 4 : 0) + (lastOwner ? 2 : 0) + (consistent ? 1 : 0);
    const best = this.#hosts
      .flatMap((host) => {
        const replica = replicaOf(host);
        return replica === null ? [] : [{ host, rank: rank(replica) }];
      })
      .sort((left, right) => right.rank - left.rank)[0];
    if (best !== undefined) this.#serveByForce(best.host);
  }

  #serveByForce(host: Host): void {
    this.#world.count('forced online');
    const away = this.#hosts.filter((other) => other !== host && replicaOf(other) === null);
    host.agent?.order({
      order: 'serve',
      epoch: this.#nextEpoch(),
      force: true,
      without: away.map(({ node }) => node),
    });
  }

  /**
   * Two serve. The descendant of the other's data stays (rule 12: only it has written); with a split brain the one
   * that took over later.
   */
  #stepDown(serving: readonly Host[]): void {
    const [stays, ...leave] = [...serving].sort(
      (left, right) =>
        Number(descends(right, left)) - Number(descends(left, right)) || standing(right) - standing(left),
    );
    if (stays === undefined) return;
    for (const host of leave) {
      if (!descends(stays, host)) this.#giveUp(host, stays);
      host.agent?.order({ order: 'leave-service', abandon: true });
    }
    if (leave.some((host) => standing(host) >= standing(stays))) this.#renew(stays);
  }

  /** Whoever has served, followed or promised a higher epoch follows this one only in a new reign. */
  #renew(host: Host): void {
    host.agent?.order({ order: 'leave-service', abandon: true }, () => this.#serveByForce(host));
  }

  /** Mirrors that only a decision about whose data is lost can mend (rules 12 and 13). */
  #splits(): Split[] {
    return this.#serving().flatMap((source) =>
      (source.agent?.status?.peers ?? [])
        .filter(({ status, refusal }) => status === 'split-brain' || refusal === 'target-inconsistent')
        .flatMap(({ peer, refusal }) => {
          const isOutranked = refusal === 'stale-epoch';
          const kind = refusal === 'target-inconsistent' ? 'full' : 'partial';
          const victim = this.#hosts.find(({ node }) => node === peer);
          return victim === undefined ? [] : [{ source, victim, isOutranked, kind }];
        }),
    );
  }

  #resolveSplitBrain(): void {
    for (const { source, victim, isOutranked, kind } of this.#splits()) {
      this.#giveUp(victim, source);
      if (isOutranked) {
        this.#renew(source);
        return;
      }
      if (replicaOf(victim)?.paused !== null) source.agent?.order({ order: 'resume', peer: victim.node });
      source.agent?.order({ order: 'resync', peer: victim.node, kind, force: true });
    }
  }

  #giveUp(victim: Host, survivor: Host): void {
    this.#world.note('operator', `${victim.node} is given up for ${survivor.node}`);
    this.#world.count('split brain resolved');
    this.#onlooker.giveUp(victim);
  }

  #serving(): Host[] {
    return this.#hosts.filter((host) => replicaOf(host)?.serving === true);
  }

  #nextEpoch(): number {
    const known = this.#hosts.map(replicaOf).filter((replica) => replica !== null);
    return 1 + Math.max(0, ...known.map(({ epoch, promised }) => Math.max(epoch, promised)));
  }
}

const replicaOf = (host: Host): Replica | null => host.agent?.replica ?? null;

/** The left one's data began as the right one's, which has not changed since. */
function descends(left: Host, right: Host): boolean {
  const theirs = right.record?.generation.current ?? null;
  return theirs !== null && left.record?.generation.history.includes(theirs) === true;
}

const standing = (host: Host): number => replicaOf(host)?.epoch ?? 0;
