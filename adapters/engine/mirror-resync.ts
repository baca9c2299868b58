import {
  needsGeneration,
  type ResyncKind,
  resolveSplitBrain,
  resyncSourceFinished,
  resyncSourceStarted,
} from '../../domain/generation-state.ts';
import { type Generation, regionSize } from '../../domain/vocabulary.ts';
import { Bitmap } from '../block/bitmap.ts';
import type { IncomingMessage } from '../link/link.ts';
import type { RecordedPayload } from '../link/protocol.ts';
import { sendLogs } from './bitmaps.ts';
import type { Comparisons } from './comparisons.ts';
import { sendJson } from './messages.ts';
import type { MirrorStream } from './mirror-stream.ts';
import type { Peer } from './peer.ts';
import { ResyncProgress } from './progress.ts';
import type { MirrorPhase, MirrorState, Reign } from './reign.ts';
import { type Change, ignore, same } from './replica.ts';
import { type CopyTarget, Resync } from './resync.ts';
import { allOf, inSequence, type Step } from './sequence.ts';
import { Throttle } from './throttle.ts';
import type { Volume } from './volume.ts';
import type { Waiter } from './write-operation.ts';

interface Start {
  readonly number: number;
  readonly kind: ResyncKind;
  readonly row: string;
  readonly forced: boolean;
  /** Where the peer stood when an operator gave its data up; null: nothing is given up. */
  readonly givenUp: Generation | null;
  /** Bits of the peer's logs for this node, per volume, as they come in. */
  readonly theirBits: readonly Uint8Array[];
  /** What the peer's mark names; it follows the source while the resync runs. */
  generation: Generation | null;
}

/**
 * How a peer gets from wherever it is to in sync, as the source sees it; steps 1 to 7. A peer that lacks nothing goes
 * the same way, without a byte. Whatever ends in between leaves the bits, and the next session begins at step 1.
 */
export class MirrorResync implements CopyTarget {
  readonly #reign: Reign;
  readonly #peer: Peer;
  readonly #state: MirrorState;
  readonly #stream: MirrorStream;
  readonly #throttle: Throttle;
  readonly #comparisons: Comparisons;
  #start: Start | null = null;
  #copying: Resync | null = null;
  #progress: ResyncProgress | null = null;

  constructor(reign: Reign, peer: Peer, state: MirrorState, stream: MirrorStream, comparisons: Comparisons) {
    this.#reign = reign;
    this.#peer = peer;
    this.#state = state;
    this.#stream = stream;
    this.#comparisons = comparisons;
    this.#throttle = new Throttle(reign.clock, reign.settings);
  }

  get progress(): ResyncProgress | null {
    return this.#progress;
  }

  get copyBytes(): number {
    return this.#stream.queue.copyBytes;
  }

  sendCopy(volume: Volume, offset: number, byteCount: number, bytes: Uint8Array | null, copy: Waiter): void {
    this.#stream.sendCopy(volume, offset, byteCount, bytes, copy);
  }

  flushCopies(volume: Volume): void {
    this.#stream.barrier(volume, () => undefined);
  }

