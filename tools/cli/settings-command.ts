import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { SettingKey, settingDefaults, settingSchemas } from '../../domain/settings.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import { Exit, exitCodes } from '../program.ts';
import { timeoutMsOf } from './connection.ts';
import { type IssueOptions, issue, withIssue } from './issue.ts';
import { parseNode, parseTag } from './names.ts';
import { ask, asking } from './query.ts';
import type { Terminal } from './terminal.ts';

interface SettingsOptions extends IssueOptions {
  readonly tag?: Tag;
  readonly node?: NodeName;
  readonly peer?: NodeName;
}

/** `settings`: of a resource, a node, a pair of nodes, or of a node or pair within a resource. */
export const settingsCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('settings')
      .description('read settings (without VALUE) or change one; it takes effect at once')
      .option('--tag <tag>', 'of this resource', parseTag)
      .option('--node <node>', 'of this node', parseNode)
      .option('--peer <node>', 'with --node: of this pair of nodes', parseNode)
      .argument('[key]', `one of ${SettingKey.options.join(', ')}`, parseKey)
      .argument('[value]', 'the new value'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper settings --tag datarep-ext3
  mirrorkeeper settings --tag datarep-ext3 confirm-failover 600
  mirrorkeeper settings --tag datarep-ext3 --node eve --peer sophocles mode async`,
    )
    .action((key: SettingKey | undefined, value: string | undefined, options: SettingsOptions) => {
      const { tag, node, peer } = options;
      if (peer !== undefined && node === undefined)
        throw new Exit(exitCodes.usage, '--peer goes with --node: a pair has two nodes');
      if (key === undefined || value === undefined) return read(terminal, { tag, node, peer, key }, options);
      if (tag === undefined && node === undefined)
        throw new Exit(exitCodes.usage, 'whose setting? name a --tag, a --node, or both');
      return issue(terminal, 'settings', { tag, node, peer, key, value: settingValue(key, value) }, options);
    });

function parseKey(text: string): SettingKey {
  const parsed = SettingKey.safeParse(text);
  if (!parsed.success)
    throw new InvalidArgumentError(`A setting is one of ${SettingKey.options.join(', ')}.`);
  return parsed.data;
}

/** Errors: usage, with what the setting takes. */
function settingValue(key: SettingKey, text: string): unknown {
  const parsed = settingSchemas[key].safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Exit(exitCodes.usage, `${key} cannot be "${text}": ${parsed.error.issues[0]?.message ?? ''}`);
}

const Answer = z.object({ settings: z.record(z.string(), z.unknown()) });

interface Scope {
  readonly tag: Tag | undefined;
  readonly node: NodeName | undefined;
  readonly peer: NodeName | undefined;
  readonly key: SettingKey | undefined;
}

function read(terminal: Terminal, scope: Scope, options: SettingsOptions): Promise<void> {
  return asking(terminal, options, async (client) => {
    const { settings } = await ask(client, 'settings-read', { ...scope }, timeoutMsOf(options), Answer);
    if (options.json) return terminal.output.out(`${JSON.stringify(settings)}\n`);
    await terminal.output.out(`${settingsText(settings)}\n`);
  });
}

export function settingsText(settings: Readonly<Record<string, unknown>>): string {
  const width = Math.max(...Object.keys(settings).map((key) => key.length));
  return Object.entries(settings)
    .map(([key, value]) => {
      const isDefault = (settingDefaults as Record<string, unknown>)[key] === value;
      return `${key.padEnd(width)}  ${textOf(value)}${isDefault && value !== null ? '  (default)' : ''}`;
    })
    .join('\n');
}

const textOf = (value: unknown): string => {
  if (value === null || value === undefined) return '-';
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
};
