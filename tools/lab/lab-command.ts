import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { readLabContext } from '../cli/lab-context.ts';
import { parseNode } from '../cli/names.ts';
import { parseSize } from '../cli/quantities.ts';
import type { Terminal } from '../cli/terminal.ts';
import { journalCommand } from '../journal-command.ts';
import { Exit, exitCodes, type Output, runProgram } from '../program.ts';
import { type LabOrder, nodeOrders, noLab, orderLab } from './control.ts';
import { untilInterrupted } from './interrupt.ts';
import { Lab } from './lab.ts';
import { runLab } from './run-lab.ts';
import { playStory } from './story.ts';

const orderHelp: Readonly<Record<(typeof nodeOrders)[number], string>> = {
  kill: 'take the power from a node: agent and engines are killed',
  stop: 'shut a node down in order',
  partition: 'cut a node off from the bus and from every other node',
  heal: 'mend its cables, and start it if it does not run',
};

/** `lab`: a whole cluster on this machine, and what can be done to it from a second terminal. */
export function labCommand(terminal: Terminal): Command {
  const lab = new Command('lab')
    .description('a whole cluster on this machine, to try')
    .option('--story', 'play an incident from start to end, and verify the data at every turn')
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper lab                  and, in a second terminal:
  mirrorkeeper lab write 16M
  mirrorkeeper lab kill eve
  mirrorkeeper lab verify
  mirrorkeeper lab heal eve`,
    )
    .action((options: { readonly story?: true }) =>
      sentencesOnly(options.story ? tellStory(terminal) : runLab(terminal)),
    );
  for (const order of nodeOrders)
    lab
      .command(order)
      .description(orderHelp[order])
      .argument('<node>', 'eve, adam or sophocles', parseNode)
      .action((node: string) => give(terminal, { order, node }));
  lab
    .command('write')
    .description('write random data through the device; what it acknowledges is remembered by checksum')
    .argument('[bytes]', 'how much (K, M, G; default: 8M)', parseSize)
    .action((bytes: number | undefined) => give(terminal, { order: 'write', bytes: bytes ?? null }));
  lab
    .command('verify')
    .description('compare the device and every up-to-date copy with what was acknowledged')
    .argument('[bytes]', 'only the last so many (default: all)', parseSize)
    .action((bytes: number | undefined) => give(terminal, { order: 'verify', bytes: bytes ?? null }));
  return lab;
}

async function give({ output }: Terminal, order: LabOrder): Promise<void> {
  const context = await readLabContext();
  if (context === null) throw new Exit(exitCodes.unreachable, noLab);
  const { ok, wrong, text } = await orderLab(context.control, order);
  if (!ok) throw new Exit(wrong ? exitCodes.damaged : exitCodes.refused, text);
  await output.out(`${text}\n`);
}

/** Seconds: so that nobody has to wait long until a node counts as lost. */
const storyHeartbeat = 0.2;

async function tellStory({ output }: Terminal): Promise<void> {
  const interrupted = untilInterrupted().then(() => {
    throw new Exit(exitCodes.refused, 'interrupted: everything was stopped, nothing is kept');
  });
  // While the lab starts nobody waits for it yet.
  interrupted.catch(() => undefined);
  const folder = await mkdtemp(join(tmpdir(), 'mk-story-'));
  try {
    const lab = await Lab.start({ folder, cacheFolder: resolve('.cache'), heartbeat: storyHeartbeat });
    const say = (line: string) => void output.out(`${line}\n`);
    const story = Promise.race([playStory(lab, say), interrupted]);
    const { checkCount } = await story.finally(() => lab.stop());
    await output.out('\nThe journals, offline: chains, signatures, and every decision decided again\n');
    for (const { node, options } of lab.nodes.values()) await verifyJournal(output, node, options.folder);
    await output.out(`\nAll of it held: ${checkCount + lab.nodes.size} checks.\n`);
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

/** What goes wrong in a lab is told in a sentence, and the lab ends with exit code 1. */
async function sentencesOnly(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Exit) throw error;
    throw new Exit(exitCodes.refused, error instanceof Error ? error.message : String(error));
  }
}
