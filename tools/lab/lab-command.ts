import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Terminal } from '../cli/terminal.ts';
import { journalCommand } from '../journal-command.ts';
import { Exit, exitCodes, type Output, runProgram } from '../program.ts';
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
  try {
    const lab = await Lab.start({ folder, heartbeat: storyHeartbeat });
    const end = await playStory(lab, (line) => void output.out(`${line}\n`)).finally(() => lab.stop());
    await output.out('\nThe journals, offline: chains, signatures, and every decision decided again\n');
    for (const { node, options } of lab.nodes.values()) await verifyJournal(output, node, options.folder);
    await output.out(`\nAll of it held: ${end.checkCount + lab.nodes.size} checks.\n`);
  } catch (error) {
    if (error instanceof Exit) throw error;
    throw new Exit(exitCodes.refused, error instanceof Error ? error.message : String(error));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function verifyJournal(output: Output, node: string, data: string): Promise<void> {
  await output.out(`  $ npx mirrorkeeper journal verify --decisions --data .lab/${node}\n  ✓ `);
  const args = ['journal', 'verify', '--decisions', '--data', data];
  const exitCode = await runProgram([journalCommand(output)], args, output);
  if (exitCode !== exitCodes.done)
    throw new Exit(exitCodes.damaged, `the journal of ${node} does not verify`);
}
