import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.ts';
import { FileStorage } from './file-storage.ts';
import { NbdExports } from './nbd-exports.ts';
import type { EnginePorts } from './ports.ts';
import { openTcpNetwork } from './tcp-network.ts';

export const monotonicClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** This machine: its clock, files, network and NBD clients. */
export function realPorts(holder: string): EnginePorts {
  return {
    clock: monotonicClock,
    wallTimeMs: () => Date.now(),
    soon: (run) => queueMicrotask(run),
    randomHex: (byteCount) => randomBytes(byteCount).toString('hex'),
    storage: new FileStorage(holder),
    openNetwork: (options, ready) => openTcpNetwork(monotonicClock, options, ready),
    exports: new NbdExports(),
  };
}
