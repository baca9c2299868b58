import {
  generationConfirmed,
  losePeer,
  needsGeneration,
  type ResyncKind,
  resolveSplitBrain,
  resyncSourceFinished,
  resyncSourceStarted,
} from '../../domain/generation-state.ts';
import { compareGenerations, type Verdict } from '../../domain/generations.ts';
import { type Epoch, type Generation, type NodeName, regionSize } from '../../domain/vocabulary.ts';
import { Bitmap } from '../block/bitmap.ts';
import type { Done } from '../block/block-device.ts';
import { bulkPayloadBytesMax, type IncomingMessage } from '../link/link.ts';
import {
  GenerationStoredPayload,
  messageType,
  RecordedPayload,
  RefusedPayload,
  type StatePayload,
  writeFlag,
} from '../link/protocol.ts';
import { sendLogs } from './bitmaps.ts';
import type { Clock } from './clock.ts';
import {
  type Notice,
  type Observation,
  type OrderRefusal,
  orderRefusals,
  type ResourceSettings,
} from './control-protocol.ts';
import { readJson, send, sendJson } from './messages.ts';
import { MirrorQueue } from './mirror-queue.ts';
import type { Peer } from './peer.ts';
import { ignore, type Replica, same } from './replica.ts';
import { type CopyTarget, Resync } from './resync.ts';
import { allOf, inSequence, type Step } from './sequence.ts';
import { Throttle } from './throttle.ts';
import type { Volume } from './volume.ts';
import type { Waiter, WriteOperation } from './write-operation.ts';
import type { WritePath } from './write-path.ts';

/** Payload bytes that a mirror with a bounded queue may have outstanding, whatever its limit of writes. */
const queueBytesMax = 64 * 1024 * 1024;
/** Outstanding writes of the application while a resync runs. */
const resyncWritesMax = 256;

export interface Reign {
  readonly replica: Replica;
  readonly path: WritePath;
  readonly epoch: Epoch;
  readonly clock: Clock;
  readonly settings: () => ResourceSettings;
  readonly notify: (notice: Notice) => void;
  /** All other replicas. */
  readonly peers: () => Iterable<NodeName>;
  /** After `losePeer` is durable: makes a generation durable if one is due, then goes on. */
  readonly ensureGeneration: (done: Done) => void;
  /** The generation in force, and who is away in it, to one mirror. */
  readonly announce: (mirror: Mirror, generation: Generation) => void;
}

/**
 * `absent`    no session, or the peer does not follow;
 * `refused`   it may not be copied to (`refusal`);
 * `paused`    it says so;
 * `starting`  it has been told to record itself out of sync, and answers with its bits;
 * `copying`   the resync runs; writes are sent, nothing waits for them;
 * `finishing` it has been told to count itself as in sync: from that moment on everything waits for it;
 * `in-sync`   it has confirmed that.
 */
export type MirrorPhase = 'absent' | 'refused' | 'paused' | 'starting' | 'copying' | 'finishing' | 'in-sync';

type Because = Extract<Observation, { type: 'peer-out-of-sync' }>['because'];

/**
 * The source's side of one mirror (REQUIREMENTS 2.2, 2.3, 2.7).
 *
 * The one rule: `required` is true whenever the peer may believe that it is in sync. Then nothing is acknowledged
 * that it has not got. It becomes true before the peer is told to finish a resync, and false only when the peer has
 * durably recorded itself out of sync, or is lost, and that is durable here as well (`declare`). A broken session
 * changes nothing about it: writes stall. Whoever comes back in a new session records itself out of sync first and
 * is brought up to date from the bits, however short the break was.
 */
