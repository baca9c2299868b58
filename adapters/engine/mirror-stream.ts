import { type Generation, type NodeName, regionSize } from '../../domain/vocabulary.ts';
import { bulkPayloadBytesMax, type IncomingMessage } from '../link/link.ts';
import { messageType, writeFlag } from '../link/protocol.ts';
import type { KeptPayload } from './kept-payloads.ts';
import { sendJson } from './messages.ts';
import { MirrorQueue } from './mirror-queue.ts';
import type { Peer } from './peer.ts';
import { lostAfterMs, type MirrorState, type Reign } from './reign.ts';
import type { Volume } from './volume.ts';
import type { Waiter, WriteOperation } from './write-operation.ts';

/** Payload bytes that a mirror with a bounded queue may have outstanding, whatever its limit of writes. */
const queueBytesMax = 64 * 1024 * 1024;
/** Outstanding writes of the application while a resync runs. */
const resyncWritesMax = 256;

/** What one mirror sends of the stream of writes (write-path.ts, step 5), and what waits for its answers (step 7). */
export class MirrorStream {
  readonly queue = new MirrorQueue();
  /** Since the copying began; monotonic milliseconds. */
  lastAckMs = 0;
  readonly #reign: Reign;
  readonly #peer: Peer;
  readonly #state: MirrorState;
  #isCongested = false;

  constructor(reign: Reign, peer: Peer, state: MirrorState) {
    this.#reign = reign;
    this.#peer = peer;
    this.#state = state;
  }

  get isCongested(): boolean {
    return this.#isCongested;
  }

