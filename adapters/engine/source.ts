import { firstWriteAlone, needsGeneration } from '../../domain/generation-state.ts';
import { type Epoch, Generation, type NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { IncomingMessage, Link } from '../link/link.ts';
import type { Export } from '../nbd/export.ts';
import { Clearing } from './clearing.ts';
import type { Clock, Timer } from './clock.ts';
import type { Notice, ResourceSettings } from './control-protocol.ts';
import { Mirror } from './mirror.ts';
import type { Peer } from './peer.ts';
import type { Replica } from './replica.ts';
import { inSequence, type Step } from './sequence.ts';
import type { Volume } from './volume.ts';
import { VolumeExport } from './volume-export.ts';
import type { Waiter, WriteOperation } from './write-operation.ts';
import { type Mirrors, WritePath } from './write-path.ts';

const ticksPerHeartbeat = 4;

export interface SourceOptions {
  readonly replica: Replica;
  readonly epoch: Epoch;
  readonly readOnly: boolean;
  readonly clock: Clock;
  readonly settings: () => ResourceSettings;
  readonly notify: (notice: Notice) => void;
  /** No controller is alive: the links decide who is lost. */
  readonly isAlone: () => boolean;
}

/** One reign of this node as the source: the write path, a mirror per other replica, the clearing. */
export class Source implements Mirrors {
  readonly epoch: Epoch;
  readonly path: WritePath;
  readonly exports: readonly Export[];
  readonly mirrors = new Map<NodeName, Mirror>();
  readonly #options: SourceOptions;
  readonly #clearing: Clearing;
  /** Links that `uncork` has to let go of: a mirror may come or go in between. */
  #corked: readonly Link[] = [];
  #starting: Done[] | null = null;
  #tickTimer: Timer | null = null;
  #clearingTimer: Timer | null = null;
  #isOver = false;

  constructor(options: SourceOptions) {
    const { replica, epoch, readOnly } = options;
    this.#options = options;
    this.epoch = epoch;
    this.path = new WritePath(replica, this);
    this.path.generationDue = needsGeneration(replica.record);
    this.exports = replica.volumes.map((volume) => new VolumeExport(volume, epoch, readOnly, this.path));
    this.#clearing = new Clearing(replica, this.path, this.mirrors);
    this.#tick();
    this.#clearLater();
  }

  /** `required`: it may believe that it is in sync. */
  add(peer: Peer, required: boolean): void {
    const { replica, clock, settings, notify } = this.#options;
    const reign = {
      replica,
      path: this.path,
      epoch: this.epoch,
      clock,
      settings,
      notify,
      peers: () => this.mirrors.keys(),
      ensureGeneration: (done: Done) => this.ensureGeneration(done),
      away: () => this.#away(),
    };
    const mirror = new Mirror(reign, peer, required);
    this.mirrors.set(peer.node, mirror);
    mirror.consider();
  }

  remove(peer: NodeName): void {
    this.mirrors.delete(peer);
  }

  received(peer: NodeName, message: IncomingMessage): boolean {
    return this.mirrors.get(peer)?.received(message) ?? true;
  }

  // ---------------------------------------------------------------- what the write path asks

  get full(): boolean {
    for (const mirror of this.mirrors.values()) if (mirror.stream.full) return true;
    return false;
  }

  offer(operation: WriteOperation, acknowledgedThrough: number): void {
    for (const mirror of this.mirrors.values()) mirror.stream.offer(operation, acknowledgedThrough);
  }

  offerFlush(volume: Volume, flush: Waiter): void {
    for (const mirror of this.mirrors.values()) mirror.stream.offerFlush(volume, flush);
  }

  cork(): void {
    this.#corked = [...this.mirrors.values()].map(({ peer }) => peer.link);
    for (const link of this.#corked) link.cork();
  }

  uncork(): void {
    for (const link of this.#corked) link.uncork();
    this.#corked = [];
  }

  startGeneration(): void {
    this.ensureGeneration((error) => {
      if (error === null) this.path.wake();
    });
  }

  /** I8: durable here, and in the stream of every target, before anything is written or acknowledged in it. */
  ensureGeneration(done: Done): void {
    const { replica } = this.#options;
    if (this.#starting !== null) {
      this.#starting.push(done);
      return;
    }
    if (!needsGeneration(replica.record)) {
      this.path.generationDue = false;
      done(null);
      return;
    }
    this.#starting = [done];
    const generation = Generation.parse(replica.freshGeneration());
    const before = replica.record.generation.current;
    replica.observe(
      { type: 'generation-started', generation, before, absent: this.#away() },
      (record) => firstWriteAlone(record, generation),
      (error) => {
        const waiting = this.#starting ?? [];
        this.#starting = null;
        if (error === null) {
          this.path.generationDue = needsGeneration(replica.record);
          for (const mirror of this.mirrors.values()) mirror.generationStarted(generation);
        }
        for (const waiter of waiting) waiter(error);
      },
    );
  }

  #away(): NodeName[] {
    const { peers } = this.#options.replica.record.generation;
    return Object.entries(peers)
      .filter(([, { outOfSync }]) => outOfSync)
      .map(([node]) => node as NodeName);
  }

  // ---------------------------------------------------------------- the end of the reign

  /** No write is in flight, and both disks of every mirror that gets writes have everything (rule 6, step 2). */
  drain(done: Done): void {
    const { replica } = this.#options;
    const flushes = replica.volumes.map(
      (volume): Step =>
        (next) =>
          this.path.flush(volume, next),
    );
    inSequence(
      [
        (next) => this.path.freeze(() => next(null)),
        ...flushes,
        (next) => this.#clearing.pass(true, () => next(null)),
      ],
      done,
    );
  }

  /** After a drain that led nowhere: serves on. */
  resume(): void {
    this.path.thaw();
  }

  close(): void {
    this.#isOver = true;
    this.#tickTimer?.cancel();
    this.#clearingTimer?.cancel();
    this.#clearing.stop();
    this.path.close();
    for (const mirror of this.mirrors.values()) mirror.close();
  }

  #tick(): void {
    const { clock, settings, isAlone } = this.#options;
    for (const mirror of [...this.mirrors.values()]) mirror.tick(isAlone());
    this.path.wake();
    if (this.#isOver) return;
    this.#tickTimer = clock.after(settings().heartbeatMs / ticksPerHeartbeat, () => this.#tick());
  }

  #clearLater(): void {
    const { clock, settings } = this.#options;
    this.#clearingTimer = clock.after(settings().clearAfterMs, () => {
      this.#clearing.pass(false, () => {
        if (!this.#isOver) this.#clearLater();
      });
    });
  }
}
