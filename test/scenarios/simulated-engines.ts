import type { Engine, EngineListener, Engines, OrderBody } from '../../adapters/agent/ports.ts';
import { OrderRefused } from '../../adapters/agent/ports.ts';
import type { Clock } from '../../adapters/engine/clock.ts';
import type {
  EngineStatus,
  NumberedObservation,
  PeerStatus,
} from '../../adapters/engine/control-protocol.ts';
import { type Generation, type NodeName, regionSize, type Tag } from '../../domain/vocabulary.ts';

type WithoutNumber<T> = T extends unknown ? Omit<T, 'observation' | 'at'> : never;
type Observed = WithoutNumber<NumberedObservation>;

interface PeerRecord {
  /** Regions that may differ, as this side knows. */
  readonly dirty: Set<number>;
  outOfSync: boolean;
  paused: string | null;
  connected: boolean;
  resyncing: boolean;
  full: boolean;
  /** Ordered whatever the generations say: the peer is the victim of a split brain, or everything is wanted. */
  forced: boolean;
  heardAt: number | null;
}

/** What a replica has on its disk: it outlives the engine's process. */
export interface SimulatedReplica {
  readonly node: NodeName;
  readonly tag: Tag;
  readonly regions: number;
  readonly image: Map<number, string>;
  readonly peers: Map<NodeName, PeerRecord>;
  ancestors: string[];
  generation: string | null;
  epoch: number;
  promised: number;
  inSync: boolean;
  consistent: boolean;
  lastOwner: boolean;
  dataCorrupt: boolean;
  handedTo: { node: NodeName; epoch: number } | null;
  observations: NumberedObservation[];
  next: number;
  // Volatile.
  running: boolean;
  open: boolean;
  role: 'source' | 'target' | 'none';
  serving: boolean;
  /** Its disk has failed it; a new process may find it well again, unless it is `broken`. */
  failed: string | null;
  broken: boolean;
  /** NBD clients that have the device open. */
  clients: number;
  following: number;
  listener: EngineListener | null;
}

/**
 * Engines without bytes: the orders, observations and rules of real ones over a model of what is written where. All
 * engines of a cluster live in one yard, which also says who can reach whom.
 */
