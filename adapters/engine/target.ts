import {
  followGeneration,
  recordOutOfSync,
  resyncTargetFinished,
  resyncTargetStarted,
} from '../../domain/generation-state.ts';
import { compareGenerations } from '../../domain/generations.ts';
import type { Epoch, NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { IncomingMessage } from '../link/link.ts';
import {
  ClearPayload,
  GenerationPayload,
  type MessageName,
  messageType,
  ReasonPayload,
  ResyncFinishPayload,
  ResyncStartPayload,
} from '../link/protocol.ts';
import { type Applied, ApplyQueue } from './apply-queue.ts';
import { aboutReceiver, sendBitmaps } from './bitmaps.ts';
import { compareHere } from './comparisons.ts';
import type { OrderRefusal } from './control-protocol.ts';
import { readJson, send, sendJson } from './messages.ts';
import type { Peer } from './peer.ts';
import type { EnginePorts } from './ports.ts';
import { type Change, ignore, type Replica } from './replica.ts';
import { allOf, inSequence, type Step } from './sequence.ts';
import type { Volume } from './volume.ts';

/** What is applied between `resync-start` and the end of the session. */
interface Following {
  readonly peer: Peer;
  readonly epoch: Epoch;
  readonly queue: ApplyQueue;
  isRecorded: boolean;
}

/**
 * A replica that follows a source (REQUIREMENTS 2.2 to 2.7).
 *
 * Per session: the source says `resync-start`; this side makes sure that nothing of an older session is still being
 * written, records durably that it is out of sync (and inconsistent, if a byte will come out of order), answers with
 * its own bits, and only then applies what comes. At `resync-finish` it flushes everything and records durably that
 * it is in sync and which generation it stands at. The session's end ends all that; what was recorded stays.
 */
export class Target implements Applied {
  readonly #replica: Replica;
  readonly #ports: EnginePorts;
  #following: Following | null = null;
  #acknowledged = { written: 0, received: 0 };
  #isAckDue = false;
  /** Queues of ended sessions with writes still under way. */
  #endingCount = 0;
  #whenEnded: (() => void)[] = [];

  constructor(replica: Replica, ports: EnginePorts) {
    this.#replica = replica;
    this.#ports = ports;
  }

  /** Whose stream is being applied. */
  get source(): NodeName | null {
    return this.#following?.peer.node ?? null;
  }

  /** False: the message contradicts what was agreed; the session is to be dropped. */
  received(peer: Peer, message: IncomingMessage): boolean {
    switch (message.type) {
      case messageType['resync-start']:
        return this.#resyncStart(peer, message);
      case messageType['out-of-sync-request']:
        this.#record(peer, message, recordOutOfSync, 'asked by the source');
        return true;
      case messageType.pause:
        return this.#pause(peer, message);
      case messageType.resume:
        this.#replica.update((record) => ({ ...record, paused: null }), ignore);
        return true;
      default:
        return this.#stream(peer, message);
    }
  }

  sessionEnded(peer: Peer): void {
    if (this.#following?.peer === peer) this.#end(ignoreEnd);
  }

  /** Follows nobody any more; `done` when nothing is under way. */
  stop(done: () => void): void {
    this.#end(done);
  }

  // ---------------------------------------------------------------- the stream

  #stream(peer: Peer, message: IncomingMessage): boolean {
    const following = this.#following;
    if (following?.peer !== peer || !following.isRecorded || message.epoch !== following.epoch) {
      // Of a reign or an attempt that is over; what it says is not applied.
      message.release();
      return true;
    }
    const isSound = following.queue.enqueue(message);
    if (isSound) this.progressed();
    else message.release();
    return isSound;
  }

  progressed(): void {
    if (this.#isAckDue) return;
    this.#isAckDue = true;
    this.#ports.soon(() => this.#acknowledge());
  }

  flushed(number: number): void {
    const following = this.#following;
    if (following === null) return;
    this.#acknowledge();
    send(following.peer.link, 'flushed', following.epoch, { number });
  }

  inOrder(message: IncomingMessage, next: () => void): void {
    const following = this.#following;
    if (following === null) {
      next();
      return;
    }
    const { peer } = following;
    switch (message.type) {
      case messageType.clear:
        if (!this.#clear(message)) peer.link.drop();
        next();
        return;
      case messageType.generation:
        if (!this.#generation(following, message, next)) peer.link.drop();
        return;
      case messageType['resync-finish']:
        if (!this.#finish(following, message, next)) peer.link.drop();
        return;
      case messageType.compare:
        if (!this.#compare(following, message, next)) peer.link.drop();
        return;
      default:
        peer.link.drop();
    }
  }

  /** FAULTS 31: never acknowledged, never tried again as if nothing had been; the replica says so durably. */
  failed(volume: Volume, during: string, error: Error): void {
    const following = this.#following;
    this.#replica.diskFailed(volume, during, error);
    this.#replica.update(
      (record) => ({ ...recordOutOfSync(record), consistent: false }),
      (failure) => {
        if (failure !== null || following === null) return;
        sendJson(following.peer.link, 'refused', following.epoch, 0, {
          what: 'write',
          code: 'device-failed',
          message: `${during} failed: ${error.message}`.slice(0, 500),
        });
      },
    );
  }

  #acknowledge(): void {
    this.#isAckDue = false;
    const following = this.#following;
    if (following === null || !following.isRecorded) return;
    const { receivedThrough: received, writtenThrough: written } = following.queue;
    const { written: writtenBefore, received: receivedBefore } = this.#acknowledged;
    if (written === writtenBefore && received === receivedBefore) return;
    this.#acknowledged = { written, received };
    send(following.peer.link, 'ack', following.epoch, { number: written, offset: received });
  }

  #clear(message: IncomingMessage): boolean {
    const clear = readJson(message, ClearPayload);
    const volume = this.#replica.volumes[message.volume];
    if (clear === null || volume === undefined) return false;
    for (const node of clear.peers) {
      const log = volume.logs.get(node);
      for (const [first, last] of clear.ranges) {
        if (log !== undefined && first <= last && last < log.regionCount) log.clear(first, last);
      }
      log?.persist(ignore);
    }
    return true;
  }

  /** Stored before the first write of it is applied (I8). */
  #generation(following: Following, message: IncomingMessage, next: () => void): boolean {
    const content = readJson(message, GenerationPayload);
    if (content === null) return false;
    const { generation, away } = content;
    const { peer, epoch } = following;
    this.#replica.update(
      (record) => followGeneration(record, peer.node, generation, away),
      (error) => {
        if (error !== null || this.#following !== following) return;
        sendJson(peer.link, 'generation-stored', epoch, 0, { generation });
        next();
      },
    );
    return true;
  }

  #compare(following: Following, message: IncomingMessage, next: () => void): boolean {
    const { number, volume } = message;
    const { peer, epoch } = following;
    return compareHere(this.#replica, message, (error, differing) => {
      if (this.#following !== following) return;
      // A disk that cannot be read, or a log that cannot be written: no answer is given on its strength (FAULTS 31).
      if (error !== null) peer.link.drop();
      else {
        send(peer.link, 'compared', epoch, { volume, number, payload: differing });
        next();
      }
    });
  }

  #finish(following: Following, message: IncomingMessage, next: () => void): boolean {
    const finish = readJson(message, ResyncFinishPayload);
    if (finish === null) return false;
    const { peer, epoch } = following;
    const replica = this.#replica;
    const attempt = message.number;
    // 1. Everything that came before is on stable storage, and our logs cover what third replicas lack.
    const flushes = replica.volumes.map(
      (volume): Step =>
        (done) =>
          volume.device.flush(done),
    );
    inSequence(
      [(done) => peer.logs.merge(replica, finish.logs, done), (done) => allOf(flushes, done)],
      (flushError) => {
        if (this.#following !== following || replica.failure !== null) return;
        if (flushError !== null) {
          const [volume] = replica.volumes;
          if (volume !== undefined) this.failed(volume, 'flush', flushError);
          return;
        }
        // 2. Only then is it said to be in sync, at the source's generation (I8).
        const source = { node: peer.node, inSync: finish.inSync, generation: finish.generation };
        replica.update(
          (record) => ({
            ...replica.asLogsAre(resyncTargetFinished(record, source, replica.node, finish.logs), peer.node),
            crashedSource: false,
            dataCorrupt: false,
          }),
          (error) => {
            if (error !== null || this.#following !== following) return;
            send(peer.link, 'resync-finished', epoch, { number: attempt });
            next();
          },
        );
      },
    );
    return true;
  }

  // ---------------------------------------------------------------- beginning and end

  #resyncStart(peer: Peer, message: IncomingMessage): boolean {
    const start = readJson(message, ResyncStartPayload);
    if (start === null || start.mark.source !== peer.node) return false;
    const refusal = this.#refusal(peer, message.epoch, start);
    if (refusal !== null) {
      refuse(peer, message, 'resync-start', refusal);
      return true;
    }
    // 1. Nothing of another session is being written any more.
    this.#end(() => {
      if (!peer.link.established || this.#following !== null) return;
      const following = {
        peer,
        epoch: message.epoch,
        queue: new ApplyQueue(this.#replica, this),
        isRecorded: false,
      };
      this.#following = following;
      this.#acknowledged = { written: 0, received: 0 };
      // 2. A log that could not be written once covers everything from now on, or there is no resync.
      this.#revive(peer.node, (reviveError) => {
        if (reviveError !== null || this.#following !== following) {
          if (reviveError !== null) refuse(peer, message, 'resync-start', 'device-failed');
          return;
        }
        this.#begin(following, message, start);
      });
    });
    return true;
  }

  #begin(following: Following, message: IncomingMessage, start: ResyncStartPayload): void {
    const { peer } = following;
    // 3. Out of sync, and inconsistent if anything will be copied, durably.
    const marked = start.markedRegions + this.#replica.markedRegions(peer.node);
    const isCopied = start.mark.kind === 'full' || marked > 0;
    const change: Change = (record) => ({
      ...(isCopied ? resyncTargetStarted(record, start.mark) : recordOutOfSync(record)),
      epoch: message.epoch,
      lastOwner: false,
      handedTo: null,
    });
    this.#recordDurably(message.epoch, peer, change, 'a resync begins', (error) => {
      if (error !== null || this.#following !== following) return;
      following.isRecorded = true;
      // 4. Our own bits: what the source copies is the union.
      sendBitmaps(peer.link, this.#replica, message.epoch, message.number, peer.node, aboutReceiver);
      this.#sendRecorded(peer, message);
    });
  }

  #revive(source: NodeName, done: Done): void {
    const invalid = this.#replica.volumes.filter(({ logs }) => logs.get(source)?.state === 'invalid');
    const steps = invalid.map(
      (volume): Step =>
        (next) => {
          volume.logs.get(source)?.markAll((error) => {
            volume.selectMarkable();
            next(error);
          });
        },
    );
    allOf(steps, done);
  }

  /** Epochs (I11), promises (rule 7) and generations may veto; the target refuses on its own account. */
  #refusal(peer: Peer, epoch: Epoch, { forced }: ResyncStartPayload): OrderRefusal | null {
    const { record } = this.#replica;
    if (this.#replica.failure !== null) return 'device-failed';
    if (record.role !== 'target') return 'target-unreachable';
    if (epoch < record.epoch || epoch < record.promised) return 'stale-epoch';
    if (epoch === record.promised && record.promisedTo !== null && record.promisedTo !== peer.node) {
      return 'stale-epoch';
    }
    // Two sources with one epoch are a conflict: who is followed already is not left for the other one.
    const following = this.#following;
    if (following !== null && following.peer !== peer && epoch <= following.epoch) return 'stale-epoch';
    if (record.paused !== null) return 'target-paused';
    if (forced) return null;
    if (peer.theirs === null) return 'target-unreachable';
    const verdict = compareGenerations(this.#replica.generationRecord(peer.node, false), peer.theirs.record);
    switch (verdict.verdict) {
      case 'in-sync':
        return null;
      case 'resync':
        return verdict.source === 'theirs' ? null : 'target-out-of-sync';
      case 'split-brain':
        return 'split-brain';
      case 'unrelated':
        return 'unrelated-data';
      case 'no-source':
        return 'target-inconsistent';
      default:
        return verdict satisfies never;
    }
  }

  #pause(peer: Peer, message: IncomingMessage): boolean {
    const content = readJson(message, ReasonPayload);
    if (content === null) return false;
    const { reason } = content;
    this.#record(peer, message, (record) => ({ ...recordOutOfSync(record), paused: reason }), reason);
    return true;
  }

  #record(peer: Peer, message: IncomingMessage, change: Change, because: string): void {
    if (message.epoch < this.#replica.record.epoch) {
      refuse(peer, message, 'out-of-sync-request', 'stale-epoch');
      return;
    }
    // A finish that is still on its way here must not undo it.
    this.#end(ignoreEnd);
    this.#recordDurably(message.epoch, peer, change, because, (error) => {
      if (error === null) this.#sendRecorded(peer, message);
    });
  }

  #recordDurably(
    epoch: Epoch,
    peer: Peer,
    change: Change,
    because: string,
    done: (error: Error | null) => void,
  ): void {
    const source = peer.node;
    if (this.#replica.record.inSync) {
      this.#replica.observe({ type: 'out-of-sync', source, epoch, because }, change, done);
    } else {
      this.#replica.update(change, done);
    }
  }

  #sendRecorded(peer: Peer, message: IncomingMessage): void {
    const markedRegions = this.#replica.markedRegions(peer.node);
    const { consistent } = this.#replica.record;
    sendJson(peer.link, 'recorded', message.epoch, message.number, { markedRegions, consistent });
  }

  #end(done: () => void): void {
    const following = this.#following;
    this.#following = null;
    if (following !== null) {
      this.#endingCount += 1;
      following.queue.end(() => {
        this.#endingCount -= 1;
        if (this.#endingCount > 0) return;
        const waiting = this.#whenEnded;
        this.#whenEnded = [];
        for (const waiter of waiting) waiter();
      });
    }
    if (this.#endingCount === 0) done();
    else this.#whenEnded.push(done);
  }
}

const ignoreEnd = () => undefined;

function refuse(peer: Peer, message: IncomingMessage, what: MessageName, code: OrderRefusal): void {
  sendJson(peer.link, 'refused', message.epoch, message.number, {
    what,
    code,
    message: `${what} of epoch ${message.epoch} is refused: ${code}`,
  });
}