  differing(
    volume: Volume,
    offset: number,
    bytes: Uint8Array,
    done: (differing: Uint8Array | null) => void,
  ): void {
    if (this.#reign.settings().resyncChecksums) this.#comparisons.ask(volume, offset, bytes, false, done);
    else done(null);
  }

  pump(): void {
    this.#copying?.pump();
  }

  /** 1. Our side: the log covers everything that is to be copied, and the metadata say what it counts from. */
  start(number: number, kind: ResyncKind, row: string, forced: boolean): void {
    const { replica, epoch } = this.#reign;
    const { node, theirs } = this.#peer;
    const theirBits = replica.volumes.map(({ regionCount }) => new Uint8Array(Math.ceil(regionCount / 8)));
    const givenUp = forced ? (theirs?.record.current ?? null) : null;
    const start: Start = { number, kind, row, forced, givenUp, theirBits, generation: null };
    this.#start = start;
    this.#state.enter('starting');
    const logs = replica.volumes.map((volume) => volume.logs.get(node)).filter((log) => log !== undefined);
    const rewrite: Step[] = logs
      .filter(({ state }) => kind === 'full' || state === 'invalid')
      .map((log) => (next) => log.markAll(next));
    inSequence([(next) => allOf(rewrite, next), (next) => this.#recordStart(next)], (error) => {
      for (const volume of replica.volumes) volume.selectMarkable();
      const { current, peers } = replica.record.generation;
      if (error !== null || current === null || !this.#isCurrent('starting', number)) return;
      start.generation = current;
      // 2. Theirs: out of sync, durably, before anything else.
      sendJson(this.#peer.link, 'resync-start', epoch, number, {
        mark: { source: replica.node, kind, base: peers[node]?.base ?? null, generation: current },
        forced,
        markedRegions: replica.markedRegions(node),
      });
    });
  }

  /** False: the bits do not fit. */
  bitmap({ volume, offset, payload }: IncomingMessage): boolean {
    const bits = this.#start?.theirBits[volume];
    const at = offset / 8;
    if (bits === undefined || offset % 8 !== 0 || at + payload.length > bits.length) return false;
    bits.set(payload, at);
    return true;
  }

  /** 3. The union of both logs, durable here, and a generation without the peer for what was waiting for it. */
  recorded(number: number, { consistent }: RecordedPayload): void {
    const start = this.#start;
    if (start === null || !this.#isCurrent('starting', number)) return;
    const { replica, path, ensureGeneration } = this.#reign;
    const merge = replica.volumes.map(({ index, logs }): Step => {
      const log = logs.get(this.#peer.node);
      const bits = start.theirBits[index];
      return (next) => (log === undefined || bits === undefined ? next(null) : log.merge(bits, next));
    });
    const beginGeneration: Step = (next) => {
      path.generationDue = needsGeneration(replica.record);
      if (this.#stream.queue.isAwaited) ensureGeneration(next);
      else next(null);
    };
    // What an operator gave up stays where it is until the peer, durably, counts itself out (generation-state.ts).
    const giveUp: Step = (next) => {
      const { givenUp } = start;
      if (givenUp === null) next(null);
      else replica.update((record) => resolveSplitBrain(record, givenUp), next);
    };
    inSequence([(next) => allOf(merge, next), giveUp, beginGeneration], (error) => {
      if (error !== null || !this.#isCurrent('starting', number)) return;
      // From now on nothing waits for the peer: it knows, and we know.
      this.#state.required = false;
      this.#stream.queue.release();
      this.#copy(start, consistent);
      path.wake();
    });
  }

  /** 5. Everything is sent. First this side counts the peer as in sync, durably; then everything waits for it. */
  copied(): void {
    const { replica, epoch, peers } = this.#reign;
    const { node, link } = this.#peer;
    const number = this.#start?.number ?? 0;
    this.#state.enter('finishing');
    replica.update(
      (record) => replica.asLogsAre(resyncSourceFinished(record, node), node),
      (error) => {
        if (error !== null || !this.#isCurrent('finishing', number)) return;
        this.#state.required = true;
        this.#state.isKnown = true;
        // 6. It takes over our generations when all that was sent before is on its stable storage.
        const { inSync, generation } = replica.record;
        const logs = [...peers()].filter((other) => other !== node);
        sendLogs(link, replica, epoch, number, logs);
        sendJson(link, 'resync-finish', epoch, number, { inSync, generation, logs });
      },
    );
  }

  /** 7. */
  finished(number: number): void {
    const start = this.#start;
    if (start === null || !this.#isCurrent('finishing', number)) return;
    const bytes = this.#copying?.bytesCopied ?? 0;
    this.#forget();
    const { node: peer } = this.#peer;
    const completed = { type: 'resync-completed', peer, kind: start.kind, bytes } as const;
    this.#reign.replica.observe(completed, same, (error) => {
      if (error === null && this.#isCurrent('finishing', number)) this.#state.enter('in-sync');
    });
  }

  /** The session, or the reign, is over. */
  stop(): void {
    const copying = this.#copying;
    this.#forget();
    this.#start = null;
    if (copying === null) return;
    copying.stop();
    const bytesLeft = copying.regionsLeft * regionSize;
    const { node: peer } = this.#peer;
    this.#reign.replica.observe({ type: 'resync-interrupted', peer, bytesLeft }, same, ignore);
  }

  tick(): void {
    this.#progress?.tick();
  }

  #recordStart(done: (error: Error | null) => void): void {
    const { replica } = this.#reign;
    const { node } = this.#peer;
    const change: Change = (record) => resyncSourceStarted(record, node);
    if (!this.#state.required) {
      replica.update(change, done);
      return;
    }
    const since = replica.record.generation.current;
    replica.observe({ type: 'peer-out-of-sync', peer: node, since, because: 'returned' }, change, done);
  }

  /** 4. What is marked now is what the peer is behind in; every later write is sent or marked as behind. */
  #copy(start: Start, isConsistent: boolean): void {
    const { replica, path, clock } = this.#reign;
    const { node } = this.#peer;
    this.#state.differing = [];
    this.#state.behind = replica.volumes.map(({ regionCount, logs }) => {
      const behind = new Bitmap(regionCount);
      const bits = logs.get(node)?.toBits();
      if (bits === undefined) behind.fill();
      else behind.replace(0, bits);
      return behind;
    });
    const resync = new Resync(replica, path, this, this.#throttle, this.#state.behind);
    const { number, kind, row, forced } = start;
    // A write came in between: there is something to copy after all, and the peer has not said "inconsistent" yet.
    if (isConsistent && resync.regionsLeft > 0) {
      this.start(number, kind, row, forced);
      return;
    }
    this.#state.enter('copying');
    this.#stream.begin();
    this.#copying = resync;
    this.#progress = new ResyncProgress(resync, node, clock, this.#reign.notify);
    const { current } = replica.record.generation;
    if (current !== null && current !== start.generation) this.#stream.sendGeneration(current);
    const bytes = resync.regionsLeft * regionSize;
    if (bytes > 0) replica.observe({ type: 'resync-started', peer: node, kind, row, bytes }, same, ignore);
    resync.pump();
  }

  #forget(): void {
    this.#copying = null;
    this.#progress = null;
    this.#state.behind = [];
  }

  #isCurrent(phase: MirrorPhase, number: number): boolean {
    return this.#state.phase === phase && this.#start?.number === number;
  }
}
