import { markClean, markDirty } from '../../domain/generation-state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { LinkTimings } from '../link/link.ts';
import {
  type EngineStatus,
  type Examination,
  type Notice,
  type NumberedObservation,
  type Observation,
  type Order,
  type OrderName,
  type OrderRefusal,
  orderRefusals,
  PeerSettings,
  ResourceSettings,
} from './control-protocol.ts';
import { statusOf } from './engine-status.ts';
import { Node } from './node.ts';
import { ObservationFeed, withAcknowledged } from './observations.ts';
import { openReplica } from './open-replica.ts';
import type { Peer } from './peer.ts';
import type { EnginePorts } from './ports.ts';
import { Refused } from './refusal.ts';
import { codeOf, type Replica, same, withIntentLog } from './replica.ts';
import { allOf, inSequence, type Step } from './sequence.ts';

/** What an order ends with: `ok` and what it asked for, or why nothing was done. */
export type Outcome =
  | ({ readonly ok: true } & Readonly<Record<string, unknown>>)
  | { readonly ok: false; readonly code: OrderRefusal; readonly message: string };
type Reply = (outcome: Outcome) => void;
type OrderOf<Name extends OrderName> = Extract<Order, { order: Name }>;

export interface EngineOptions {
  readonly ports: EnginePorts;
  readonly pid: number;
  /** Where the NBD exports lie unless an order says otherwise. */
  readonly socket: string;
  /** Observations and notices, to whoever controls this engine at the moment. */
  readonly push: (line: NumberedObservation | Notice) => void;
  /** A controller is alive: it decides who is lost. */
  readonly isControlled: () => boolean;
}

