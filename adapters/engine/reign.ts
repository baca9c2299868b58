import type { Epoch, NodeName } from '../../domain/vocabulary.ts';
import type { Bitmap } from '../block/bitmap.ts';
import type { Done } from '../block/block-device.ts';
import type { Clock } from './clock.ts';
import type { Notice, OrderRefusal, ResourceSettings } from './control-protocol.ts';
import type { Replica } from './replica.ts';
import type { WritePath } from './write-path.ts';

/** What all mirrors of one reign share. */
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
  /** The replicas that do not take part in the present generation. */
  readonly away: () => readonly NodeName[];
}

export const lostAfterMs = ({ settings }: Pick<Reign, 'settings'>): number =>
  settings().heartbeatMs * settings().lostAfter;

/**
 * `absent`    no session, or the peer does not follow;
 * `refused`   it may not be copied to (`refusal`);
 * `paused`    it says so;
 * `starting`  it has been told to record itself out of sync, and answers with its bits;
 * `copying`   the resync runs; writes are sent, nothing waits for them;
 * `finishing` it has been, or is about to be, told to count itself as in sync;
 * `in-sync`   it has confirmed that.
 */
export type MirrorPhase = 'absent' | 'refused' | 'paused' | 'starting' | 'copying' | 'finishing' | 'in-sync';

/** Where a mirror stands: read by all its parts. */
export class MirrorState {
  /**
   * True whenever the peer may believe that it is in sync. Then nothing is acknowledged that it has not got. It
   * becomes true before the peer is told to finish a resync, and false only when the peer has durably recorded
   * itself out of sync, or is lost, and that is durable here as well.
   */
  required: boolean;
  /** The peer has followed this reign to the end of a resync: it knows that there may be writes that it lacks. */
  isKnown = false;
  refusal: OrderRefusal | null = null;
  /** Per volume, the regions that the peer does not have, while a resync runs. */
  behind: readonly Bitmap[] = [];
  /** Per volume, regions that a verify has found to differ, until a resync begins to copy them; empty: none. */
  differing: readonly Bitmap[] = [];
  #phase: MirrorPhase = 'absent';
  #sinceMs: number;
  readonly #clock: Clock;

  constructor(clock: Clock, required: boolean) {
    this.#clock = clock;
    this.required = required;
    this.#sinceMs = clock.nowMs();
  }

  get phase(): MirrorPhase {
    return this.#phase;
  }

  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Writes are sent to the peer. */
  get isLive(): boolean {
    return this.#phase === 'copying' || this.#phase === 'finishing' || this.#phase === 'in-sync';
  }

  enter(phase: MirrorPhase): void {
    if (phase !== 'refused') this.refusal = null;
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#sinceMs = this.#clock.nowMs();
  }
}
