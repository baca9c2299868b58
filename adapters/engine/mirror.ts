import {
  generationConfirmed,
  isStillGivenUp,
  losePeer,
  needsGeneration,
  type ResyncKind,
} from '../../domain/generation-state.ts';
import { compareGenerations, type Verdict } from '../../domain/generations.ts';
import type { Generation } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { IncomingMessage } from '../link/link.ts';
import {
  GenerationStoredPayload,
  messageType,
  RecordedPayload,
  RefusedPayload,
  type StatePayload,
} from '../link/protocol.ts';
import { Comparisons } from './comparisons.ts';
import { type Observation, type OrderRefusal, orderRefusals } from './control-protocol.ts';
import { readJson, send, sendJson } from './messages.ts';
import { MirrorResync } from './mirror-resync.ts';
import { MirrorStream } from './mirror-stream.ts';
import type { Peer } from './peer.ts';
import { Refused } from './refusal.ts';
import { lostAfterMs, MirrorState, type Reign } from './reign.ts';
import { ignore, same } from './replica.ts';
import { inSequence, type Step } from './sequence.ts';
import { Throttle } from './throttle.ts';
import { Verify } from './verify.ts';
import type { Volume } from './volume.ts';

type Because = Extract<Observation, { type: 'peer-out-of-sync' }>['because'];

/** A resync that an operator wants, of the generation at which the peer stood then. */
interface Ordered {
  readonly kind: ResyncKind;
  readonly forced: boolean;
  readonly of: Generation | null;
}

/**
 * The source's side of one mirror: whether its peer may be copied to, and what becomes of the writes that wait for
 * it when it is gone (REQUIREMENTS 2.3).
 *
 * A broken session changes nothing about `required`: writes stall. Whoever comes back in a new session records
 * itself out of sync first and is brought up to date from the bits, however short the break was.
 */
export class Mirror {
  readonly peer: Peer;
  readonly state: MirrorState;
  readonly stream: MirrorStream;
  readonly resync: MirrorResync;
  readonly comparisons: Comparisons;
  /** Under way, or null. */
  #verify: Verify | null = null;
  readonly #reign: Reign;
  /** Of what was last asked of the peer: answers to anything older are void. */
  #number = 0;
  #ordered: Ordered | null = null;
  /** Who waits for the peer to be declared out of sync, while that is under way. */
  #declaring: Done[] | null = null;
  /** Who waits for the peer to record that it is paused. */
  readonly #pausing: Done[] = [];
  /** Number of the request to record itself out of sync, or 0. */
  #asked = 0;

  constructor(reign: Reign, peer: Peer, required: boolean) {
    this.peer = peer;
    this.#reign = reign;
    this.state = new MirrorState(reign.clock, required);
    this.stream = new MirrorStream(reign, peer, this.state);
    this.comparisons = new Comparisons(reign, peer, this.state);
    this.resync = new MirrorResync(reign, peer, this.state, this.stream, this.comparisons);
  }

  /** Regions that the peer is known not to have, of a volume. */
  isBehind(volume: Volume, region: number): boolean {
    const { behind, differing } = this.state;
    return [behind, differing].some((bits) => bits[volume.index]?.has(region) ?? false);
  }

  generationStarted(generation: Generation): void {
    if (this.state.isLive) this.stream.sendGeneration(generation);
  }

  // ---------------------------------------------------------------- what comes from the peer

  /** The session is new, or the peer's word has changed, or an order has: what follows from it. */
  consider(): void {
    const { link, theirs } = this.peer;
    if (!link.established || theirs === null) return;
    const { phase, isLive } = this.state;
    const follows = theirs.role === 'target';
    // Its own word, durable there. Not while it is being told something: that may have been said before.
    const isBeingTold = phase === 'starting' || phase === 'finishing';
    if (!theirs.record.inSync && !isBeingTold) this.#declare('recorded', ignore);
    if (isLive) {
      if (!follows || (phase === 'in-sync' && !theirs.record.inSync)) link.drop();
    } else if (!follows) {
      this.state.enter('absent');
    } else if (phase !== 'starting') {
      this.#compare(theirs);
    }
  }

  received(message: IncomingMessage): boolean {
    switch (message.type) {
      case messageType.ack:
        if (!this.stream.acknowledged(message)) return false;
        this.resync.pump();
        return true;
      case messageType.flushed:
        return this.stream.queue.flushed(message.number);
      case messageType.compared:
        return this.comparisons.answered(message);
      case messageType['generation-stored']:
        return this.#generationStored(message);
      case messageType.bitmap:
        return this.resync.bitmap(message);
      case messageType.recorded:
        return this.#recorded(message);
      case messageType['resync-finished']:
        this.resync.finished(message.number);
        return true;
      case messageType.refused:
        return this.#refused(message);
      default:
        return false;
    }
  }