export class Mirror implements CopyTarget {
  readonly peer: Peer;
  readonly #reign: Reign;
  readonly #queue = new MirrorQueue();
  readonly #throttle: Throttle;
  #phase: MirrorPhase = 'absent';
  #refusal: OrderRefusal | null = null;
  #required: boolean;
  #behind: readonly Bitmap[] = [];
  #resync: Resync | null = null;
  #kind: ResyncKind = 'partial';
  /** The peer's mark names this generation. */
  #toldGeneration: Generation | null = null;
  #row = '';
  /** Of what was last asked of the peer: answers to anything older are void. */
  #number = 0;
  #attempt = 0;
  /** Bits of the peer's logs for this node, as they come in during `starting`. */
  #theirBits: readonly Uint8Array[] = [];
  #ordered: { readonly kind: ResyncKind; readonly forced: boolean } | null = null;
  /** Who waits for the peer to be declared out of sync, while that is under way. */
  #declaring: Done[] | null = null;
  /** Who waits for the peer to record that it is paused. */
  readonly #pausing: Done[] = [];
  /** Number of the request to record itself out of sync, or 0. */
  #asked = 0;
  #phaseSinceMs: number;
  #lastAckMs = 0;
  #isCongested = false;
  #progress: { readonly percent: number; readonly atMs: number; readonly bytes: number } | null = null;
  #speed: number | null = null;

  constructor(reign: Reign, peer: Peer, required: boolean) {
    this.peer = peer;
    this.#reign = reign;
    this.#required = required;
    this.#throttle = new Throttle(reign.clock, reign.settings);
    this.#phaseSinceMs = reign.clock.nowMs();
  }

  get phase(): MirrorPhase {
    return this.#phase;
  }

  get refusal(): OrderRefusal | null {
    return this.#refusal;
  }

  /** Acknowledgements wait for it. */
  get required(): boolean {
    return this.#required;
  }

  /** Writes are sent to it. */
  get isLive(): boolean {
    return this.#phase === 'copying' || this.#phase === 'finishing' || this.#phase === 'in-sync';
  }

  get copyBytes(): number {
    return this.#queue.copyBytes;
  }

  get queue(): MirrorQueue {
    return this.#queue;
  }

  get isCongested(): boolean {
    return this.#isCongested;
  }

  get resync(): Resync | null {
    return this.#resync;
  }

  get speedBytesPerSecond(): number | null {
    return this.#speed;
  }

  get etaSeconds(): number | null {
    const left = (this.#resync?.regionsLeft ?? 0) * regionSize;
    return this.#speed === null || this.#speed === 0 ? null : Math.ceil(left / this.#speed);
  }

  /** Regions that the peer is known not to have, of a volume. */
  isBehind(volume: Volume, region: number): boolean {
    return this.#behind[volume.index]?.has(region) ?? false;
  }

  /** REQUIREMENTS 2.2: the next write has to wait until the target has caught up. */
  get full(): boolean {
    const { writes, writeBytes } = this.#queue;
    if (this.#required) {
      if (this.peer.settings.mode !== 'async') return false;
      return writes >= this.peer.settings.asyncLimit || writeBytes >= queueBytesMax;
    }
    return this.#isResyncFull && !this.#isStuck;
  }

  get #isResyncFull(): boolean {
    const { writes, writeBytes } = this.#queue;
    return this.#phase === 'copying' && (writes >= resyncWritesMax || writeBytes >= queueBytesMax);
  }

