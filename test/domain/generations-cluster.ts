import {
  addPeer,
  createGeneration,
  firstWriteAlone,
  followGeneration,
  forceTakeover,
  generationConfirmed,
  losePeer,
  needsGeneration,
  peerOf,
  type ReplicaGenerations,
  receiveHandOver,
  recordOutOfSync,
  resolveSplitBrain,
  resyncSourceFinished,
  resyncSourceStarted,
  resyncTargetFinished,
  resyncTargetStarted,
  takeover,
} from '../../domain/generation-state.ts';
import { compareGenerations, generationRecord, type Verdict } from '../../domain/generations.ts';
import { Generation, NodeName } from '../../domain/vocabulary.ts';

/**
 * Replicas as an engine keeps them, in miniature: six regions that hold the number of their last write, intent logs
 * for each other, and an all-knowing record of which writes each replica's data include. All of it is durable; a
 * crash stops a sequence between two of its durable steps.
 */
export const regionCount = 6;

export interface Replica {
  readonly node: NodeName;
  generations: ReplicaGenerations;
  readonly regions: number[];
  /** Marked regions per peer. */
  readonly logs: Map<NodeName, Set<number>>;
  /** Writes whose effect the data include, also where a later one has covered it. */
  includes: Set<number>;
  up: boolean;
  serving: boolean;
  crashedSource: boolean;
  epoch: number;
  promised: number;
}

const allRegions = () => Array.from({ length: regionCount }, (_, region) => region);

export class Cluster {
  readonly replicas: Replica[];
  /** Sessions between a source and a target that gets its writes. */
  readonly sessions = new Set<string>();
  readonly cut = new Set<string>();
  readonly acknowledged = new Set<number>();
  #lastGeneration = 0;
  #lastWrite = 0;

  constructor(names: readonly string[]) {
    const nodes = names.map((name) => NodeName.parse(name));
    const blank: ReplicaGenerations = {
      inSync: false,
      consistent: false,
      resyncing: null,
      generation: { current: null, history: [], forced: null, peers: {} },
    };
    this.replicas = nodes.map((node) => ({
      node,
      generations: nodes
        .filter((peer) => peer !== node)
        .reduce((replica, peer) => addPeer(replica, peer, 'kept'), blank),
      regions: allRegions().map(() => 0),
      logs: new Map(nodes.filter((peer) => peer !== node).map((peer) => [peer, new Set<number>()])),
      includes: new Set<number>(),
      up: true,
      serving: false,
      crashedSource: false,
      epoch: 0,
      promised: 0,
    }));
    const first = this.replicas[0];
    if (first === undefined) throw new Error('a cluster has a node');
    first.generations = createGeneration(first.generations, this.#newGeneration());
    this.serve(first);
  }

  #newGeneration(): Generation {
    this.#lastGeneration += 1;
    return Generation.parse(this.#lastGeneration.toString(16).padStart(16, '0'));
  }

  #newWrite(): number {
    this.#lastWrite += 1;
    return this.#lastWrite;
  }

  reachable = (a: Replica, b: Replica) => a.up && b.up && !this.cut.has(pair(a, b));
  inSession = (a: Replica, b: Replica) => this.sessions.has(pair(a, b));
  others = (replica: Replica) => this.replicas.filter((other) => other !== replica);
  connected = (replica: Replica) => this.others(replica).filter((other) => this.inSession(replica, other));

  compare(mine: Replica, theirs: Replica): Verdict {
    return compareGenerations(this.#record(mine, theirs), this.#record(theirs, mine));
  }

  #record(replica: Replica, peer: Replica) {
    const { node, serving, crashedSource, epoch } = replica;
    const marked = log(replica, peer).size > 0;
    return generationRecord(replica.generations, peer.node, { node, serving, crashedSource, epoch, marked });
  }

