import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'nats';

/** What a command over the bus cannot do without: a request and its reply, and bytes forced to disk. */
export interface Baseline {
  /** Milliseconds of one bare request and reply. */
  roundTrip(): Promise<number>;
  /** Milliseconds of one append of `byteCount` bytes, forced to disk. */
  append(byteCount: number): number;
  close(): Promise<void>;
}

export async function openBaseline(url: string, folder: string): Promise<Baseline> {
  const [asking, answering] = await Promise.all([connect({ servers: url }), connect({ servers: url })]);
  answering.subscribe('baseline', {
    callback: (_error, message) => {
      message.respond(message.data);
    },
  });
  await answering.flush();
  const file = openSync(join(folder, 'baseline'), 'a');
  const payload = Buffer.alloc(300, 'x');
  return {
    roundTrip: () => timed(() => asking.request('baseline', payload, { timeout: 10_000 })),
    append: (byteCount) => {
      const bytes = Buffer.alloc(byteCount, 'x');
      const began = performance.now();
      writeSync(file, bytes);
      fdatasyncSync(file);
      return performance.now() - began;
    },
    close: async () => {
      closeSync(file);
      await Promise.all([asking.close(), answering.close()]);
    },
  };
}

/** Milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}
