/**
 * Resolves when somebody wants the lab to end. Its processes have groups of their own, so that Ctrl-C is the lab's
 * alone: asked for before the first of them is started, none is left behind.
 */
export function untilInterrupted(): Promise<void> {
  return new Promise((ended) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => ended());
  });
}
