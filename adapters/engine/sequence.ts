import type { Done } from '../block/block-device.ts';

/** A step that ends by calling `next`, with an error if the rest is not to be done. */
export type Step = (next: Done) => void;

/** One step after the other; the first error ends it. Steps may end before they return. */
export function inSequence(steps: readonly Step[], done: Done): void {
  const step = steps[0];
  if (step === undefined) done(null);
  else step((error) => (error === null ? inSequence(steps.slice(1), done) : done(error)));
}

/** All at once; `done` when the last has ended, with the first error. */
export function allOf(steps: readonly Step[], done: Done): void {
  let left = steps.length + 1;
  let failure: Error | null = null;
  const ended: Done = (error) => {
    failure ??= error;
    left -= 1;
    if (left === 0) done(failure);
  };
  for (const step of steps) step(ended);
  ended(null);
}