  /** Nobody waits for a target out of sync that has stopped to answer. */
  get #isStuck(): boolean {
    return this.#reign.clock.nowMs() - this.#lastAckMs > this.#lostAfterMs;
  }

  get #lostAfterMs(): number {
    const { heartbeatMs, lostAfter } = this.#reign.settings();
    return heartbeatMs * lostAfter;
  }

  // ---------------------------------------------------------------- the way of a write (write-path.ts, step 5)

  offer(operation: WriteOperation, acknowledgedThrough: number): void {
    const { mode } = this.peer.settings;
    const { volume, firstRegion, lastRegion, kind, last } = operation;
    const isWaitedFor = this.#required && mode !== 'async';
    if (!this.isLive && !this.#required) return;
    if (this.isLive && this.#isLeftToCopy(volume, firstRegion, lastRegion)) return;
    if (isWaitedFor) operation.waiting += 1;
    // Whoever is not waited for may still be reading the bytes when the application has its buffer back.
    const payload = isWaitedFor ? operation.payload : operation.keptPayload;
    const nowMs = this.#reign.clock.nowMs();
    const waiter = isWaitedFor ? operation : null;
    this.#queue.push(last, waiter, mode === 'memory-sync', payload?.length ?? 0, false, nowMs);
    if (this.full) this.#congested(true);
    if (!this.isLive) return;
    const flags = operation.fua ? writeFlag.fua : 0;
    if (payload === null) {
      this.#send(kind, {
        flags,
        volume: volume.index,
        number: last,
        offset: operation.offset,
        byteCount: operation.byteCount,
      });
    } else {
      this.#sendPieces(operation, payload, flags, acknowledgedThrough);
    }
  }

  offerFlush(volume: Volume, flush: Waiter): void {
    const isWaitedFor = this.#required && this.peer.settings.mode === 'sync';
    if (isWaitedFor) flush.waiting += 1;
    if (isWaitedFor || this.isLive) this.#flush(volume, ignoreFlushed, isWaitedFor ? flush : null);
  }

  /** Both disks of the pair: what was sent before is on the target's when `flushed(true)` comes. */
  barrier(volume: Volume, flushed: (ok: boolean) => void): void {
    if (this.isLive) this.#flush(volume, flushed, null);
    else flushed(false);
  }

  sendCopy(volume: Volume, offset: number, byteCount: number, bytes: Uint8Array | null): void {
    const first = offset / regionSize;
    const sequence = this.#reign.path.takeSequence(
      volume,
      first,
      Math.ceil((offset + byteCount) / regionSize) - 1,
    );
    this.#queue.push(sequence, null, false, byteCount, true, this.#reign.clock.nowMs());
    const fields = { flags: writeFlag.resync, volume: volume.index, number: sequence, offset };
    if (bytes === null) this.#send('trim', { ...fields, byteCount });
    else this.#send('write', { ...fields, payload: bytes });
  }

  sendGeneration(generation: Generation, away: readonly NodeName[]): void {
    if (this.isLive) sendJson(this.peer.link, 'generation', this.#reign.epoch, 0, { generation, away });
  }

  sendClear(
    volume: Volume,
    peers: readonly NodeName[],
    ranges: readonly (readonly [number, number])[],
  ): void {
    sendJson(this.peer.link, 'clear', this.#reign.epoch, 0, { peers, ranges }, volume.index);
  }

  /** True: the resync brings these regions later, so the write is not sent. */
  #isLeftToCopy(volume: Volume, firstRegion: number, lastRegion: number): boolean {
    const behind = this.#behind[volume.index];
    if (this.#phase !== 'copying' || behind === undefined) return false;
    if (behind.hasRange(firstRegion, lastRegion)) return true;
    if (!this.#isResyncFull) return false;
    behind.add(firstRegion, lastRegion);
    return true;
  }

  #sendPieces(
    operation: WriteOperation,
    payload: Uint8Array,
    flags: number,
    acknowledgedThrough: number,
  ): void {
    const { volume, offset, first } = operation;
    for (let at = 0, number = first; at < payload.length; at += bulkPayloadBytesMax, number += 1) {
      this.#send('write', {
        flags,
        volume: volume.index,
        number,
        offset: offset + at,
        byteCount: Math.min(number - 1 - acknowledgedThrough, 0xffffffff),
        payload: payload.subarray(at, at + bulkPayloadBytesMax),
      });
    }
  }

  #flush(volume: Volume, flushed: (ok: boolean) => void, waiter: Waiter | null): void {
    const number = this.#queue.addFlush(flushed, waiter, this.#reign.clock.nowMs());
    if (this.isLive) this.#send('flush', { volume: volume.index, number });
  }

  #send(name: 'write' | 'zero' | 'trim' | 'flush', fields: Parameters<typeof send>[3]): void {
    send(this.peer.link, name, this.#reign.epoch, fields);
  }

  // ---------------------------------------------------------------- what comes from the peer

  /** The session is new, or the peer's word has changed, or an order has: what follows from it. */
  consider(): void {
    const { link, theirs } = this.peer;
    if (!link.established || theirs === null) return;
    const follows = theirs.role === 'target';
    // Its own word, durable there. Not while it is being told something: that may have been said before.
    const isBeingTold = this.#phase === 'starting' || this.#phase === 'finishing';
    if (!theirs.record.inSync && !isBeingTold) this.#peerKnows('recorded');
    if (this.#phase === 'in-sync' || this.#phase === 'finishing' || this.#phase === 'copying') {
      if (!follows || (this.#phase === 'in-sync' && !theirs.record.inSync)) link.drop();
      return;
    }
    if (!follows) this.#enter('absent');
    else if (this.#phase !== 'starting') this.#compare(theirs);
  }

  received(message: IncomingMessage): boolean {
    switch (message.type) {
      case messageType.ack:
        return this.#acked(message);
      case messageType.flushed:
        return this.#queue.flushed(message.number);
      case messageType['generation-stored']:
        return this.#generationStored(message);
      case messageType.bitmap:
        return this.#bitmap(message);
      case messageType.recorded:
        return this.#recorded(message);
      case messageType['resync-finished']:
        return this.#finished(message);
      case messageType.refused:
        return this.#refused(message);
      default:
        return false;
    }
  }

  sessionEnded(): void {
    const left = this.#resync;
    this.#resync?.stop();
    this.#resync = null;
    this.#queue.sessionEnded();
    this.#asked = 0;
    for (const waiter of this.#pausing.splice(0)) waiter(null);
    if (this.#phase === 'copying' && left !== null) {
      const bytesLeft = left.regionsLeft * regionSize;
      this.#observe({ type: 'resync-interrupted', peer: this.peer.node, bytesLeft });
    }
    this.#enter('absent');
    if (this.#required) {
      this.#reign.notify({ notice: 'stalled', peer: this.peer.node, because: 'disconnected' });
    } else {
      this.#queue.release();
      this.#reign.path.wake();
    }
  }

  /** The reign is over. */
  close(): void {
    this.#resync?.stop();
    this.#required = false;
    this.#queue.sessionEnded();
    this.#queue.release();
    this.#enter('absent');
  }

  /** Told by the agent, or found by the links when there is none. */
  peerLost(done: Done): void {
    this.#declare('lost', done);
  }

  peerRecorded(done: Done): void {
    this.#declare('recorded', done);
  }

  /** Starts a resync, over what the generations say when `forced`. */
  order(kind: ResyncKind, forced: boolean): void {
    this.#ordered = { kind, forced };
    if (this.isLive || this.#phase === 'starting') this.peer.link.drop();
    else this.consider();
  }

  /** The target records that it is paused, and so out of sync; then the session ends, and it comes back as paused. */
  pause(reason: string, done: Done): void {
    this.#pausing.push(done);
    this.#number += 1;
    this.#asked = this.#number;
    sendJson(this.peer.link, 'pause', this.#reign.epoch, this.#asked, { reason });
  }

  tick(isAlone: boolean): void {
    const nowMs = this.#reign.clock.nowMs();
    this.#reportProgress(nowMs);
    if (this.#isCongested && !this.full && this.#queue.writes * 2 <= this.peer.settings.asyncLimit) {
      this.#congested(false);
    }
    const { oldestMs } = this.#queue;
    const isLate =
      this.isLive && oldestMs !== null && nowMs - oldestMs > this.#reign.settings().writeTimeoutMs;
    if (isLate && !this.#required) this.peer.link.drop();
    else if (isLate) this.#askToRecord('write-timeout');
    if (!this.#required || this.isLive) return;
    if (this.#phase === 'starting') {
      if (this.#phaseSinceMs + this.#reign.settings().writeTimeoutMs < nowMs) this.peer.link.drop();
      return;
    }
    if (this.#phaseSinceMs + this.#lostAfterMs > nowMs) return;
    if (this.peer.link.established) this.#askToRecord('disconnected');
    else if (isAlone && nowMs - (this.peer.link.lastHeardMs ?? 0) > this.#lostAfterMs)
      this.#declare('lost', ignore);
  }

  #acked(message: IncomingMessage): boolean {
    const { number: written, offset: received } = message;
    if (written > this.#reign.path.sequence || received > this.#reign.path.sequence) return false;
    this.#lastAckMs = this.#reign.clock.nowMs();
    const wasFull = this.full;
    if (this.peer.settings.mode === 'memory-sync') this.#queue.received(received);
    this.#queue.written(written);
    if (wasFull && !this.full) this.#reign.path.wake();
    this.#resync?.pump();
    return true;
  }

  #generationStored(message: IncomingMessage): boolean {
    const stored = readJson(message, GenerationStoredPayload);
    if (stored === null) return false;
    const { replica } = this.#reign;
    replica.update((record) => generationConfirmed(record, this.peer.node, stored.generation), ignore);
    return true;
  }

  // ---------------------------------------------------------------- resync

  #compare(theirs: StatePayload): void {
    const { replica } = this.#reign;
    const tooSmall = replica.volumes.find(
      ({ byteSize }, index) => theirs.volumes[index]?.byteSize !== byteSize,
    );
    if (tooSmall !== undefined || theirs.volumes.length !== replica.volumes.length) {
      const volume = tooSmall?.name ?? replica.volumes[0]?.name;
      if (volume !== undefined)
        this.#refuse('target-too-small', { type: 'target-too-small', peer: this.peer.node, volume });
      return;
    }
    if (theirs.paused !== null) {
      this.#enter('paused');
      return;
    }
    if (this.peer.pauseReason !== null) {
      this.pause(this.peer.pauseReason, ignore);
      return;
    }
    const ordered = this.#ordered;
    if (ordered?.forced === true) this.#start(ordered.kind, 'ordered', true);
    else this.#follow(compareGenerations(replica.generationRecord(this.peer.node, true), theirs.record));
  }

  #follow(verdict: Verdict): void {
    const peer = this.peer.node;
    switch (verdict.verdict) {
      case 'in-sync':
        this.#start(this.#ordered?.kind ?? 'partial', verdict.row, false);
        return;
      case 'resync':
        if (verdict.source === 'mine') this.#start(this.#ordered?.kind ?? verdict.kind, verdict.row, false);
        else this.#refuse('target-out-of-sync', null);
        return;
      case 'split-brain':
        this.#refuse('split-brain', { type: 'split-brain', peer, since: null });
        return;
      case 'unrelated':
        this.#refuse('unrelated-data', { type: 'unrelated-data', peer });
        return;
      case 'no-source':
        this.#refuse('target-inconsistent', null);
        return;
      default:
        verdict satisfies never;
    }
  }

  /** 1. Our side: the log covers everything that is to be copied, and the metadata say what it counts from. */
  #start(kind: ResyncKind, row: string, forced: boolean): void {
    const { replica, epoch } = this.#reign;
    const { node } = this.peer;
    this.#enter('starting');
    this.#kind = kind;
    this.#row = row;
    this.#number += 1;
    this.#attempt = this.#number;
    const attempt = this.#attempt;
    this.#theirBits = replica.volumes.map(({ regionCount }) => new Uint8Array(Math.ceil(regionCount / 8)));
    const logs = replica.volumes.map(({ logs }) => logs.get(node)).filter((log) => log !== undefined);
    const rewrite: Step[] = logs
      .filter(({ state }) => kind === 'full' || state === 'invalid')
      .map((log) => (next) => log.markAll(next));
    const observation: Observation = {
      type: 'peer-out-of-sync',
      peer: node,
      since: replica.record.generation.current,
      because: 'returned',
    };
    const givenUp = forced ? (this.peer.theirs?.record.current ?? null) : null;
    const started = (record: typeof replica.record) =>
      resyncSourceStarted(givenUp === null ? record : resolveSplitBrain(record, givenUp), node);
    const steps: Step[] = [
      (next) => allOf(rewrite, next),
      (next) =>
        this.#required ? replica.observe(observation, started, next) : replica.update(started, next),
    ];
    inSequence(steps, (error) => {
      for (const volume of replica.volumes) volume.selectMarkable();
      if (error !== null || !this.#isCurrent('starting', attempt)) return;
      const { current, peers } = replica.record.generation;
      if (current === null) return;
      this.#toldGeneration = current;
      // 2. Theirs: out of sync, durably, before anything else.
      sendJson(this.peer.link, 'resync-start', epoch, attempt, {
        mark: { source: replica.node, kind, base: peers[node]?.base ?? null, generation: current },
        forced,
        markedRegions: replica.markedRegions(node),
      });
    });
  }

  #bitmap(message: IncomingMessage): boolean {
    const bits = this.#theirBits[message.volume];
    const at = message.offset / 8;
    if (this.#phase !== 'starting' || bits === undefined || at + message.payload.length > bits.length)
      return false;
    bits.set(message.payload, at);
    return true;
  }

  #recorded(message: IncomingMessage): boolean {
    const recorded = readJson(message, RecordedPayload);
    if (recorded === null) return false;
    if (message.number === this.#asked) {
      const pausing = this.#pausing.splice(0);
      this.#declare(this.peer.pauseReason === null ? 'recorded' : 'paused', (error) => {
        if (error === null && this.isLive) this.peer.link.drop();
        for (const waiter of pausing) waiter(error);
      });
      return true;
    }
    if (!this.#isCurrent('starting', message.number)) return true;
    const attempt = message.number;
    const { replica } = this.#reign;
    const merge = replica.volumes.map(({ index, logs }): Step => {
      const log = logs.get(this.peer.node);
      const bits = this.#theirBits[index];
      return (next) => (log === undefined || bits === undefined ? next(null) : log.merge(bits, next));
    });
    // 3. The union of both logs, durable here, and a generation without the peer for what was waiting for it.
    const steps: Step[] = [
      (next) => allOf(merge, next),
      (next) => {
        this.#reign.path.generationDue = needsGeneration(replica.record);
        if (this.#queue.isAwaited) this.#reign.ensureGeneration(next);
        else next(null);
      },
    ];
    inSequence(steps, (error) => {
      if (error !== null || !this.#isCurrent('starting', attempt)) return;
      // From now on nothing waits for the peer: it knows, and we know.
      this.#required = false;
      this.#queue.release();
      this.#copy(recorded.consistent);
      this.#reign.path.wake();
    });
    return true;
  }

  /** 4. What is marked now is what the peer is behind in; every later write is sent or marked as behind. */
  #copy(isConsistent: boolean): void {
    const { replica, path, clock } = this.#reign;
    const { node } = this.peer;
    this.#behind = replica.volumes.map(({ regionCount, logs }) => {
      const behind = new Bitmap(regionCount);
      const bits = logs.get(node)?.toBits();
      if (bits === undefined) behind.fill();
      else behind.replace(0, bits);
      return behind;
    });
    const resync = new Resync(replica, path, this, this.#throttle, this.#behind);
    // A write came in between: there is something to copy after all, and the peer has not said "inconsistent" yet.
    if (isConsistent && resync.regionsLeft > 0) {
      this.#start(this.#kind, this.#row, this.#ordered?.forced ?? false);
      return;
    }
    this.#enter('copying');
    this.#ordered = null;
    this.#resync = resync;
    this.#lastAckMs = clock.nowMs();
    this.#speed = null;
    this.#progress = { percent: resync.percent, atMs: clock.nowMs(), bytes: 0 };
    const { current } = replica.record.generation;
    if (current !== null && current !== this.#toldGeneration) this.#reign.announce(this, current);
    const bytes = resync.regionsLeft * regionSize;
    if (bytes > 0)
      this.#observe({ type: 'resync-started', peer: node, kind: this.#kind, row: this.#row, bytes });
    resync.pump();
  }

  /** 5. Everything is sent. First this side counts the peer as in sync, durably; then everything waits for it. */
  copied(): void {
    const { replica, epoch } = this.#reign;
    const { node } = this.peer;
    const attempt = this.#attempt;
    this.#enter('finishing');
    replica.update(
      (record) => resyncSourceFinished(record, node),
      (error) => {
        if (error !== null || !this.#isCurrent('finishing', attempt)) return;
        this.#required = true;
        // 6. It takes over our generations when all that was sent before is on its stable storage.
        const { inSync, generation } = replica.record;
        const logs = [...this.#reign.peers()].filter((other) => other !== node);
        sendLogs(this.peer.link, replica, epoch, attempt, logs);
        sendJson(this.peer.link, 'resync-finish', epoch, attempt, { inSync, generation, logs });
      },
    );
  }

  /** 7. */
  #finished(message: IncomingMessage): boolean {
    if (!this.#isCurrent('finishing', message.number)) return true;
    const bytes = this.#resync?.bytesCopied ?? 0;
    this.#resync = null;
    this.#behind = [];
    this.#speed = null;
    const { node: peer } = this.peer;
    this.#reign.replica.observe(
      { type: 'resync-completed', peer, kind: this.#kind, bytes },
      same,
      (error) => {
        if (error === null && this.#isCurrent('finishing', message.number)) this.#enter('in-sync');
      },
    );
    return true;
  }

  #refused(message: IncomingMessage): boolean {
    const refused = readJson(message, RefusedPayload);
    if (refused === null) return false;
    // FAULTS 31: its disk failed, and it has recorded durably that it is not in sync.
    if (refused.what === 'write') this.#declare('failed', ignore);
    if (!this.#isCurrent('starting', message.number)) return true;
    this.#refuse(orderRefusals.find((code) => code === refused.code) ?? 'target-unreachable', null);
    return true;
  }

  // ---------------------------------------------------------------- losing the peer

  #peerKnows(because: Because): void {
    this.#declare(because, ignore);
  }

  /** "Out of sync since generation g" is durable here, then a generation if one is due; then nothing waits for it. */
  #declare(because: Because, done: Done): void {
    if (!this.#required) {
      done(null);
      return;
    }
    if (this.#declaring !== null) {
      this.#declaring.push(done);
      return;
    }
    this.#declaring = [done];
    const { replica, path } = this.#reign;
    const { node } = this.peer;
    const since = replica.record.generation.current;
    const observation = { type: 'peer-out-of-sync', peer: node, since, because } as const;
    const steps: Step[] = [
      (next) => replica.observe(observation, (record) => losePeer(record, node), next),
      (next) => {
        path.generationDue = needsGeneration(replica.record);
        if (this.#queue.isAwaited) this.#reign.ensureGeneration(next);
        else next(null);
      },
    ];
    inSequence(steps, (error) => {
      const waiting = this.#declaring ?? [];
      this.#declaring = null;
      if (error === null) this.#release();
      for (const waiter of waiting) waiter(error);
    });
  }

  #release(): void {
    this.#required = false;
    // The session may still be reading buffers that the application is about to get back.
    if (this.isLive) this.peer.link.drop();
    this.#queue.release();
    this.#reign.path.wake();
    this.consider();
  }

  #askToRecord(because: 'disconnected' | 'write-timeout'): void {
    if (this.#asked !== 0) return;
    this.#number += 1;
    this.#asked = this.#number;
    this.#reign.notify({ notice: 'stalled', peer: this.peer.node, because });
    send(this.peer.link, 'out-of-sync-request', this.#reign.epoch, { number: this.#asked });
  }

  // ---------------------------------------------------------------- small things

  #isCurrent(phase: MirrorPhase, attempt: number): boolean {
    return this.#phase === phase && this.#attempt === attempt;
  }

  #enter(phase: MirrorPhase): void {
    if (phase !== 'refused') this.#refusal = null;
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#phaseSinceMs = this.#reign.clock.nowMs();
  }

  #refuse(code: OrderRefusal, observation: Observation | null): void {
    const isNew = this.#refusal !== code;
    this.#enter('refused');
    this.#refusal = code;
    if (isNew && observation !== null) this.#observe(observation);
  }

  #observe(observation: Observation): void {
    this.#reign.replica.observe(observation, same, ignore);
  }

  #congested(congested: boolean): void {
    if (this.#isCongested === congested) return;
    this.#isCongested = congested;
    this.#reign.notify({ notice: 'congested', peer: this.peer.node, congested });
  }

  /** REQUIREMENTS 2.7: at most every 5 s, and only if the percent changed. */
  #reportProgress(nowMs: number): void {
    const resync = this.#resync;
    const before = this.#progress;
    if (resync === null || before === null || nowMs - before.atMs < 5000) return;
    const { percent, bytesCopied } = resync;
    this.#speed = Math.round(((bytesCopied - before.bytes) * 1000) / (nowMs - before.atMs));
    this.#progress = { percent, atMs: nowMs, bytes: bytesCopied };
    if (percent === before.percent) return;
    const bytesLeft = resync.regionsLeft * regionSize;
    const { etaSeconds } = this;
    const speedBytesPerSecond = this.#speed;
    this.#reign.notify({
      notice: 'resync-progressed',
      peer: this.peer.node,
      percent,
      bytesLeft,
      speedBytesPerSecond,
      etaSeconds,
    });
  }
}

const ignoreFlushed = () => undefined;
