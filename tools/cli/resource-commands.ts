import { Command, InvalidArgumentError, Option } from 'commander';
import { Content, Mode, type NodeName } from '../../domain/vocabulary.ts';
import { type IssueOptions, issue, withIssue } from './issue.ts';
import { named, parseBitmap, parseNode, parsePath, parseTag, type VolumeArgument, volumes } from './names.ts';
import { parseSize, parseWhole } from './quantities.ts';
import type { Terminal } from './terminal.ts';
import { waitFor } from './wait-command.ts';

/** A resource and its replicas: create, extend, unextend, delete (rules 1 to 3). */
export const resourceCommands = (terminal: Terminal): Command[] => [
  createCommand(terminal),
  extendCommand(terminal),
  unextendCommand(terminal),
  deleteCommand(terminal),
];

const volumesHelp = 'volumes: a file, partition or disk each; NAME is "data" (of several "data1", "data2" …)';

interface CreateOptions extends IssueOptions {
  readonly content: Content;
  readonly fstype?: string;
  readonly mount?: string;
  readonly size?: number;
  readonly bitmap?: string;
  readonly allowAsync?: true;
  readonly priority?: number;
  readonly srl?: string;
}

const createCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('create')
      .description('protect volumes: a new resource, in service on its first node')
      .argument('<tag>', 'name of the resource', parseTag)
      .argument('<node>', 'where the data is', parseNode)
      .argument('<[name=]path...>', volumesHelp, volumes)
      .addOption(
        new Option('--content <what>', 'what is on the volumes').choices(Content.options).default('raw'),
      )
      .addOption(new Option('--fstype <type>', 'file system to make').choices(['ext4', 'xfs']))
      .option('--mount <dir>', 'where to mount it', parsePath)
      .option('--size <bytes>', 'use only that much of each volume (K, M, G)', parseSize)
      .option('--bitmap <folder>', 'where the intent logs lie, or "none"', parseBitmap)
      .option('--allow-async', 'asynchronous mirrors may be added')
      .option('--priority <number>', 'of this node in a failover; 1 is highest', parseWhole(1, 999))
      .option('--srl <path>', 'write-order mode: a persistent log of writes', parsePath),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper create datarep-ext3 eve /srv/volume.img
  mirrorkeeper create datarep-ext3 eve /dev/sdb1 --content existing-filesystem --allow-async
  mirrorkeeper create pg eve data=/dev/vg0/pgdata wal=/dev/vg0/pgwal`,
    )
    .action((tag: string, node: NodeName, given: readonly VolumeArgument[], options: CreateOptions) => {
      const { content, fstype, mount, size, bitmap, allowAsync, priority, srl } = options;
      const args = { content, fstype, mount, size, bitmap, allowAsync, priority, srl };
      return issue(terminal, 'create', { tag, node, volumes: named(given), ...args }, options);
    });

interface ExtendOptions extends IssueOptions {
  readonly mode?: Mode;
  readonly priority?: number;
  readonly compress?: number;
  readonly mount?: string;
  readonly bitmap?: string;
  readonly pair?: Readonly<Record<string, Mode>>;
  readonly fullSync: boolean;
  readonly wait?: true;
}

const extendCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('extend')
      .description('add a target; what is on it is overwritten')
      .argument('<tag>', 'name of the resource', parseTag)
      .argument('<node>', 'the new target', parseNode)
      .argument('<[name=]path...>', `${volumesHelp}; as many as the resource has`, volumes)
      .addOption(new Option('--mode <mode>', 'of the mirror to it (default: sync)').choices(Mode.options))
      .option('--priority <number>', 'in a failover (default: the next free one)', parseWhole(1, 999))
      .option('--compress <level>', '0 (off) to 9', parseWhole(0, 9))
      .option('--mount <dir>', 'where to mount it when it is the source', parsePath)
      .option('--bitmap <folder>', 'where the intent logs lie, or "none"', parseBitmap)
      .option('--pair <node=mode>', 'mode of the pair with another target; may be repeated', pairs)
      .option('--no-full-sync', 'the copy is equal already, from a baseline (bitmap mark-clean)')
      .option('--wait', 'until it is in sync'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper extend datarep-ext3 adam /srv/volume.img --wait
  mirrorkeeper extend datarep-ext3 sophocles /dev/sdb1 --mode async --pair adam=async`,
    )
    .action((tag: string, node: NodeName, given: readonly VolumeArgument[], options: ExtendOptions) => {
      const { mode, priority, compress, mount, bitmap, pair, fullSync } = options;
      const args = { mode, priority, compress, mount, bitmap, pair, ...(fullSync ? {} : { fullSync }) };
      return issue(terminal, 'extend', { tag, node, volumes: named(given), ...args }, options, (client) =>
        options.wait
          ? waitFor(terminal, client, { tag, goal: 'in-sync', targets: [node] }, options)
          : Promise.resolve(),
      );
    });

function pairs(text: string, before: Readonly<Record<string, Mode>> = {}): Readonly<Record<string, Mode>> {
  const [, node = '', mode] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const parsed = Mode.safeParse(mode);
  if (!parsed.success)
    throw new InvalidArgumentError(`NODE=MODE is expected, the mode one of ${Mode.options.join(', ')}.`);
  return { ...before, [parseNode(node)]: parsed.data };
}

const unextendCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('unextend')
      .description('remove a target; its volumes keep their bytes')
      .argument('<tag>', 'name of the resource', parseTag)
      .argument('<node>', 'the target', parseNode),
  )
    .addHelpText('after', '\nExample:\n  mirrorkeeper unextend datarep-ext3 sophocles')
    .action((tag: string, node: NodeName, options: IssueOptions) =>
      issue(terminal, 'unextend', { tag, node }, options),
    );

const deleteCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('delete')
      .description('protect it no longer, on any node; the volumes keep their bytes')
      .argument('<tag>', 'name of the resource', parseTag),
  )
    .addHelpText('after', '\nExample:\n  mirrorkeeper delete datarep-ext3')
    .action((tag: string, options: IssueOptions) => issue(terminal, 'delete', { tag }, options));
