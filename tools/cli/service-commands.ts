import { Command } from 'commander';
import type { NodeName } from '../../domain/vocabulary.ts';
import { type IssueOptions, issue, withIssue } from './issue.ts';
import { parseNode, parseTag } from './names.ts';
import type { Terminal } from './terminal.ts';

/** Who serves: in and out of service, switchover, failover, force-online, split brain (rules 4 to 14). */
export const serviceCommands = (terminal: Terminal): Command[] => [
  withNode(terminal, 'in-service', 'bring it in service; on a target of a serving resource: switchover', [
    'in-service datarep-ext3',
    'in-service datarep-ext3 adam',
  ]),
  withNode(terminal, 'out-of-service', 'take it out of service; on a node in a split brain: its victim', [
    'out-of-service datarep-ext3',
  ]),
  onNode(terminal, 'switchover', 'planned: hand it over to a target that is in sync', [
    'switchover datarep-ext3 adam',
    'switchover datarep-ext3 adam --dry-run',
  ]),
  withNode(terminal, 'failover', 'the source is lost: a target takes over, the best or the one named', [
    'failover datarep-ext3',
    'failover datarep-ext3 adam',
  ]),
  confirmCommand(terminal),
  onNode(terminal, 'force-online', 'bring it in service on that node although data may be lost', [
    'force-online datarep-ext3 eve',
    'force-online datarep-ext3 eve --accept-loss 4f0c61a2b7d93e58',
  ]),
  resolveCommand(terminal),
];

const base = (name: string, description: string): Command =>
  withIssue(new Command(name).description(description).argument('<tag>', 'name of the resource', parseTag));

const examples = (lines: readonly string[]): string =>
  `\nExample${lines.length > 1 ? 's' : ''}:\n${lines.map((line) => `  mirrorkeeper ${line}`).join('\n')}`;

/** TAG NODE */
const onNode = (terminal: Terminal, name: string, description: string, lines: readonly string[]): Command =>
  base(name, description)
    .argument('<node>', 'the node', parseNode)
    .addHelpText('after', examples(lines))
    .action((tag: string, node: NodeName, options: IssueOptions) =>
      issue(terminal, name, { tag, node }, options),
    );

/** TAG [NODE] */
const withNode = (terminal: Terminal, name: string, description: string, lines: readonly string[]): Command =>
  base(name, description)
    .argument('[node]', 'the node', parseNode)
    .addHelpText('after', examples(lines))
    .action((tag: string, node: NodeName | undefined, options: IssueOptions) =>
      issue(terminal, name, { tag, node }, options),
    );

const confirmCommand = (terminal: Terminal): Command =>
  base('confirm-failover', 'answer a failover that waits for confirmation: it proceeds')
    .option('--block', 'it must not proceed')
    .addHelpText(
      'after',
      examples(['confirm-failover datarep-ext3', 'confirm-failover datarep-ext3 --block']),
    )
    .action((tag: string, options: IssueOptions & { readonly block?: true }) =>
      issue(terminal, 'confirm-failover', { tag, block: options.block }, options),
    );

const resolveCommand = (terminal: Terminal): Command =>
  base('resolve-split-brain', 'end a split brain: the victim gives up its writes and is resynced')
    .requiredOption('--victim <node>', 'the node whose writes are given up', parseNode)
    .addHelpText('after', examples(['resolve-split-brain datarep-ext3 --victim adam']))
    .action((tag: string, options: IssueOptions & { readonly victim: NodeName }) =>
      issue(terminal, 'resolve-split-brain', { tag, victim: options.victim }, options),
    );
