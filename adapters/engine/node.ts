import {
  addPeer,
  addPeerWithCopy,
  forceTakeover,
  recordOutOfSync,
  takeover,
} from '../../domain/generation-state.ts';
import { type Epoch, Generation, type NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import { CompressingLink } from '../link/compressing-link.ts';
import { Deflater, inflated } from '../link/compression-codec.ts';
import type { IncomingMessage, LinkFault } from '../link/link.ts';
import { messageType } from '../link/protocol.ts';
import type { Endpoint } from '../link/transport.ts';
import { seedLogs, startBaseline } from './baseline.ts';
import { aboutReceiver } from './bitmaps.ts';
import { type Notice, PeerSettings, type ResourceSettings } from './control-protocol.ts';
import { HandOver } from './hand-over.ts';
import { sendJson } from './messages.ts';
import { type OpenOrder, openLogs } from './open-replica.ts';
import { corruptFrames, Peer } from './peer.ts';
import type { EnginePorts, Network } from './ports.ts';
import { Promises } from './promises.ts';
import { Refused } from './refusal.ts';
import { type Replica, same } from './replica.ts';
import { allOf, inSequence, type Step } from './sequence.ts';
import { serveRefusal } from './serve-refusal.ts';
import { Source } from './source.ts';
import { StateExchange } from './state-exchange.ts';
import { Target } from './target.ts';

export interface NodeOptions {
  readonly replica: Replica;
  readonly order: OpenOrder;
  readonly settings: ResourceSettings;
  readonly ports: EnginePorts;
  readonly notify: (notice: Notice) => void;
  readonly isAlone: () => boolean;
}

export interface ServeOptions {
  readonly epoch: Epoch;
  readonly force: boolean;
  readonly without: readonly NodeName[];
  readonly readOnly: boolean;
  readonly socket: string;
  readonly tcp: Endpoint | null;
}

/**
 * An open replica among the others: its links, and its role. Roles change only by order; what a peer says can take
 * nothing but the right to be copied to or from.
 */
export class Node {
  readonly replica: Replica;
  readonly peers = new Map<NodeName, Peer>();
  readonly promises: Promises;
  readonly handOver: HandOver;
  settings: ResourceSettings;
  readonly #options: NodeOptions;
  readonly #target: Target;
  #network: Network | null = null;
  #source: Source | null = null;
  readonly #states: StateExchange;
  readonly #deflater = new Deflater();

  constructor(options: NodeOptions) {
    this.#options = options;
    this.replica = options.replica;
    this.settings = options.settings;
    this.#target = new Target(options.replica, options.ports);
    this.#states = new StateExchange(this, options.ports.soon);
    this.promises = new Promises(this, options.ports.clock);
    this.handOver = new HandOver(this);
  }

  get source(): Source | null {
    return this.#source;
  }

  get target(): Target {
    return this.#target;
  }

  get port(): number | null {
    return this.#network?.port ?? null;
  }

  get ports(): EnginePorts {
    return this.#options.ports;
  }

  get lostAfterMs(): number {
    return this.settings.heartbeatMs * this.settings.lostAfter;
  }

  // ---------------------------------------------------------------- links

  /** Listens, and keeps a link to every replica that the metadata know. */
  open(network: Network): void {
    this.#network = network;
    for (const node of Object.keys(this.replica.record.generation.peers) as NodeName[]) {
      this.#addPeer(node, PeerSettings.parse({}), null, network);
    }
  }

  connect(
    node: NodeName,
    endpoints: readonly Endpoint[],
    settings: PeerSettings,
    pauseReason: string | null,
    baseline: boolean,
    done: Done,
  ): void {
    const network = this.#network;
    const known = this.peers.get(node);
    if (known !== undefined) {
      known.settings = settings;
      known.pauseReason = pauseReason;
      known.link.dialTo(endpoints);
      done(null);
      return;
    }
    if (network === null || node === this.replica.node) {
      done(new Refused('unknown-peer', `${node} cannot be a peer of itself`));
      return;
    }
    const { order, ports } = this.#options;
    const intentLog = order.intentLogs === 'none' ? 'none' : 'kept';
    inSequence(
      [
        (next) => openLogs(this.replica, order, ports, node, next),
        (next) => {
          const from = baseline ? seedLogs(this.replica, node, order.baseline !== undefined) : null;
          this.replica.update(
            (record) =>
              from === null ? addPeer(record, node, intentLog) : addPeerWithCopy(record, node, from),
            next,
          );
        },
      ],
      (error) => {
        if (error === null) {
          const peer = this.#addPeer(node, settings, pauseReason, network);
          peer.link.dialTo(endpoints);
          // Nothing was ever acknowledged with it: nothing waits for it before its first resync.
          this.#source?.add(peer, false);
        }
        done(error);
      },
    );
  }

  startBaseline(done: Done): void {
    const { order, ports } = this.#options;
    startBaseline(this.replica, order, ports, this.#source?.path ?? null, done);
  }

  disconnect(node: NodeName, done: Done): void {
    const peer = this.peers.get(node);
    if (peer === undefined) {
      done(null);
      return;
    }
    const forget: Step = (next) => {
      this.peers.delete(node);
      this.#source?.remove(node);
      this.#network?.forget(peer.link.inner);
      peer.link.close();
      next(null);
    };
    const closeLogs = this.replica.volumes.map(
      (volume): Step =>
        (next) => {
          const log = volume.logs.get(node);
          volume.removeLog(node);
          if (log === undefined) next(null);
          else log.close(next);
        },
    );
    const record: Step = (next) =>
      this.replica.update((value) => {
        const { [node]: _, ...peers } = value.generation.peers;
        return { ...value, generation: { ...value.generation, peers } };
      }, next);
    // What waits for it must not be acknowledged by its disappearance alone.
    const declare: Step = (next) => {
      const mirror = this.#source?.mirrors.get(node);
      if (mirror === undefined) next(null);
      else mirror.peerLost(next);
    };
    inSequence([declare, forget, ...closeLogs, record], done);
  }

  #addPeer(node: NodeName, settings: PeerSettings, pauseReason: string | null, network: Network): Peer {
    const peer = new Peer(node, settings, pauseReason);
    const link = network.link(node, {
      established: () => this.#established(peer),
      received: (message) => this.#received(peer, message),
      drained: () => undefined,
      ended: (fault) => this.#ended(peer, fault),
      refused: () => undefined,
    });
    peer.attach(new CompressingLink(link, this.#deflater, () => peer.settings.compress));
    this.peers.set(node, peer);
    link.open();
    return peer;
  }

  #established(peer: Peer): void {
    this.#options.notify({ notice: 'connected', peer: peer.node });
    this.#states.begin(peer);
  }

  #ended(peer: Peer, fault: LinkFault): void {
    peer.theirs = null;
    peer.logs.clear();
    const { notify } = this.#options;
    if (fault.startsWith('bad-')) {
      const count = corruptFrames(peer);
      notify({ notice: 'link-corruption', peer: peer.node, count });
    }
    notify({ notice: 'disconnected', peer: peer.node, because: fault });
    this.#source?.mirrors.get(peer.node)?.sessionEnded();
    this.#target.sessionEnded(peer);
    this.handOver.sessionEnded(peer);
    this.promises.sessionEnded(peer);
  }

  #received(peer: Peer, message: IncomingMessage): void {
    const plain = inflated(message);
    if (plain === null) message.release();
    if (plain === null || !this.#dispatch(peer, plain)) peer.link.drop();
  }

  /** False: the peer contradicts itself. */
  #dispatch(peer: Peer, message: IncomingMessage): boolean {
    switch (message.type) {
      case messageType.state:
        return this.#state(peer, message);
      case messageType['promise-request']:
      case messageType.promise:
        return this.promises.received(peer, message);
      case messageType['hand-over']:
      case messageType['hand-over-ready']:
        return this.handOver.received(peer, message);
      case messageType.bitmap:
        if (message.flags !== aboutReceiver) return peer.logs.add(this.replica, message);
        return this.#source?.received(peer.node, message) ?? true;
      case messageType.ack:
      case messageType.flushed:
      case messageType.compared:
      case messageType.recorded:
      case messageType.refused:
      case messageType['generation-stored']:
      case messageType['resync-finished']:
        return this.#source?.received(peer.node, message) ?? true;
      default:
        if (this.#source === null) return this.#target.received(peer, message);
        // Another source speaks to this one as if it were its target.
        message.release();
        return true;
    }
  }

  #state(peer: Peer, message: IncomingMessage): boolean {
    if (!this.#states.received(peer, message)) return false;
    if (peer.isResumeDue && peer.theirs?.role === 'target') this.resumePeer(peer);
    this.#source?.mirrors.get(peer.node)?.consider();
    return true;
  }

  resumePeer(peer: Peer): void {
    peer.isResumeDue = false;
    sendJson(peer.link, 'resume', this.replica.record.epoch, 0, { reason: '' });
  }

  /** After every durable change: the peers hear it if it concerns them. */
  changed(): void {
    this.#states.changed();
  }

  // ---------------------------------------------------------------- roles

  serve(options: ServeOptions, done: Done): void {
    const { epoch, force, without, readOnly, socket, tcp } = options;
    if (this.#source !== null) {
      const { epoch: served } = this.#source;
      done(served === epoch ? null : new Refused('is-source', `${this.replica.node} serves epoch ${served}`));
      return;
    }
    const refusal = serveRefusal(this.replica, this.peers.values(), epoch, force);
    if (refusal !== null) {
      done(refusal);
      return;
    }
    const { replica } = this;
    const generation = Generation.parse(replica.freshGeneration());
    inSequence(
      [
        // 1. Nothing of the former source is being written any more.
        (next) => this.#target.stop(() => next(null)),
        // 2. The reign is durable before anything is served in it.
        (next) =>
          replica.observe(
            { type: 'served', epoch, forced: force },
            (record) => ({
              ...(record.consistent ? takeover(record, without) : forceTakeover(record, without, generation)),
              role: 'source',
              epoch,
              crashedSource: true,
              lastOwner: true,
              dataCorrupt: false,
              handedTo: null,
              paused: null,
            }),
            next,
          ),
        // 3. Everybody else may believe that it is in sync, unless it is known to know better.
        (next) => {
          const source = this.#newSource(epoch, readOnly);
          this.#source = source;
          for (const peer of this.peers.values()) source.add(peer, !without.includes(peer.node));
          this.changed();
          // 4. Only now a client may come.
          this.#options.ports.exports.offer(source.exports, socket, tcp, (error) => {
            if (error === null) next(null);
            else this.#stopServing(source, () => next(error));
          });
        },
      ],
      done,
    );
  }

  #newSource(epoch: Epoch, readOnly: boolean): Source {
    const { notify, isAlone, ports } = this.#options;
    const settings = () => this.settings;
    this.#deflater.forget();
    return new Source({
      replica: this.replica,
      epoch,
      readOnly,
      clock: ports.clock,
      settings,
      notify,
      isAlone,
    });
  }

  becomeTarget(epoch: Epoch, done: Done): void {
    if (this.#source !== null) {
      done(new Refused('is-source', `${this.replica.node} serves epoch ${this.#source.epoch}`));
      return;
    }
    this.replica.update(
      (record) => ({ ...record, role: 'target', epoch: Math.max(record.epoch, epoch) }),
      done,
    );
  }

  leaveService(abandon: boolean, done: Done): void {
    const source = this.#source;
    if (source === null) this.#stopFollowing(done);
    else if (abandon) this.#abandonReign(source, done);
    else this.#stopServing(source, done);
  }

  /**
   * What is in flight may wait for a peer that serves itself and will never answer: it is refused, and counts as in a
   * crash, as it may have reached one disk and not the other (`crashedSource` stays).
   */
  #abandonReign({ epoch }: Source, done: Done): void {
    inSequence(
      [
        (next) => this.endReign(next),
        (next) =>
          this.replica.observe(
            { type: 'left-service', epoch },
            (record) => ({ ...record, role: 'none' }),
            next,
          ),
      ],
      done,
    );
  }

  #stopServing(source: Source, done: Done): void {
    const { replica } = this;
    const { epoch } = source;
    inSequence(
      [
        (next) => source.drain(next),
        (next) =>
          replica.observe(
            { type: 'left-service', epoch },
            (record) => ({ ...record, role: 'none', crashedSource: false }),
            next,
          ),
        (next) => this.endReign(next),
      ],
      (error) => {
        if (error !== null && this.#source === source) source.resume();
        done(error);
      },
    );
  }

  /** The metadata say already that this node does not serve any more. */
  endReign(done: Done): void {
    const source = this.#source;
    if (source === null) {
      done(null);
      return;
    }
    source.close();
    this.#source = null;
    this.changed();
    this.#options.ports.exports.withdraw(source.exports, done);
  }

  /** A target that goes while its source writes says so first: the source goes on at once, without it. */
  #stopFollowing(done: Done): void {
    const { replica } = this;
    const { role, inSync, epoch } = replica.record;
    if (role === 'none') {
      done(null);
      return;
    }
    const follows = this.#target.source;
    const isLeaving = follows !== null && inSync;
    const observation = {
      type: 'out-of-sync',
      source: follows,
      epoch,
      because: 'it stopped following',
    } as const;
    const flushes = replica.volumes.map(
      ({ device }): Step =>
        (next) =>
          device.flush(next),
    );
    inSequence(
      [
        (next) => this.#target.stop(() => next(null)),
        (next) => allOf(flushes, next),
        (next) =>
          isLeaving
            ? replica.observe(observation, (record) => ({ ...record, role: 'none', inSync: false }), next)
            : replica.update((record) => ({ ...record, role: 'none' }), next),
      ],
      done,
    );
  }

  /** Asked over another path than the link; what is still on its way there must not undo it. */
  recordOutOfSync(source: NodeName, epoch: Epoch, done: Done): void {
    const { replica } = this;
    if (this.#source !== null) {
      done(new Refused('is-source', `${replica.node} serves epoch ${this.#source.epoch}`));
      return;
    }
    if (epoch < replica.record.epoch) {
      done(new Refused('stale-epoch', `${replica.node} knows of epoch ${replica.record.epoch}`));
      return;
    }
    this.#target.stop(() => undefined);
    this.peers.get(source)?.link.drop();
    if (!replica.record.inSync) {
      done(null);
      return;
    }
    const because = 'asked by the source over the bus';
    replica.observe({ type: 'out-of-sync', source, epoch, because }, recordOutOfSync, done);
  }

  /** Ends when the target has recorded it, or at once while it is away: then it hears of it when it comes back. */
  pause(peer: Peer, reason: string, done: Done): void {
    if (peer.pausing !== null && peer.pauseReason === reason) {
      peer.pausing.push(done);
      return;
    }
    if (peer.pauseReason !== null) {
      done(new Refused('already-paused', `the mirror to ${peer.node} is paused: ${peer.pauseReason}`));
      return;
    }
    peer.pauseReason = reason;
    peer.isResumeDue = false;
    peer.pausing = [done];
    const paused: Done = (error) => {
      const waiting = peer.pausing ?? [];
      peer.pausing = null;
      for (const waiter of waiting) waiter(error);
    };
    this.replica.observe({ type: 'paused', peer: peer.node, reason }, same, (error) => {
      const mirror = this.#source?.mirrors.get(peer.node);
      if (error !== null || mirror === undefined || peer.theirs?.role !== 'target') paused(error);
      else mirror.pause(reason, paused);
    });
  }

  resume(peer: Peer, done: Done): void {
    const isPaused = peer.pauseReason !== null || (peer.theirs !== null && peer.theirs.paused !== null);
    if (!isPaused) {
      done(new Refused('not-paused', `the mirror to ${peer.node} is not paused`));
      return;
    }
    peer.pauseReason = null;
    peer.isResumeDue = true;
    this.replica.observe({ type: 'resumed', peer: peer.node }, same, (error) => {
      if (error === null && peer.theirs?.role === 'target') this.resumePeer(peer);
      done(error);
    });
  }

  close(done: Done): void {
    for (const peer of this.peers.values()) peer.link.close();
    this.#network?.close();
    const logs = this.replica.volumes.flatMap(({ logs }) => [...logs.values()]);
    const closing = [
      ...logs.map(
        (log): Step =>
          (next) =>
            log.close(next),
      ),
      ...this.replica.volumes.map(
        ({ device }): Step =>
          (next) =>
            device.close(next),
      ),
      (next: Done) => this.replica.close(next),
      (next: Done) => this.#options.ports.storage.release(this.#options.order.folder, next),
    ];
    allOf(closing, done);
  }
}
