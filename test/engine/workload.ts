import type { Export } from '../../adapters/nbd/export.ts';

/** Numbers that look random and are the same in every run (mulberry32). */
export function dice(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export interface WorkloadOptions {
  readonly seed: number;
  readonly count: number;
  readonly depth: number;
  readonly volumeBytes: number;
  /** Writes, zeros and trims of 1 to this many sectors, so that many overlap. */
  readonly sectorsMax: number;
}

const sector = 512;

/** Overlapping writes, zeros, trims and flushes, many in flight. Ends when all are acknowledged. */
export function runWorkload(target: Export, options: WorkloadOptions): Promise<void> {
  const roll = dice(options.seed);
  return new Promise((resolve, reject) => {
    let issued = 0;
    let inFlight = 0;
    const ended = (error: Error | null) => {
      inFlight -= 1;
      if (error !== null) reject(error);
      else if (issued === options.count && inFlight === 0) resolve();
      else if (!isIssuing) more();
    };
    let isIssuing = false;
    const more = () => {
      isIssuing = true;
      while (issued < options.count && inFlight < options.depth) {
        issued += 1;
        inFlight += 1;
        issue(target, roll, issued, options, ended);
      }
      isIssuing = false;
      if (issued === options.count && inFlight === 0) resolve();
    };
    more();
  });
}

function issue(
  target: Export,
  roll: (below: number) => number,
  number: number,
  { volumeBytes, sectorsMax }: WorkloadOptions,
  done: (error: Error | null) => void,
): void {
  const sectors = 1 + roll(sectorsMax);
  const offset = sector * roll(volumeBytes / sector - sectors);
  const byteCount = sectors * sector;
  switch (roll(16)) {
    case 0:
      target.zero(offset, byteCount, { fua: roll(2) === 0, mayTrim: roll(2) === 0 }, done);
      return;
    case 1:
      target.trim(offset, byteCount, false, done);
      return;
    case 2:
      target.flush(done);
      return;
    default: {
      const bytes = Buffer.alloc(byteCount);
      for (let at = 0; at < byteCount; at += sector) bytes.writeUInt32LE(number, at);
      target.write(bytes, offset, roll(20) === 0, done);
    }
  }
}