  sessionEnded(): void {
    this.#verify?.stop();
    this.resync.stop();
    this.comparisons.sessionEnded();
    this.stream.queue.sessionEnded();
    this.#asked = 0;
    // Carried out, as far as it will be; one that has not got so far is tried again.
    if (this.state.isLive) this.#ordered = null;
    for (const waiter of this.#pausing.splice(0)) waiter(null);
    this.state.enter('absent');
    if (this.state.required) {
      this.#reign.notify({ notice: 'stalled', peer: this.peer.node, because: 'disconnected' });
    } else {
      this.stream.queue.release();
      this.#reign.path.wake();
    }
  }

  // ---------------------------------------------------------------- orders

  /** Told by the agent, or found by the links when there is none. */
  peerLost(done: Done): void {
    this.#declare('lost', done);
  }

  peerRecorded(done: Done): void {
    this.#declare('recorded', done);
  }

  /** Starts a resync, over what the generations say when `forced`. */
  order(kind: ResyncKind, forced: boolean): void {
    const of = this.peer.theirs?.record.current ?? null;
    if (this.state.isLive || this.state.phase === 'starting') this.peer.link.renew();
    this.#ordered = { kind, forced, of };
    this.consider();
  }

  /** Starts to compare everything, unless that is under way. Resolves to why it cannot be. */
  verify(): Refused | null {
    if (this.#verify !== null) return null;
    const { failure } = this.#reign.replica;
    if (failure !== null) {
      return new Refused(
        'device-failed',
        `the disk here failed: ${failure}; its copy is no measure of another`,
      );
    }
    const { phase } = this.state;
    if (phase !== 'in-sync') {
      const code =
        phase === 'paused' ? 'target-paused' : this.state.isLive ? 'target-resyncing' : 'target-out-of-sync';
      return new Refused(code, `${this.peer.node} is ${phase}: only a copy in sync is compared`);
    }
    const throttle = new Throttle(this.#reign.clock, this.#reign.settings);
    const verify = new Verify(this.#reign, this.peer, this.state, this.comparisons, throttle, () => {
      this.#verify = null;
    });
    this.#verify = verify;
    verify.pump();
    return null;
  }

  /** The target records that it is paused, and so out of sync; then the session ends, and it comes back as paused. */
  pause(reason: string, done: Done): void {
    this.#pausing.push(done);
    this.#asked = this.#nextNumber();
    sendJson(this.peer.link, 'pause', this.#reign.epoch, this.#asked, { reason });
  }

  /** The reign is over. */
  close(): void {
    this.#verify?.stop();
    this.resync.stop();
    this.comparisons.sessionEnded();
    this.state.required = false;
    this.state.enter('absent');
    this.stream.queue.sessionEnded();
    this.stream.queue.release();
  }

  /** `isAlone`: no controller is alive; the links decide who is lost. */
  tick(isAlone: boolean): void {
    this.stream.tick();
    this.resync.tick();
    this.#verify?.tick();
    const { clock, settings } = this.#reign;
    const nowMs = clock.nowMs();
    const { writeTimeoutMs } = settings();
    const { phase, required, isLive, sinceMs } = this.state;
    const { link } = this.peer;
    const isOld = (sinceMs: number | null) => sinceMs !== null && nowMs - sinceMs > writeTimeoutMs;
    const isLate = isLive && isOld(this.stream.queue.unansweredSinceMs);
    if (isLate && required) this.#askToRecord('write-timeout');
    const isHanging = phase === 'starting' && nowMs - sinceMs > writeTimeoutMs;
    // Nobody waits for a resync: one that is slow and gets on is left alone, or it would begin again for ever.
    const isSilent = (isLate || isOld(this.comparisons.oldestMs)) && isOld(this.stream.lastAckMs);
    const isStuck = isLive && !required && isSilent;
    if (isHanging || isStuck) link.drop();
    // A bitmap that could not be written may be writable again (FAULTS 15); the peer does not say so by itself.
    const isRefusedByDisk = phase === 'refused' && this.state.refusal === 'device-failed';
    if (isRefusedByDisk && nowMs - sinceMs > writeTimeoutMs) this.consider();
    if (!required || isLive || phase === 'starting' || nowMs - sinceMs < lostAfterMs(this.#reign)) return;
    const isUnheard = nowMs - (link.lastHeardMs ?? 0) > lostAfterMs(this.#reign);
    if (link.established) this.#askToRecord('disconnected');
    else if (isAlone && isUnheard) this.#declare('lost', ignore);
  }

  // ---------------------------------------------------------------- may it be copied to?

  #compare(theirs: StatePayload): void {
    const { replica } = this.#reign;
    const { node: peer, pauseReason } = this.peer;
    const { volumes } = replica;
    const misfit =
      volumes.find(({ byteSize }, index) => theirs.volumes[index]?.byteSize !== byteSize) ??
      (theirs.volumes.length === volumes.length ? undefined : volumes[0]);
    if (misfit !== undefined) {
      this.#refuse('target-too-small', { type: 'target-too-small', peer, volume: misfit.name });
    } else if (theirs.paused !== null) {
      this.state.enter('paused');
    } else if (pauseReason !== null) {
      this.pause(pauseReason, ignore);
    } else if (this.#isStillOrdered(theirs) && this.#ordered?.forced === true) {
      this.#start(this.#ordered.kind, 'ordered', true);
    } else {
      this.#follow(compareGenerations(replica.generationRecord(peer, true), theirs.record));
    }
  }

  /** An order is void once the peer has got other data than those that it was given for: the generations decide. */
  #isStillOrdered(theirs: StatePayload): boolean {
    const ordered = this.#ordered;
    if (ordered === null) return false;
    if (!isStillGivenUp(this.#reign.replica.record, ordered.of, theirs.record.current)) this.#ordered = null;
    return this.#ordered !== null;
  }

  #follow(verdict: Verdict): void {
    const peer = this.peer.node;
    switch (verdict.verdict) {
      case 'in-sync':
        this.#start('partial', verdict.row, false);
        return;
      case 'resync':
        if (verdict.source === 'mine') this.#start(verdict.kind, verdict.row, false);
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

  #start(kind: ResyncKind, row: string, forced: boolean): void {
    this.resync.start(this.#nextNumber(), this.#ordered?.kind ?? kind, row, forced);
  }

  #refuse(code: OrderRefusal, observation: Observation | null): void {
    const isNew = this.state.refusal !== code;
    this.state.enter('refused');
    this.state.refusal = code;
    if (isNew && observation !== null) this.#reign.replica.observe(observation, same, ignore);
  }

  #refused(message: IncomingMessage): boolean {
    const refused = readJson(message, RefusedPayload);
    if (refused === null) return false;
    // FAULTS 31: its disk failed, and it has recorded durably that it is not in sync.
    if (refused.what === 'write') this.#declare('failed', ignore);
    if (this.state.phase === 'starting' && message.number === this.#number) {
      this.#refuse(orderRefusals.find((code) => code === refused.code) ?? 'target-unreachable', null);
    }
    return true;
  }

  #generationStored(message: IncomingMessage): boolean {
    const stored = readJson(message, GenerationStoredPayload);
    if (stored === null) return false;
    const { replica } = this.#reign;
    replica.update((record) => generationConfirmed(record, this.peer.node, stored.generation), ignore);
    return true;
  }

  #recorded(message: IncomingMessage): boolean {
    const recorded = readJson(message, RecordedPayload);
    if (recorded === null) return false;
    if (message.number !== this.#asked) {
      this.resync.recorded(message.number, recorded);
      return true;
    }
    const pausing = this.#pausing.splice(0);
    this.#declare(this.peer.pauseReason === null ? 'recorded' : 'paused', (error) => {
      if (error === null && this.state.isLive) this.peer.link.drop();
      for (const waiter of pausing) waiter(error);
    });
    return true;
  }

  // ---------------------------------------------------------------- losing the peer

  /** "Out of sync since generation g" is durable here, then a generation if one is due; then nothing waits for it. */
  #declare(because: Because, done: Done): void {
    if (!this.state.required) {
      done(null);
      return;
    }
    if (this.#declaring !== null) {
      this.#declaring.push(done);
      return;
    }
    this.#declaring = [done];
    const { replica, path, ensureGeneration } = this.#reign;
    const { node } = this.peer;
    const since = replica.record.generation.current;
    const observation = { type: 'peer-out-of-sync', peer: node, since, because } as const;
    const steps: Step[] = [
      (next) => replica.observe(observation, (record) => losePeer(record, node), next),
      (next) => {
        path.generationDue = needsGeneration(replica.record);
        if (this.stream.queue.isAwaited) ensureGeneration(next);
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
    this.state.required = false;
    // The session may still be reading buffers that the application is about to get back.
    if (this.state.isLive) this.peer.link.drop();
    this.stream.queue.release();
    this.#reign.path.wake();
    this.consider();
  }

  #askToRecord(because: 'disconnected' | 'write-timeout'): void {
    if (this.#asked !== 0) return;
    this.#asked = this.#nextNumber();
    this.#reign.notify({ notice: 'stalled', peer: this.peer.node, because });
    send(this.peer.link, 'out-of-sync-request', this.#reign.epoch, { number: this.#asked });
  }

  #nextNumber(): number {
    this.#number += 1;
    return this.#number;
  }
}