  serve(replica: Replica): void {
    const seen = this.replicas.filter((other) => other === replica || this.reachable(replica, other));
    const brandNew = replica.generations.generation.current === null;
    if (!replica.up || brandNew || seen.some(({ serving }) => serving)) return;
    const absent = this.others(replica).filter((other) => !seen.includes(other));
    const names = absent.map(({ node }) => node);
    if (replica.generations.consistent) {
      replica.generations = takeover(replica.generations, names);
    } else {
      replica.generations = forceTakeover(replica.generations, names, this.#newGeneration());
      replica.includes.add(this.#newWrite());
    }
    replica.epoch = 1 + Math.max(...seen.map(({ epoch, promised }) => Math.max(epoch, promised)));
    for (const other of seen) {
      other.promised = replica.epoch;
      this.#dropSessions(other);
    }
    replica.serving = true;
    replica.crashedSource = false;
  }

  leaveService(replica: Replica): void {
    replica.serving = false;
    this.#dropSessions(replica);
  }

  crash(replica: Replica): void {
    replica.up = false;
    replica.crashedSource ||= replica.serving;
    this.leaveService(replica);
  }

  restart(replica: Replica): void {
    replica.up = true;
  }

  toggleCut(a: Replica, b: Replica): void {
    if (this.cut.delete(pair(a, b))) return;
    this.cut.add(pair(a, b));
    this.sessions.delete(pair(a, b));
  }

  /** The source asks over another path that a target which it cannot write to record itself out of sync. */
  askToRecordOutOfSync(source: Replica, target: Replica): void {
    if (!source.serving || !target.up || this.inSession(source, target) || target.serving) return;
    target.generations = recordOutOfSync(target.generations);
    source.generations = losePeer(source.generations, target.node);
  }

  /** One write in sync mode. `crashAfter`: the source dies after so many durable steps; `lost`: targets that do. */
  write(source: Replica, region: number, crashAfter: number, lost: readonly Replica[]): void {
    if (!source.serving) return;
    let steps = 0;
    const dies = () => {
      steps += 1;
      if (steps - 1 !== crashAfter) return false;
      this.crash(source);
      return true;
    };
    const isAway = (peer: Replica) => !this.inSession(source, peer);

    for (const peer of this.others(source).filter(isAway)) {
      source.generations = losePeer(source.generations, peer.node);
    }
    const write = this.#newWrite();
    if (this.#beginGeneration(source, dies)) return;

    for (const peer of this.others(source)) log(source, peer).add(region);
    if (dies()) return;
    for (const target of this.connected(source)) {
      if (lost.includes(target)) this.crash(target);
      else this.#apply(target, region, write);
      if (dies()) return;
    }
    this.#apply(source, region, write);
    if (dies()) return;

    for (const target of lost) source.generations = losePeer(source.generations, target.node);
    if (this.#beginGeneration(source, dies)) return;
    this.acknowledged.add(write);
    if (dies()) return;
    this.#clear(source, [region]);
  }

  /**
   * True when the source died on the way. The beginning of a generation counts as a write (never acknowledged): the
   * application asked for one, and what comes of it after a crash nobody can tell.
   */
  #beginGeneration(source: Replica, dies: () => boolean): boolean {
    if (!needsGeneration(source.generations)) return false;
    const beginning = this.#newWrite();
    const generation = this.#newGeneration();
    source.generations = firstWriteAlone(source.generations, generation);
    source.includes.add(beginning);
    if (dies()) return true;
    const away = this.others(source)
      .filter(({ node }) => peerOf(source.generations, node).outOfSync)
      .map(({ node }) => node);
    for (const target of this.connected(source)) {
      const absent = away.filter((node) => node !== target.node);
      target.generations = followGeneration(target.generations, source.node, generation, absent);
      if (target.generations.resyncing === null) target.includes.add(beginning);
      if (dies()) return true;
      source.generations = generationConfirmed(source.generations, target.node, generation);
    }
    return dies();
  }

  #apply(replica: Replica, region: number, write: number): void {
    for (const peer of this.others(replica)) log(replica, peer).add(region);
    replica.regions[region] = write;
    if (replica.generations.resyncing === null) replica.includes.add(write);
  }

  /** Every connected replica has the write, so the pairs among those that are in sync need no bit for it. */
  #clear(source: Replica, regions: readonly number[]): void {
    const have = [source, ...this.connected(source)].filter(({ generations }) => generations.inSync);
    for (const replica of have) {
      for (const peer of have.filter((other) => other !== replica)) {
        for (const region of regions) log(replica, peer).delete(region);
      }
    }
  }

  /** They meet: what follows from the verdict where one of the two serves. */
  connect(a: Replica, b: Replica): Verdict | undefined {
    if (!this.reachable(a, b) || this.inSession(a, b)) return undefined;
    const verdict = this.compare(a, b);
    const leads = verdict.verdict === 'resync' ? verdict.source === 'mine' : a.serving;
    const [source, target] = leads ? [a, b] : [b, a];
    if (verdict.verdict === 'resync' && target.serving) this.leaveService(target);
    const refused = source.epoch < Math.max(target.epoch, target.promised);
    if (!source.serving || target.serving || refused) return verdict;
    if (verdict.verdict === 'resync') this.#startResync(source, target, verdict.kind);
    if (verdict.verdict === 'in-sync') this.#join(source, target);
    return verdict;
  }

  #join(source: Replica, target: Replica): void {
    this.#follow(source, target);
    this.#finish(source, target, false);
  }