  /** REQUIREMENTS 2.2: the next write has to wait until the target has caught up. */
  get full(): boolean {
    if (!this.#state.required) return this.#isResyncFull && !this.#isStuck;
    const { mode, asyncLimit } = this.#peer.settings;
    return mode === 'async' && (this.queue.writes >= asyncLimit || this.queue.writeBytes >= queueBytesMax);
  }

  /** In the copying phase the counting begins anew. */
  begin(): void {
    this.lastAckMs = this.#reign.clock.nowMs();
  }

  offer(operation: WriteOperation, acknowledgedThrough: number): void {
    const { isLive, required } = this.#state;
    if (!isLive && !required) return;
    if (isLive && this.#isLeftToCopy(operation)) return;
    const { mode } = this.#peer.settings;
    // I4: what an asynchronous peer may lack is only of a reign that it knows; else it gave way, and nobody had asked.
    const isWaitedFor = required && (mode !== 'async' || !this.#state.isKnown);
    // Whoever is not waited for may still be reading the bytes when the application has its buffer back.
    const kept = isWaitedFor || !isLive ? null : operation.kept;
    if (isWaitedFor) operation.waiting += 1;
    if (kept !== null) kept.waiting += 1;
    const waiter = isWaitedFor ? operation : kept;
    const byteCount = operation.payload?.length ?? 0;
    const nowMs = this.#reign.clock.nowMs();
    this.queue.push(operation.last, waiter, mode === 'memory-sync', byteCount, false, nowMs);
    if (this.full) this.#congested(true);
    if (isLive) this.#sendOperation(operation, kept, acknowledgedThrough);
  }

  offerFlush(volume: Volume, flush: Waiter): void {
    const { isLive, required } = this.#state;
    const isWaitedFor = required && this.#peer.settings.mode === 'sync';
    if (isWaitedFor) flush.waiting += 1;
    if (isWaitedFor || isLive) this.#flush(volume, ignored, isWaitedFor ? flush : null);
  }

  /** `flushed(true)`: what was sent before is on the target's disk. */
  barrier(volume: Volume, flushed: (ok: boolean) => void): void {
    if (this.#state.isLive) this.#flush(volume, flushed, null);
    else flushed(false);
  }

  sendCopy(volume: Volume, offset: number, byteCount: number, bytes: Uint8Array | null, copy: Waiter): void {
    const first = offset / regionSize;
    const last = Math.ceil((offset + byteCount) / regionSize) - 1;
    const number = this.#reign.path.takeSequence(volume, first, last);
    this.queue.push(number, copy, false, byteCount, true, this.#reign.clock.nowMs());
    if (bytes === null) this.#send('trim', writeFlag.resync, volume.index, number, offset, byteCount, null);
    else this.#send('write', writeFlag.resync, volume.index, number, offset, 0, bytes);
  }

  sendGeneration(generation: Generation): void {
    const away = this.#reign.away().filter((node) => node !== this.#peer.node);
    sendJson(this.#peer.link, 'generation', this.#reign.epoch, 0, { generation, away });
  }

  sendClear(
    volume: Volume,
    peers: readonly NodeName[],
    ranges: readonly (readonly [number, number])[],
  ): void {
    sendJson(this.#peer.link, 'clear', this.#reign.epoch, 0, { peers, ranges }, volume.index);
  }

  /** False: it acknowledges what was never sent. */
  acknowledged({ number: written, offset: received }: IncomingMessage): boolean {
    const { path, clock } = this.#reign;
    if (written > path.sequence || received > path.sequence) return false;
    this.lastAckMs = clock.nowMs();
    const wasFull = this.full;
    if (this.#peer.settings.mode === 'memory-sync') this.queue.received(received);
    this.queue.written(written, this.lastAckMs);
    if (wasFull && !this.full) path.wake();
    return true;
  }

  tick(): void {
    const isRelieved = !this.full && this.queue.writes * 2 <= this.#peer.settings.asyncLimit;
    if (this.#isCongested && isRelieved) this.#congested(false);
  }

  get #isResyncFull(): boolean {
    const { writes, writeBytes } = this.queue;
    return this.#state.phase === 'copying' && (writes >= resyncWritesMax || writeBytes >= queueBytesMax);
  }

  /** Nobody waits for a target out of sync that has stopped to answer. */
  get #isStuck(): boolean {
    return this.#reign.clock.nowMs() - this.lastAckMs > lostAfterMs(this.#reign);
  }

  /** True: the resync brings these regions later, so the write is not sent. */
  #isLeftToCopy({ volume, firstRegion, lastRegion }: WriteOperation): boolean {
    const behind = this.#state.behind[volume.index];
    if (this.#state.phase !== 'copying' || behind === undefined) return false;
    if (behind.hasRange(firstRegion, lastRegion)) return true;
    if (!this.#isResyncFull) return false;
    behind.add(firstRegion, lastRegion);
    return true;
  }

  #sendOperation(operation: WriteOperation, kept: KeptPayload | null, acknowledgedThrough: number): void {
    const { volume, offset, byteCount, kind, first, last } = operation;
    const flags = operation.fua ? writeFlag.fua : 0;
    const payload = kept?.bytes ?? operation.payload;
    if (payload === null) {
      this.#send(kind, flags, volume.index, last, offset, byteCount, null);
      return;
    }
    for (let at = 0, number = first; at < payload.length; at += bulkPayloadBytesMax, number += 1) {
      const overtakes = Math.min(number - 1 - acknowledgedThrough, 0xffffffff);
      const isWhole = payload.length <= bulkPayloadBytesMax;
      const piece = isWhole ? payload : payload.subarray(at, at + bulkPayloadBytesMax);
      this.#send('write', flags, volume.index, number, offset + at, overtakes, piece);
    }
  }

  #flush(volume: Volume, flushed: (ok: boolean) => void, waiter: Waiter | null): void {
    const number = this.queue.addFlush(flushed, waiter, this.#reign.clock.nowMs());
    if (this.#state.isLive) this.#send('flush', 0, volume.index, number, 0, 0, null);
  }

  /** One shape of message for all, made in one go: this is the hot path of every write. */
  #send(
    name: 'write' | 'zero' | 'trim' | 'flush',
    flags: number,
    volume: number,
    number: number,
    offset: number,
    byteCount: number,
    payload: Uint8Array | null,
  ): void {
    const { epoch } = this.#reign;
    this.#peer.link.send({
      type: messageType[name],
      flags,
      volume,
      epoch,
      number,
      offset,
      byteCount,
      payload,
    });
  }

  #congested(congested: boolean): void {
    if (this.#isCongested === congested) return;
    this.#isCongested = congested;
    this.#reign.notify({ notice: 'congested', peer: this.#peer.node, congested });
  }
}

const ignored = () => undefined;
