import { Buffer } from 'node:buffer';
import { regionSize } from '../../domain/vocabulary.ts';
import { bulkPayloadBytesMax, type IncomingMessage } from '../link/link.ts';
import { compareFlag } from '../link/protocol.ts';
import { send } from './messages.ts';
import type { Peer } from './peer.ts';
import { differingBits, digestBytes, digestsOf, hasBit } from './region-digests.ts';
import type { MirrorState, Reign } from './reign.ts';
import type { Replica } from './replica.ts';
import { allOf, type Step } from './sequence.ts';
import { markRegions, type Volume } from './volume.ts';

/*
 * Comparing by checksums, beside the writes (REQUIREMENTS 2.7, 2.9). The source holds the range, so that no write to
 * it is in flight here, and sends the digests of its regions in the stream of writes: the target compares in that
 * place of the stream, when everything before is written and nothing after has begun. So both look at the same moment.
 */

/** `differing`: bits of the regions that differ; null: the session ended before the answer. */
type Answered = (differing: Uint8Array | null) => void;

interface Asked {
  readonly answered: Answered;
  readonly sinceMs: number;
}

/** The source's side, of one mirror. */
export class Comparisons {
  readonly #reign: Reign;
  readonly #peer: Peer;
  readonly #state: MirrorState;
  readonly #waiting = new Map<number, Asked>();
  #number = 0;

  constructor(reign: Reign, peer: Peer, state: MirrorState) {
    this.#reign = reign;
    this.#peer = peer;
    this.#state = state;
  }

  /** When the oldest question without an answer was asked, or null: a resync holds its range until then. */
  get oldestMs(): number | null {
    return this.#waiting.values().next().value?.sinceMs ?? null;
  }

  /** `marks`: the target marks in its logs what differs, before it answers. */
  ask(volume: Volume, offset: number, bytes: Uint8Array, marks: boolean, answered: Answered): void {
    if (!this.#state.isLive) {
      answered(null);
      return;
    }
    this.#number += 1;
    this.#waiting.set(this.#number, { answered, sinceMs: this.#reign.clock.nowMs() });
    send(this.#peer.link, 'compare', this.#reign.epoch, {
      flags: marks ? compareFlag.mark : 0,
      volume: volume.index,
      number: this.#number,
      offset,
      byteCount: bytes.length,
      payload: digestsOf(bytes),
    });
  }

  /** False: nobody asked. */
  answered({ number, payload }: IncomingMessage): boolean {
    const asked = this.#waiting.get(number);
    if (asked === undefined) return false;
    this.#waiting.delete(number);
    asked.answered(Uint8Array.from(payload));
    return true;
  }

  sessionEnded(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { answered } of waiting) answered(null);
  }
}

/** The target's side. False: the message does not fit the volume. `done` with the bits, or with what failed. */
export function compareHere(
  replica: Replica,
  message: IncomingMessage,
  done: (error: Error | null, differing: Uint8Array) => void,
): boolean {
  const volume = replica.volumes[message.volume];
  const { offset, byteCount, payload } = message;
  const isSound =
    volume?.contains(offset, byteCount) === true &&
    offset % regionSize === 0 &&
    byteCount <= bulkPayloadBytesMax &&
    payload.length === Math.ceil(byteCount / regionSize) * digestBytes;
  if (!isSound) return false;
  const theirs = Buffer.from(payload);
  const bytes = Buffer.allocUnsafe(byteCount);
  volume.device.read(bytes, offset, (error) => {
    if (error !== null) {
      replica.diskFailed(volume, 'verify', error);
      done(error, new Uint8Array());
      return;
    }
    const differing = differingBits(digestsOf(bytes), theirs);
    if ((message.flags & compareFlag.mark) === 0) done(null, differing);
    else markDiffering(replica, volume, offset, byteCount, differing, (failure) => done(failure, differing));
  });
  return true;
}

/** In every log of the volume: what differs from the source may differ from everybody (I5). */
function markDiffering(
  replica: Replica,
  volume: Volume,
  offset: number,
  byteCount: number,
  differing: Uint8Array,
  done: (error: Error | null) => void,
): void {
  const steps: Step[] = [];
  for (let at = 0; at < byteCount; at += regionSize) {
    if (!hasBit(differing, at / regionSize)) continue;
    const length = Math.min(regionSize, byteCount - at);
    steps.push((next) => mark(replica, volume, offset + at, length, next));
  }
  allOf(steps, done);
}

function mark(
  replica: Replica,
  volume: Volume,
  offset: number,
  byteCount: number,
  done: (error: Error | null) => void,
): void {
  const isMarked = markRegions(volume, offset, byteCount, (error) => {
    if (error === null) done(null);
    else replica.logsFailed(volume, error, done);
  });
  if (isMarked) done(null);
}
