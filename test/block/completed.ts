import type { Done } from '../../adapters/block/block-device.ts';

/** A callback operation as a promise. */
export function completed(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
