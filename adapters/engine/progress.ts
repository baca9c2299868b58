import { type NodeName, regionSize } from '../../domain/vocabulary.ts';
import type { Clock } from './clock.ts';
import type { Notice } from './control-protocol.ts';
import type { Resync } from './resync.ts';

const intervalMs = 5000;

/** Percent, speed and time left of a resync; told at most every 5 s, and only if the percent changed (REQUIREMENTS 2.7). */
export class ResyncProgress {
  readonly #resync: Resync;
  readonly #peer: NodeName;
  readonly #clock: Clock;
  readonly #notify: (notice: Notice) => void;
  #percentTold: number;
  #bytesBefore = 0;
  #atMs: number;
  #speed: number | null = null;

  constructor(resync: Resync, peer: NodeName, clock: Clock, notify: (notice: Notice) => void) {
    this.#resync = resync;
    this.#peer = peer;
    this.#clock = clock;
    this.#notify = notify;
    this.#percentTold = resync.percent;
    this.#atMs = clock.nowMs();
  }

  get percent(): number {
    return this.#resync.percent;
  }

  get speedBytesPerSecond(): number | null {
    return this.#speed;
  }

  get etaSeconds(): number | null {
    const bytesLeft = this.#resync.regionsLeft * regionSize;
    return this.#speed === null || this.#speed === 0 ? null : Math.ceil(bytesLeft / this.#speed);
  }

  tick(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#atMs < intervalMs) return;
    const { percent, bytesCopied, regionsLeft } = this.#resync;
    const speedBytesPerSecond = Math.round(((bytesCopied - this.#bytesBefore) * 1000) / (nowMs - this.#atMs));
    this.#speed = speedBytesPerSecond;
    this.#bytesBefore = bytesCopied;
    this.#atMs = nowMs;
    if (percent === this.#percentTold) return;
    this.#percentTold = percent;
    const { etaSeconds } = this;
    const bytesLeft = regionsLeft * regionSize;
    this.#notify({
      notice: 'resync-progressed',
      peer: this.#peer,
      percent,
      bytesLeft,
      speedBytesPerSecond,
      etaSeconds,
    });
  }
}
