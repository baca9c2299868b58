import type { ClusterState, CommandState } from '../state.ts';

/** So many that have ended are kept at least. */
export const commandsKept = 64;
/** And so many that have not, which is more than run at once. */
const runningKept = 4096;

/**
 * The state knows the latest commands only, so that it does not grow for ever (FAULTS I16). Cut now and then: to look for
 * the oldest at each command would cost more than the rest of the fold.
 */
export function setCommand(state: ClusterState, id: string, command: CommandState): void {
  if (state.commands[id] === undefined) state.newCommands += 1;
  state.commands[id] = command;
  if (state.newCommands < 2 * commandsKept) return;
  state.newCommands = 0;
  const known = Object.entries(state.commands);
  const ended = known.filter(([, { outcome }]) => outcome !== 'running');
  const running = known.filter(([, { outcome }]) => outcome === 'running');
  for (const [old] of [...ended.slice(0, -commandsKept), ...running.slice(0, -runningKept)])
    delete state.commands[old];
}