  #follow(source: Replica, target: Replica): void {
    this.#dropSessions(target);
    this.sessions.add(pair(source, target));
    target.epoch = source.epoch;
  }

  #startResync(source: Replica, target: Replica, kind: 'partial' | 'full'): void {
    const marks = kind === 'full' ? allRegions() : [...log(target, source)];
    for (const region of marks) log(source, target).add(region);
    source.generations = resyncSourceStarted(source.generations, target.node);
    const { base } = peerOf(source.generations, target.node);
    const { current } = source.generations.generation;
    if (current === null) throw new Error('a source has a generation');
    target.generations = resyncTargetStarted(target.generations, {
      source: source.node,
      kind,
      base,
      generation: current,
    });
    this.#follow(source, target);
  }

  /** Up to `count` regions of a running resync, then its end. */
  resync(source: Replica, target: Replica, count: number, sourceDies: boolean): void {
    const running = target.generations.resyncing?.source === source.node;
    if (!this.inSession(source, target) || !source.serving || !running) return;
    for (const region of [...log(source, target)].slice(0, count)) {
      for (const peer of this.others(target)) log(target, peer).add(region);
      target.regions[region] = source.regions[region] ?? 0;
      log(source, target).delete(region);
      log(target, source).delete(region);
    }
    if (log(source, target).size === 0) this.#finish(source, target, sourceDies);
  }

  #finish(source: Replica, target: Replica, sourceDies: boolean): void {
    source.generations = resyncSourceFinished(source.generations, target.node);
    target.includes = new Set(source.includes);
    if (sourceDies) {
      this.crash(source);
      return;
    }
    const others = this.others(source).filter((other) => other !== target);
    for (const other of others) {
      for (const region of log(source, other)) log(target, other).add(region);
    }
    const { inSync, generation } = source.generations;
    const from = { node: source.node, inSync, generation };
    const received = others.map(({ node }) => node);
    target.generations = resyncTargetFinished(target.generations, from, target.node, received);
    target.crashedSource = false;
    this.#clear(source, allRegions());
  }

  switchover(source: Replica, target: Replica): void {
    const { inSync, consistent } = target.generations;
    if (!source.serving || !this.inSession(source, target) || !inSync || !consistent) return;
    const others = this.others(source).filter((other) => other !== target);
    for (const other of others) {
      for (const region of log(source, other)) log(target, other).add(region);
    }
    const from = { node: source.node, generation: source.generations.generation };
    const received = others.map(({ node }) => node);
    target.generations = receiveHandOver(target.generations, from, received);
    this.leaveService(source);
    this.serve(target);
  }

  /** The operator gives up `victim`: what only it holds is not promised to anybody any more. */
  resolve(survivor: Replica, victim: Replica): void {
    const givenUp = victim.generations.generation.current;
    if (givenUp === null || !this.reachable(survivor, victim)) return;
    victim.generations = recordOutOfSync(victim.generations);
    for (const write of victim.includes) {
      if (!survivor.includes.has(write)) this.acknowledged.delete(write);
    }
    this.leaveService(victim);
    const kept = survivor.generations.generation.current;
    for (const replica of this.replicas.filter(
      ({ generations }) => generations.generation.current === kept,
    )) {
      replica.generations = resolveSplitBrain(replica.generations, givenUp);
    }
  }

  #dropSessions(replica: Replica): void {
    for (const other of this.others(replica)) this.sessions.delete(pair(replica, other));
  }
}

export function log(replica: Replica, peer: Replica): Set<number> {
  const marked = replica.logs.get(peer.node);
  if (marked === undefined) throw new Error(`${replica.node} keeps no intent log for ${peer.node}`);
  return marked;
}

const pair = (a: Replica, b: Replica) => [a.node, b.node].sort().join(' ');
