import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Terminal } from '../cli/terminal.ts';
import { Exit, exitCodes } from '../program.ts';
import { Lab } from './lab.ts';
import { playStory } from './story.ts';

/** Seconds: so that nobody has to wait long until a node counts as lost. */
const storyHeartbeat = 0.2;

export function labCommand(terminal: Terminal): Command {
  return new Command('lab')
    .description('a whole cluster on this machine, to try')
    .option('--story', 'play an incident from start to end, and verify the data at every turn')
    .action((options: { readonly story?: true }) => (options.story ? story(terminal) : Promise.resolve()));
}

async function story({ output }: Terminal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mk-story-'));
  const lab = await Lab.start({ folder, heartbeat: storyHeartbeat });
  try {
    const { checkCount } = await playStory(lab, (line) => void output.out(`${line}\n`));
    await output.out(`\nAll of it held: ${checkCount} checks.\n`);
  } catch (error) {
    throw new Exit(exitCodes.refused, error instanceof Error ? error.message : String(error));
  } finally {
    await lab.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
