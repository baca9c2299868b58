import { Argument, Command } from 'commander';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import { mirrorStatusText } from '../../projections/mirror-status-text.ts';
import { Exit, exitCodes } from '../program.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { type IssueOptions, issue, withIssue } from './issue.ts';
import { nodes, orAll, parseNode, parseTag } from './names.ts';
import { asking } from './query.ts';
import { askStatus } from './status-query.ts';
import type { Terminal } from './terminal.ts';

/** The commands of the old product, with their grammar and output (admin guide, "Command Line Mirror Administration"). */

export const mirrorStatusCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('mirror_status')
      .description('status of the mirrors of a resource')
      .argument('<tag>', 'name of the resource', parseTag),
  )
    .addHelpText('after', '\nExample:\n  mirror_status datarep-ext3')
    .action((tag: Tag, options: ConnectionOptions) =>
      asking(terminal, options, async (client) => {
        const [status] = await askStatus(client, { tag }, timeoutMsOf(options));
        if (status === undefined) throw new Exit(exitCodes.refused, `there is no resource ${tag}`);
        if (options.json) return terminal.output.out(`${JSON.stringify(status)}\n`);
        const counts = status.mirrors.flatMap(({ dirtyRegions }) => dirtyRegions ?? []);
        const dirty = counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0);
        await terminal.output.out(mirrorStatusText(status, dirty));
      }),
    );

const actions = ['pause', 'resume', 'force', 'fullresync'] as const;
type Action = (typeof actions)[number];

export const mirrorActionCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('mirror_action')
      .description('act on the mirrors of a resource')
      .argument('<tag>', 'name of the resource', parseTag)
      .addArgument(new Argument('<action>', 'what to do').choices(actions))
      .argument('<source>', 'the source; for force: the node that becomes it', parseNode)
      .argument('[target...]', 'targets (default: all)', nodes),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirror_action datarep-ext3 pause adam eve
  mirror_action datarep-ext3 resume adam eve sophocles
  mirror_action datarep-ext3 force eve
  mirror_action datarep-ext3 fullresync adam sophocles`,
    )
    .action(
      async (
        tag: Tag,
        action: Action,
        source: NodeName,
        targets: readonly NodeName[],
        options: IssueOptions,
      ) => {
        if (action === 'force') return issue(terminal, 'force-online', { tag, node: source }, options);
        await checkSource(terminal, tag, source, options);
        const command = action === 'fullresync' ? 'full-resync' : action;
        return issue(terminal, command, { tag, targets: orAll(targets) }, options);
      },
    );

/** The new commands find the source by themselves; whoever names another one means another mirror. */
function checkSource(terminal: Terminal, tag: Tag, named: NodeName, options: IssueOptions): Promise<void> {
  return asking(terminal, options, async (client) => {
    const [status] = await askStatus(client, { tag }, timeoutMsOf(options));
    const source = status?.source ?? null;
    if (source === named) return;
    const isOn = source === null ? 'is not in service on one node' : `is in service on ${source}`;
    throw new Exit(exitCodes.refused, `${tag} ${isOn}: there is no mirror from ${named}`);
  });
}

export const mirrorSettingsCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('mirror_settings')
      .description('change a setting of the mirrors of a resource')
      .argument('<tag>', 'name of the resource', parseTag)
      .addArgument(new Argument('<setting>', 'which').choices(['logdir', 'logmax', 'compress']))
      .argument('<value>', 'the new value; "" switches logdir off'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirror_settings datarep-ext3 compress 5
  mirror_settings datarep-ext3 logdir /tmp/logs
  mirror_settings datarep-ext3 logmax 1073741824`,
    )
    .action((tag: Tag, key: string, value: string, options: IssueOptions) =>
      issue(terminal, 'settings', { tag, key, value }, options),
    );
