import { Command } from 'commander';
import type { Tag } from '../../domain/vocabulary.ts';
import { type TimelineEntry, timelineLine } from '../../projections/timeline.ts';
import { journalCommand } from '../journal-command.ts';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import { type ConnectionOptions, withConnection } from './connection.ts';
import { timelineOf } from './history.ts';
import { backtestCommand } from './journal-backtest.ts';
import { explainCommand } from './journal-explain.ts';
import { liveJournalCommands } from './journal-live.ts';
import { parseTag } from './names.ts';
import { asking } from './query.ts';
import { pause } from './status-command.ts';
import type { Terminal } from './terminal.ts';

interface ListOptions extends ConnectionOptions {
  readonly data?: string;
  readonly tag?: Tag;
  readonly type?: string;
  readonly since?: string;
  readonly follow?: true;
}

/** `journal`: most of it asks a running agent, or reads a data directory; the rest works on a data directory. */
export function historyCommand(terminal: Terminal): Command {
  const offline = journalCommand(terminal.output);
  const journal = new Command('journal').description(offline.description());
  journal.addCommand(listCommand(terminal, offline));
  journal.addCommand(explainCommand(terminal));
  journal.addCommand(backtestCommand(terminal));
  for (const command of liveJournalCommands(terminal)) journal.addCommand(command);
  const known = new Set(journal.commands.map((command) => command.name()));
  for (const command of offline.commands) if (!known.has(command.name())) journal.addCommand(command);
  return journal;
}

const listCommand = (terminal: Terminal, offline: Command): Command =>
  withConnection(
    new Command('list')
      .description('lists events, causes before effects')
      .option('--follow', 'until Ctrl-C, as they come')
      .option('--tag <tag>', 'only events of this resource', parseTag)
      .option('--type <type>', 'only of this type, e.g. resource.created, or of its kind, e.g. resource')
      .option('--since <event|time>', 'only what came after this event, or from this moment on')
      .option('--data <dir>', 'the data directory of an agent that does not run, instead of asking one'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper journal list --tag datarep-ext3 --since 2026-11-20T18:00:00Z
  mirrorkeeper journal list --type failover --follow
  mirrorkeeper journal list --data /var/lib/mirrorkeeper`,
    )
    .action(async (options: ListOptions) => {
      if (options.data === undefined)
        return asking(terminal, options, (client) => list(terminal, client, options));
      if (options.follow) throw new Exit(exitCodes.usage, '--follow asks an agent that runs, --data none');
      const words = ['list', '--data', options.data, ...wordsOf(options)];
      await offline.parseAsync(words, { from: 'user' });
    });

const wordsOf = ({ tag, type, since, json }: ListOptions): string[] => [
  ...(tag === undefined ? [] : ['--tag', tag]),
  ...(type === undefined ? [] : ['--type', type]),
  ...(since === undefined ? [] : ['--since', since]),
  ...(json ? ['--json'] : []),
];

const followMs = 500;

async function list({ output }: Terminal, client: Client, options: ListOptions): Promise<void> {
  const show = (entries: readonly TimelineEntry[]) =>
    output.out(entries.map((entry) => `${lineOf(entry, options)}\n`).join(''));
  let known = await timelineOf(client, options.tag);
  const chosen = chosenOf(known, options);
  if (!options.follow) {
    if (options.json) return output.out(`${JSON.stringify(chosen)}\n`);
    return show(chosen);
  }
  await show(chosen);
  for (;;) {
    await pause(followMs);
    const told = new Set(known.map(({ event }) => event));
    known = await timelineOf(client, options.tag);
    await show(ofType(known, options).filter(({ event }) => !told.has(event)));
  }
}

const lineOf = (entry: TimelineEntry, { json }: ListOptions): string =>
  json ? JSON.stringify(entry) : `${entry.event}  ${timelineLine(entry)}`;

const ofType = (entries: readonly TimelineEntry[], { type }: ListOptions): readonly TimelineEntry[] =>
  type === undefined
    ? entries
    : entries.filter((entry) => entry.type === type || entry.type.startsWith(`${type}.`));

/** Errors: usage, where `since` is neither an event that is known nor a time. */
function chosenOf(entries: readonly TimelineEntry[], options: ListOptions): readonly TimelineEntry[] {
  const { since } = options;
  if (since === undefined) return ofType(entries, options);
  const index = entries.findIndex(({ event }) => event === since);
  if (index >= 0) return ofType(entries.slice(index + 1), options);
  const time = Date.parse(since);
  if (Number.isNaN(time))
    throw new Exit(exitCodes.usage, `"${since}" is neither an event that is known here nor a time`);
  return ofType(
    entries.filter((entry) => Date.parse(entry.time) >= time),
    options,
  );
}
