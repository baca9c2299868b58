import { Command } from 'commander';
import { z } from 'zod';
import { type NodeName, regionSize } from '../../domain/vocabulary.ts';
import { bytesText } from '../../projections/status-text.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { type IssueOptions, issue, withIssue } from './issue.ts';
import { nodes, orAll, parseNode, parseTag } from './names.ts';
import { ask, asking } from './query.ts';
import type { Terminal } from './terminal.ts';
import { verifyCommand } from './verify-command.ts';
import { waitFor } from './wait-command.ts';

/** Mirrors to targets: pause, resume, full-resync (rule 17), and the bitmaps (REQUIREMENTS 2.6). */
export const mirrorCommands = (terminal: Terminal): Command[] => [
  onTargets('pause', 'stop mirroring to targets; what they miss is remembered').action(
    (tag: string, targets: readonly NodeName[], options: IssueOptions) =>
      issue(terminal, 'pause', { tag, targets: orAll(targets) }, options),
  ),
  resyncing(terminal, 'resume', 'mirror to them again: a partial resync'),
  resyncing(terminal, 'full-resync', 'copy everything to targets anew'),
  verifyCommand(terminal, onTargets('verify', 'compare targets with the source by checksums, while in use')),
  bitmapCommand(terminal),
];

const onTargets = (name: string, description: string): Command =>
  withIssue(
    new Command(name)
      .description(description)
      .argument('<tag>', 'name of the resource', parseTag)
      .argument('[target...]', 'targets (default: all)', nodes),
  ).addHelpText(
    'after',
    `\nExamples:\n  mirrorkeeper ${name} datarep-ext3\n  mirrorkeeper ${name} datarep-ext3 adam sophocles`,
  );

const resyncing = (terminal: Terminal, name: string, description: string): Command =>
  onTargets(name, description)
    .option('--wait', 'until they are in sync')
    .action((tag: string, targets: readonly NodeName[], options: IssueOptions & { readonly wait?: true }) =>
      issue(terminal, name, { tag, targets: orAll(targets) }, options, (client) =>
        options.wait
          ? waitFor(terminal, client, { tag, goal: 'in-sync', targets }, options)
          : Promise.resolve(),
      ),
    );

function bitmapCommand(terminal: Terminal): Command {
  const bitmap = new Command('bitmap').description('the record of what replicas may differ in');
  const subcommand = (name: string, description: string) =>
    bitmap
      .command(name)
      .description(description)
      .argument('<tag>', 'name of the resource', parseTag)
      .argument('<node>', 'whose bitmap', parseNode)
      .argument('[peer]', 'for which other replica (default: all)', parseNode);
  const marking = (name: 'mark-clean' | 'mark-dirty', description: string) =>
    withIssue(subcommand(name, description)).action(
      (tag: string, node: NodeName, peer: NodeName | undefined, options: IssueOptions) =>
        issue(terminal, `bitmap-${name}`, { tag, node, peer }, options),
    );
  withConnection(subcommand('examine', 'how many regions are marked'))
    .addHelpText('after', '\nExample:\n  mirrorkeeper bitmap examine datarep-ext3 eve adam')
    .action((tag: string, node: NodeName, peer: NodeName | undefined, options: ConnectionOptions) =>
      examine(terminal, { tag, node, peer }, options),
    );
  marking('mark-clean', 'you swear that the copies are equal; without a peer it starts a baseline');
  marking('mark-dirty', 'they may differ everywhere: the next resync is full');
  return bitmap;
}

const Examined = z.object({
  bitmaps: z.array(
    z.object({
      node: z.string(),
      peer: z.string(),
      volumes: z.array(z.looseObject({ volume: z.string(), regions: z.number(), dirtyRegions: z.number() })),
    }),
  ),
});

function examine(
  terminal: Terminal,
  args: { tag: string; node: NodeName; peer: NodeName | undefined },
  options: ConnectionOptions,
): Promise<void> {
  return asking(terminal, options, async (client) => {
    const { bitmaps } = await ask(client, 'bitmap-examine', args, timeoutMsOf(options), Examined);
    if (options.json) return terminal.output.out(`${JSON.stringify(bitmaps)}\n`);
    const lines = bitmaps.flatMap(({ node, peer, volumes }) =>
      volumes.map(({ volume, regions, dirtyRegions }) => {
        const marked = `${dirtyRegions} marked (${bytesText(dirtyRegions * regionSize)})`;
        return `${node} for ${peer}  ${volume}  ${regions} regions of 64 KiB, ${marked}`;
      }),
    );
    await terminal.output.out(`${lines.join('\n')}\n`);
  });
}
