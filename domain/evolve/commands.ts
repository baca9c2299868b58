import type { ClusterState, CommandState } from '../state.ts';

/** So many that have ended, and so many that run, are kept at least. */
export const commandsKept = 256;

/**
 * The state knows the latest commands only, so that it does not grow for ever (FAULTS I16). Cut now and then: to look for
 * the oldest at each command would cost more than the rest of the fold.
 */
export function setCommand(state: ClusterState, id: string, command: CommandState): void {
  if (state.commands[id] === undefined) state.commandCount += 1;
  state.commands[id] = command;
  if (state.commandCount < 4 * commandsKept) return;
  const known = Object.entries(state.commands);
  const ended = known.filter(([, { outcome }]) => outcome !== 'running').slice(-commandsKept);
  const running = known.filter(([, { outcome }]) => outcome === 'running').slice(-commandsKept);
  const kept = new Set([...ended, ...running].map(([name]) => name));
  for (const [name] of known) if (!kept.has(name)) delete state.commands[name];
  state.commandCount = kept.size;
}