/**
 * One resource on one node, as the control socket sees it: takes orders, one role change at a time, and tells what
 * happens. It needs no controller to keep its promises (REQUIREMENTS 2.3).
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #feed: ObservationFeed;
  #node: Node | null = null;
  #isOpening = false;
  /** Role changes wait for each other. */
  readonly #changes: (() => void)[] = [];
  #isChanging = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#feed = new ObservationFeed((record) => options.push(record as unknown as NumberedObservation));
  }

  get node(): Node | null {
    return this.#node;
  }

  /** A new controller hears everything that is not acknowledged. */
  controllerCame(): void {
    this.#feed.restart();
    if (this.#node !== null) this.#feed.tell(this.#node.replica.record);
  }

  status(): EngineStatus {
    const { pid, ports } = this.#options;
    return statusOf(this.#node, pid, ports);
  }

  order(order: Order, reply: Reply): void {
    switch (order.order) {
      case 'open':
        this.#open(order, reply);
        return;
      case 'status':
        reply({ ok: true, status: this.status() });
        return;
      case 'ping':
        reply({ ok: true });
        return;
      case 'stop':
        this.#stop(reply);
        return;
      default:
        if (this.#node === null) refuse(reply, new Refused('not-open', 'no replica is open here'));
        else this.#orderOpen(this.#node, order, reply);
    }
  }

  #orderOpen(
    node: Node,
    order: Exclude<Order, { order: 'open' | 'status' | 'ping' | 'stop' }>,
    reply: Reply,
  ): void {
    const { replica } = node;
    const done = answer(reply);
    switch (order.order) {
      case 'connect': {
        const { peer, endpoints, settings, pauseReason, baseline } = order;
        node.connect(peer, endpoints, PeerSettings.parse(settings ?? {}), pauseReason, baseline, done);
        return;
      }
      case 'disconnect':
        this.#change((next) => node.disconnect(order.peer, next), done);
        return;
      case 'serve':
        this.#serve(node, order, reply);
        return;
      case 'become-target':
        this.#change((next) => node.becomeTarget(order.epoch, next), done);
        return;
      case 'leave-service':
        // A hand-over in front of it may wait for the very writes that are to be refused.
        if (order.abandon) node.source?.close();
        this.#change((next) => node.leaveService(order.abandon, next), done);
        return;
      case 'hand-over':
        this.#change((next) => node.handOver.start(order.to, order.epoch, next), done);
        return;
      case 'take-back':
        this.#takeBack(replica, order, done);
        return;
      case 'promise':
        this.#change(
          (next) => node.promises.promise(order.epoch, order.to, next),
          (error) =>
            error === null ? reply({ ok: true, highest: node.promises.highest }) : refuse(reply, error),
        );
        return;
      case 'record-out-of-sync':
        this.#change((next) => node.recordOutOfSync(order.source, order.epoch, next), done);
        return;
      case 'settings':
        this.#settings(node, order, reply);
        return;
      case 'flags': {
        const { lastOwner, dataCorrupt } = order;
        replica.update(
          (record) => ({
            ...record,
            lastOwner: lastOwner ?? record.lastOwner,
            dataCorrupt: dataCorrupt ?? record.dataCorrupt,
          }),
          done,
        );
        return;
      }
      case 'journal-head': {
        const { incarnation, sequence, hash } = order;
        replica.update((record) => ({ ...record, journalHead: { incarnation, sequence, hash } }), done);
        return;
      }
      case 'acknowledge':
        replica.update((record) => withAcknowledged(record, order.observation), done);
        return;
      default: {
        if (order.order === 'mark-clean' && order.peer === undefined) {
          this.#change((next) => node.startBaseline(next), done);
          return;
        }
        const peer = order.peer === undefined ? undefined : node.peers.get(order.peer);
        if (peer === undefined)
          refuse(reply, new Refused('unknown-peer', `there is no replica on ${order.peer}`));
        else this.#orderPeer(node, peer, order, reply);
      }
    }
  }

  #orderPeer(
    node: Node,
    peer: Peer,
    order: OrderOf<
      | 'pause'
      | 'resume'
      | 'verify'
      | 'resync'
      | 'peer-recorded-out-of-sync'
      | 'peer-lost'
      | 'ask-promise'
      | 'examine'
      | 'mark-clean'
      | 'mark-dirty'
    >,
    reply: Reply,
  ): void {
    const done = answer(reply);
    const mirror = node.source?.mirrors.get(peer.node);
    switch (order.order) {
      case 'examine':
        reply({ ok: true, ...examine(node.replica, peer.node) });
        return;
      case 'mark-clean':
        this.#mark(node.replica, peer.node, 'marked-clean', done);
        return;
      case 'mark-dirty':
        this.#mark(node.replica, peer.node, 'marked-dirty', done);
        return;
      case 'ask-promise':
        node.promises.ask(peer, order.epoch, (error, promise) =>
          error === null ? reply({ ok: true, ...promise }) : refuse(reply, error),
        );
        return;
      default:
        if (mirror === undefined) {
          refuse(reply, new Refused('not-source', `${node.replica.node} does not serve`));
          return;
        }
    }
    switch (order.order) {
      case 'pause':
        node.pause(peer, order.reason, done);
        return;
      case 'resume':
        node.resume(peer, done);
        return;
      case 'resync':
        if (peer.theirs === null) refuse(reply, new Refused('target-unreachable', `${peer.node} is away`));
        else {
          mirror.order(order.kind, order.force);
          done(null);
        }
        return;
      case 'verify':
        done(mirror.verify());
        return;
      case 'peer-recorded-out-of-sync':
        mirror.peerRecorded(done);
        return;
      case 'peer-lost':
        mirror.peerLost(done);
        return;
      default:
        order satisfies never;
    }
  }

  // ---------------------------------------------------------------- open and stop

  #open(order: OrderOf<'open'>, reply: Reply): void {
    if (this.#node !== null || this.#isOpening) {
      const isSame = this.#node?.replica.record.resource === order.resource;
      if (isSame) reply({ ok: true, port: this.#node?.port ?? null });
      else refuse(reply, new Refused('already-open', 'this engine has another replica open'));
      return;
    }
    this.#isOpening = true;
    const { ports, push, isControlled } = this.#options;
    const settings = ResourceSettings.parse(order.settings ?? {});
    let node: Node | null = null;
    const changed = () => {
      if (node === null) return;
      this.#feed.tell(node.replica.record);
      node.changed();
    };
    const timings: LinkTimings = {
      get pingIntervalMs() {
        return (node?.settings ?? settings).heartbeatMs;
      },
      get timeoutMs() {
        const { heartbeatMs, lostAfter } = node?.settings ?? settings;
        return heartbeatMs * lostAfter;
      },
    };
    openReplica(order, ports, changed, (error, replica) => {
      if (error !== null || replica === null) {
        this.#isOpening = false;
        refuse(reply, error ?? new Refused('device-failed', 'the replica cannot be opened'));
        return;
      }
      const { cluster, tag, resource, listen, keyFile } = order;
      const identity = { cluster, tag, resource, node: order.node };
      ports.openNetwork({ identity, keyFile, timings, listen }, (networkError, network) => {
        this.#isOpening = false;
        const isAlone = () => !isControlled();
        const opened = new Node({ replica, order, settings, ports, notify: push, isAlone });
        if (networkError !== null || network === null) {
          opened.close(() => refuse(reply, networkError ?? new Refused('path-in-use', 'no port')));
          return;
        }
        node = opened;
        this.#node = opened;
        opened.open(network);
        this.#feed.tell(replica.record);
        reply({ ok: true, port: network.port });
      });
    });
  }

  #stop(reply: Reply): void {
    const node = this.#node;
    if (node === null) {
      reply({ ok: true });
      return;
    }
    this.#change(
      (next) =>
        inSequence(
          [
            (step) => node.leaveService(false, step),
            (step) => {
              this.#node = null;
              node.close(step);
            },
          ],
          next,
        ),
      answer(reply),
    );
  }

  // ---------------------------------------------------------------- orders that change the role

  #serve(node: Node, order: OrderOf<'serve'>, reply: Reply): void {
    const { epoch, force, without, readOnly, socket, tcp } = order;
    const options = {
      epoch,
      force,
      without,
      readOnly,
      socket: socket ?? this.#options.socket,
      tcp: tcp ?? null,
    };
    this.#change(
      (next) => node.serve(options, next),
      (error) => {
        const { replica } = this.status();
        if (error === null) reply({ ok: true, exports: replica?.exports ?? [] });
        else refuse(reply, error);
      },
    );
  }

  #takeBack(replica: Replica, { epoch }: OrderOf<'take-back'>, done: Done): void {
    const { handedTo } = replica.record;
    if (handedTo === null || handedTo.epoch === epoch) {
      replica.update((record) => ({ ...record, handedTo: null }), done);
    } else {
      done(new Refused('stale-epoch', `it was handed over for epoch ${handedTo.epoch}`));
    }
  }

  #settings(node: Node, order: OrderOf<'settings'>, reply: Reply): void {
    const { mode, asyncLimit, compress, ...resource } = order.settings;
    const peer = order.peer === undefined ? undefined : node.peers.get(order.peer);
    if (order.peer !== undefined && peer === undefined) {
      refuse(reply, new Refused('unknown-peer', `there is no replica on ${order.peer}`));
      return;
    }
    if (peer !== undefined) {
      peer.settings = {
        mode: mode ?? peer.settings.mode,
        asyncLimit: asyncLimit ?? peer.settings.asyncLimit,
        compress: compress ?? peer.settings.compress,
      };
    }
    node.settings = ResourceSettings.parse({ ...node.settings, ...resource });
    node.source?.path.wake();
    reply({ ok: true });
  }

  /** I19: the audit is durable before the effect. */
  #mark(replica: Replica, peer: NodeName, type: 'marked-clean' | 'marked-dirty', done: Done): void {
    const observation: Observation = { type, peer };
    const logs = replica.volumes.flatMap(({ logs }) => logs.get(peer) ?? []);
    const isClean = type === 'marked-clean';
    const rewrite = logs.map(
      (log): Step =>
        (next) =>
          isClean ? log.clearAll(next) : log.markAll(next),
    );
    inSequence(
      [
        (next) =>
          isClean
            ? replica.observe(observation, same, next)
            : replica.observe(observation, (record) => markDirty(record, peer), next),
        (next) => allOf(rewrite, next),
        (next) => {
          for (const volume of replica.volumes) volume.selectMarkable();
          const isKept = logs.every(({ state }) => state === 'kept');
          replica.update(
            (record) =>
              isClean && isKept
                ? markClean(record, peer)
                : withIntentLog(record, peer, logs[0]?.state ?? 'none'),
            next,
          );
        },
      ],
      done,
    );
  }

  #change(change: Step, done: Done): void {
    this.#changes.push(() =>
      change((error) => {
        this.#isChanging = false;
        done(error);
        this.#nextChange();
      }),
    );
    this.#nextChange();
  }

  #nextChange(): void {
    if (this.#isChanging) return;
    const change = this.#changes.shift();
    if (change === undefined) return;
    this.#isChanging = true;
    change();
  }
}

const answer =
  (reply: Reply): Done =>
  (error) =>
    error === null ? reply({ ok: true }) : refuse(reply, error);

function refuse(reply: Reply, error: Error): void {
  const code = error instanceof Refused ? error.code : translated(codeOf(error));
  reply({ ok: false, code, message: error.message });
}

/** What the layers below call it, in the words of the control protocol. */
function translated(code: string): OrderRefusal {
  switch (code) {
    case 'metadata-missing':
      return 'no-metadata';
    case 'other-cluster':
    case 'other-resource':
    case 'other-node':
    case 'volume-mismatch':
      return 'foreign-replica';
    case 'replica-in-use':
    case 'EADDRINUSE':
      return 'path-in-use';
    case 'ENOENT':
      return 'path-missing';
    default:
      return orderRefusals.find((refusal) => refusal === code) ?? 'device-failed';
  }
}

function examine({ volumes }: Replica, peer: NodeName): Examination {
  return {
    volumes: volumes.map(({ name, regionCount, logs }) => ({
      volume: name,
      regions: regionCount,
      dirtyRegions: logs.get(peer)?.markedCount ?? 0,
    })),
  };
}