export class EngineYard {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly replicas = new Map<string, SimulatedReplica>();
  /** Whether a link between two nodes carries anything. */
  reaches: (a: NodeName, b: NodeName) => boolean = () => true;
  /** Resyncs stand still while this is set: scenarios look at what is refused meanwhile. */
  holdResyncs = false;
  /** An engine that refuses one kind of order. */
  refuses: { node: NodeName; order: string; code: string } | null = null;
  /** Called around each order; what it throws is what becomes of the order. */
  onOrder: (node: NodeName, order: string, when: 'before' | 'after') => void = () => {};
  #generations = 0;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.clock = clock;
  }

  enginesOf(node: NodeName): Engines {
    return {
      run: async (tag, listener) => {
        const replica = this.#replica(node, tag);
        const adopted = replica.running;
        replica.running = true;
        replica.listener = listener;
        for (const observation of replica.observations) listener.observed(observation);
        return { engine: this.#engine(replica), adopted };
      },
      kill: async (tag) => this.kill(node, tag),
      home: (tag) => ({
        folder: `/sim/${node}/${tag}`,
        wasOpened:
          this.replicas.get(`${node}/${tag}`)?.generation !== undefined &&
          (this.replicas.get(`${node}/${tag}`)?.next ?? 1) > 0 &&
          this.#wasOpened.has(`${node}/${tag}`),
      }),
      noteOpened: (tag) => this.#wasOpened.add(`${node}/${tag}`),
      forget: (tag) => {
        this.#wasOpened.delete(`${node}/${tag}`);
        this.replicas.delete(`${node}/${tag}`);
      },
    };
  }

  readonly #wasOpened = new Set<string>();
  /** Each split is told once per pair and generation. */
  readonly #splitSeen = new Set<string>();

  /** The process ends; its disk stays. */
  kill(node: NodeName, tag: Tag): void {
    const replica = this.replicas.get(`${node}/${tag}`);
    if (!replica?.running) return;
    const { listener } = replica;
    Object.assign(replica, {
      running: false,
      open: false,
      role: 'none',
      serving: false,
      failed: null,
      clients: 0,
      listener: null,
    });
    for (const peer of replica.peers.values())
      Object.assign(peer, { connected: false, resyncing: false, heardAt: null });
    listener?.gone();
  }

  /** Its disk fails, once or for good. */
  failDisk(node: NodeName, tag: Tag, broken: boolean): void {
    const replica = this.replicas.get(`${node}/${tag}`);
    if (!replica) return;
    Object.assign(replica, { failed: 'EIO', broken });
    this.#observe(replica, { type: 'disk-failed', volume: 'data' as never, code: 'EIO', during: 'write' });
  }

  /** That many NBD clients have the device open. */
  open(node: NodeName, tag: Tag, clients: number): void {
    const replica = this.replicas.get(`${node}/${tag}`);
    if (replica) replica.clients = clients;
  }

  /** The agent is gone: the engine goes on without a listener. */
  orphan(node: NodeName): void {
    for (const replica of this.replicas.values()) if (replica.node === node) replica.listener = null;
  }

  /** The application writes to the device: acknowledged, or refused because nobody serves. */
  write(node: NodeName, tag: Tag, region: number, content: string): boolean {
    const source = this.replicas.get(`${node}/${tag}`);
    if (!source?.serving) return false;
    const targets = [...source.peers].map(([name, record]) => ({
      record,
      name,
      replica: this.replicas.get(`${name}/${tag}`),
    }));
    const waits = targets.filter(({ record }) => !record.outOfSync);
    if (waits.some(({ record }) => !record.connected)) return false;
    if (targets.some(({ record }) => record.outOfSync) && needsGeneration(source))
      this.#startGeneration(source);
    source.image.set(region, content);
    for (const { record, replica } of targets) {
      if (record.outOfSync) record.dirty.add(region);
      if (record.connected && (!record.outOfSync || record.resyncing) && replica)
        replica.image.set(region, content);
      if (!record.outOfSync && replica)
        Object.assign(replica, { generation: source.generation, ancestors: [...source.ancestors] });
      else replica?.peers.get(source.node)?.dirty.add(-1);
    }
    return true;
  }

  #startGeneration(source: SimulatedReplica): void {
    this.#generations += 1;
    const generation = this.#generations.toString(16).padStart(16, '0');
    const before = source.generation;
    if (before !== null) source.ancestors.push(before);
    source.generation = generation;
    const absent = [...source.peers].filter(([, { outOfSync }]) => outOfSync).map(([name]) => name);
    this.#observe(source, {
      type: 'generation-started',
      generation: generation as Generation,
      before: before as Generation | null,
      absent,
    });
    fresh.set(source, new Set(absent));
  }

  /** Links come and go, lost peers are given up, resyncs go on. Called by the world as time passes. */
  tick(): void {
    for (const replica of this.replicas.values())
      for (const [name] of replica.peers) this.#link(replica, name);
    for (const replica of this.replicas.values()) if (replica.serving) this.#replicate(replica);
  }

  #link(replica: SimulatedReplica, name: NodeName): void {
    const record = replica.peers.get(name);
    const peer = this.replicas.get(`${name}/${replica.tag}`);
    if (!record) return;
    const up =
      replica.open && peer?.open === true && peer.peers.has(replica.node) && this.reaches(replica.node, name);
    if (up) record.heardAt = this.clock.nowMs();
    if (up === record.connected) return;
    record.connected = up;
    if (!up && record.resyncing) {
      record.resyncing = false;
      if (replica.serving)
        this.#observe(replica, {
          type: 'resync-interrupted',
          peer: name,
          bytesLeft: record.dirty.size * regionSize,
        });
    }
    replica.listener?.noticed(
      up ? { notice: 'connected', peer: name } : { notice: 'disconnected', peer: name, because: 'timed-out' },
    );
    if (!up && replica.serving && !record.outOfSync)
      replica.listener?.noticed({ notice: 'stalled', peer: name, because: 'disconnected' });
  }

  #replicate(source: SimulatedReplica): void {
    for (const [name, record] of source.peers) {
      const target = this.replicas.get(`${name}/${source.tag}`);
      if (!record.connected || !target || target.role !== 'target' || target.following < source.epoch)
        continue;
      if (record.paused !== null || !record.outOfSync) continue;
      if (record.resyncing) {
        if (!this.holdResyncs) this.#finishResync(source, target, record);
        continue;
      }
      this.#meet(source, target, record);
    }
  }

  #meet(source: SimulatedReplica, target: SimulatedReplica, record: PeerRecord): void {
    const back = target.peers.get(source.node);
    const brandNew = target.generation === null;
    const sameGeneration = target.generation === source.generation;
    const older = target.generation !== null && source.ancestors.includes(target.generation);
    if (!brandNew && !sameGeneration && !older && !record.forced) {
      if (!this.#splitSeen.has(`${source.node}${target.node}${source.generation}`)) {
        this.#splitSeen.add(`${source.node}${target.node}${source.generation}`);
        this.#observe(source, { type: 'split-brain', peer: target.node, since: null });
      }
      return;
    }
    const kind = brandNew || record.full ? 'full' : 'partial';
    const theirs = back?.dirty ?? new Set<number>();
    const regions =
      kind === 'full'
        ? source.regions
        : new Set([...record.dirty, ...theirs].filter((region) => region >= 0)).size;
    if (kind === 'partial' && regions === 0 && sameGeneration && target.consistent) {
      this.#inSync(source, target, record);
      return;
    }
    record.resyncing = true;
    target.inSync = false;
    target.consistent = false;
    sizes.set(record, { kind, bytes: regions * regionSize });
    this.#observe(source, {
      type: 'resync-started',
      peer: target.node,
      kind,
      row: 'simulated',
      bytes: regions * regionSize,
    });
  }

  #finishResync(source: SimulatedReplica, target: SimulatedReplica, record: PeerRecord): void {
    const { kind, bytes } = sizes.get(record) ?? { kind: 'full' as const, bytes: 0 };
    target.image.clear();
    for (const [region, content] of source.image) target.image.set(region, content);
    this.#inSync(source, target, record);
    this.#observe(source, { type: 'resync-completed', peer: target.node, kind, bytes });
  }

  #inSync(source: SimulatedReplica, target: SimulatedReplica, record: PeerRecord): void {
    record.resyncing = false;
    record.outOfSync = false;
    record.full = false;
    record.forced = false;
    record.dirty.clear();
    target.peers.get(source.node)?.dirty.clear();
    const back = target.peers.get(source.node);
    if (back) back.outOfSync = false;
    if (source.generation === null) this.#startFirst(source);
    Object.assign(target, {
      inSync: true,
      consistent: true,
      generation: source.generation,
      ancestors: [...source.ancestors],
      handedTo: null,
    });
  }

  #startFirst(source: SimulatedReplica): void {
    this.#generations += 1;
    source.generation = this.#generations.toString(16).padStart(16, '0');
  }

  #observe(replica: SimulatedReplica, observed: Observed): void {
    const observation = { observation: replica.next++, at: 0, ...observed } as NumberedObservation;
    replica.observations.push(observation);
    replica.listener?.observed(observation);
  }

  #giveUp(replica: SimulatedReplica, name: NodeName, because: 'recorded' | 'lost' | 'paused'): void {
    const record = replica.peers.get(name);
    if (!record || record.outOfSync) return;
    record.outOfSync = true;
    if (replica.serving) {
      this.#observe(replica, {
        type: 'peer-out-of-sync',
        peer: name,
        since: replica.generation as Generation | null,
        because,
      });
    }
  }

  #replica(node: NodeName, tag: Tag): SimulatedReplica {
    const key = `${node}/${tag}`;
    const known = this.replicas.get(key);
    if (known) return known;
    const replica: SimulatedReplica = {
      node,
      tag,
      regions: 16,
      image: new Map(),
      peers: new Map(),
      ancestors: [],
      generation: null,
      epoch: 0,
      promised: 0,
      inSync: false,
      consistent: false,
      lastOwner: false,
      dataCorrupt: false,
      handedTo: null,
      observations: [],
      next: 1,
      running: false,
      open: false,
      role: 'none',
      serving: false,
      failed: null,
      broken: false,
      clients: 0,
      following: 0,
      listener: null,
    };
    this.replicas.set(key, replica);
    return replica;
  }

  #engine(replica: SimulatedReplica): Engine {
    return {
      order: async (order) => {
        if (!replica.running) throw new OrderRefused('engine-gone', 'the engine is gone');
        this.onOrder(replica.node, order.order, 'before');
        if (this.refuses?.node === replica.node && this.refuses.order === order.order)
          throw new OrderRefused(this.refuses.code, `${replica.node} cannot ${order.order}`);
        const answer = this.#carryOut(replica, order);
        this.onOrder(replica.node, order.order, 'after');
        return answer;
      },
      status: async () => {
        if (!replica.running) throw new OrderRefused('engine-gone', 'the engine is gone');
        return this.#status(replica);
      },
    };
  }

  #carryOut(replica: SimulatedReplica, order: OrderBody): Readonly<Record<string, unknown>> {
    const ok = { ok: true };
    switch (order.order) {
      case 'open':
        if (replica.broken) throw new OrderRefused('device-failed', 'EIO');
        if (order.create && order.isFirst) Object.assign(replica, { inSync: true, consistent: true });
        if (order.create && order.isFirst && replica.generation === null) this.#startFirst(replica);
        replica.open = true;
        return ok;
      case 'connect': {
        const peer = order.peer as NodeName;
        if (!replica.peers.has(peer)) {
          const first = replica.inSync && replica.next === 1;
          replica.peers.set(peer, {
            dirty: new Set(),
            outOfSync: true,
            paused: null,
            connected: false,
            resyncing: false,
            full: first,
            forced: false,
            heardAt: null,
          });
        }
        return ok;
      }
      case 'disconnect':
        replica.peers.delete(order.peer as NodeName);
        return ok;
      case 'serve':
        return this.#serve(replica, order.epoch, order.force === true);
      case 'become-target': {
        if (replica.serving) throw new OrderRefused('is-source', 'it serves');
        if (order.epoch < replica.promised)
          throw new OrderRefused('stale-epoch', `epoch ${replica.promised} is promised`);
        Object.assign(replica, {
          role: 'target',
          following: order.epoch,
          epoch: Math.max(replica.epoch, order.epoch),
        });
        return ok;
      }
      case 'leave-service':
        Object.assign(replica, { role: 'none', serving: false, clients: 0 });
        return ok;
      case 'hand-over':
        return this.#handOver(replica, order.to as NodeName, order.epoch);
      case 'take-back':
        if (replica.handedTo?.epoch === order.epoch) replica.handedTo = null;
        return ok;
      case 'pause':
        return this.#pause(replica, order.peer as NodeName, order.reason);
      case 'resume': {
        const record = replica.peers.get(order.peer as NodeName);
        if (record) record.paused = null;
        return ok;
      }
      case 'resync': {
        const record = replica.peers.get(order.peer as NodeName);
        if (record)
          Object.assign(record, {
            full: order.kind === 'full',
            forced: order.force === true,
            outOfSync: true,
            resyncing: false,
          });
        return ok;
      }
      case 'peer-lost':
        this.#giveUp(replica, order.peer as NodeName, 'lost');
        return ok;
      case 'peer-recorded-out-of-sync':
        this.#giveUp(replica, order.peer as NodeName, 'recorded');
        return ok;
      case 'record-out-of-sync':
        if (replica.role === 'target' && order.epoch >= replica.following) {
          replica.inSync = false;
          this.#observe(replica, {
            type: 'out-of-sync',
            source: order.source as NodeName,
            epoch: order.epoch,
            because: 'asked by the source',
          });
        }
        return ok;
      case 'promise':
        this.#promise(replica, order.epoch, order.to as NodeName);
        return ok;
      case 'ask-promise':
        return this.#askPromise(replica, order.peer as NodeName, order.epoch);
      case 'flags':
        Object.assign(replica, {
          lastOwner: order.lastOwner ?? replica.lastOwner,
          dataCorrupt: order.dataCorrupt ?? replica.dataCorrupt,
        });
        return ok;
      case 'acknowledge':
        replica.observations = replica.observations.filter(
          ({ observation }) => observation > order.observation,
        );
        return ok;
      case 'stop':
        this.kill(replica.node, replica.tag);
        return ok;
      default:
        return ok;
    }
  }

  #serve(replica: SimulatedReplica, epoch: number, force: boolean) {
    if (replica.handedTo !== null && !force)
      throw new OrderRefused('handed-over', `it was handed to ${replica.handedTo.node}`);
    if (!force && (!replica.consistent || !replica.inSync))
      throw new OrderRefused('target-out-of-sync', 'it is out of sync');
    if (epoch < replica.epoch) throw new OrderRefused('stale-epoch', `epoch ${replica.epoch} is known`);
    Object.assign(replica, {
      role: 'source',
      serving: true,
      epoch,
      promised: Math.max(replica.promised, epoch),
      inSync: true,
      consistent: true,
      handedTo: null,
    });
    for (const record of replica.peers.values()) record.outOfSync = true;
    return { ok: true };
  }

  #promise(replica: SimulatedReplica, epoch: number, to: NodeName): void {
    if (epoch <= replica.promised && epoch <= replica.epoch)
      throw new OrderRefused('stale-epoch', 'promised');
    if (replica.promised === epoch) return;
    replica.promised = epoch;
    this.#observe(replica, { type: 'promised', to, epoch });
  }

  /** The peer's engine answers by itself. */
  #askPromise(replica: SimulatedReplica, peer: NodeName, epoch: number) {
    const asked = this.replicas.get(`${peer}/${replica.tag}`);
    if (!asked || !replica.peers.get(peer)?.connected)
      throw new OrderRefused('target-unreachable', 'the link is silent');
    const source = [...asked.peers].find(
      ([name, { connected }]) => connected && this.replicas.get(`${name}/${replica.tag}`)?.serving,
    );
    const highest = Math.max(asked.epoch, asked.promised);
    const code = asked.serving || source ? 'source-alive' : epoch <= highest ? 'stale-epoch' : null;
    if (code === null) this.#promise(asked, epoch, replica.node);
    return { ok: true, promised: code === null, highest: Math.max(asked.epoch, asked.promised), code };
  }

  #handOver(replica: SimulatedReplica, to: NodeName, epoch: number) {
    const target = this.replicas.get(`${to}/${replica.tag}`);
    const record = replica.peers.get(to);
    if (!target || !record?.connected) throw new OrderRefused('target-unreachable', `${to} is not connected`);
    for (const [name, { dirty }] of replica.peers)
      if (name !== to) for (const region of dirty) target.peers.get(name)?.dirty.add(region);
    Object.assign(replica, { handedTo: { node: to, epoch }, serving: false, clients: 0, role: 'none' });
    return { ok: true };
  }

  #pause(replica: SimulatedReplica, peer: NodeName, reason: string) {
    const record = replica.peers.get(peer);
    if (!record) return { ok: true };
    this.#giveUp(replica, peer, 'paused');
    record.paused = reason;
    record.resyncing = false;
    return { ok: true };
  }

  #status(replica: SimulatedReplica): EngineStatus {
    const peers = [...replica.peers].map(
      ([name, record]): PeerStatus => ({
        peer: name,
        connected: record.connected,
        heardMsAgo: record.heardAt === null ? null : this.clock.nowMs() - record.heardAt,
        mode: 'sync',
        status: !replica.serving
          ? null
          : record.paused !== null
            ? 'paused'
            : record.resyncing
              ? 'resyncing'
              : record.outOfSync
                ? 'out-of-sync'
                : 'fully-operational',
        refusal: null,
        theirs: null,
        dirtyRegions: record.dirty.size,
        regions: replica.regions,
        queuedWrites: 0,
        queuedBytes: 0,
        waitingMs: 0,
        congested: false,
        percent: null,
        speedBytesPerSecond: null,
        etaSeconds: null,
        corruptFrames: 0,
        sessions: 1,
      }),
    );
    const {
      node,
      tag,
      role,
      serving,
      epoch,
      promised,
      lastOwner,
      dataCorrupt,
      inSync,
      consistent,
      handedTo,
    } = replica;
    return {
      open: replica.open,
      pid: 1,
      replica: replica.open
        ? {
            cluster: 'scenario',
            tag,
            resource: 'r',
            node,
            volumes: [],
            role,
            serving,
            epoch,
            promised,
            lastOwner,
            dataCorrupt,
            inSync,
            consistent,
            handedTo,
            exports: serving
              ? [{ volume: 'data' as never, uri: `nbd+unix:///data@${epoch}?socket=/sim/${node}/nbd.sock` }]
              : [],
            clients: serving ? [{ volume: 'data' as never, connections: replica.clients }] : [],
            paused: null,
            resyncing: null,
            generation: replica.generation as Generation | null,
            baseline: null,
            failed: replica.failed,
            journalHead: null,
            port: 1,
            writesInFlight: 0,
          }
        : null,
      peers,
      observations: { next: replica.next, pending: replica.observations.length },
    };
  }
}

const fresh = new WeakMap<SimulatedReplica, Set<NodeName>>();
const sizes = new WeakMap<PeerRecord, { kind: 'full' | 'partial'; bytes: number }>();

/** A new generation begins with the first write after more peers are away than when the present one began. */
function needsGeneration(source: SimulatedReplica): boolean {
  const known = fresh.get(source);
  return [...source.peers].some(([name, { outOfSync }]) => outOfSync && !known?.has(name));
}
