import { randomUUID } from 'node:crypto';
import { type Command, InvalidArgumentError } from 'commander';
import { CommandHeader } from '../../domain/commands.ts';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { sentencesOf } from './history.ts';
import { exitCodeOf, type Reply } from './reply.ts';
import { replyText } from './reply-text.ts';
import { shellLine, withoutOptions } from './shell-words.ts';
import { type Terminal, withClient } from './terminal.ts';

/** Of every command that changes something (REQUIREMENTS 5, CLI). */
export interface IssueOptions extends ConnectionOptions {
  readonly reason?: string;
  readonly commandId?: string;
  readonly dryRun?: true;
  readonly asOf?: string;
  readonly acceptLoss?: string;
}

export const withIssue = (command: Command): Command =>
  withConnection(command)
    .option('--reason <text>', 'why: it stands in the history')
    .option('--command-id <id>', 'an id of your own: sent twice it has one effect', parseCommandId)
    .option('--dry-run', 'tells what would follow, and does nothing')
    .option('--as-of <event|time>', 'with --dry-run: as things were then')
    .option('--accept-loss <token>', 'the token that came with what would be lost');

function parseCommandId(text: string): string {
  const parsed = CommandHeader.shape.id.safeParse(text);
  if (!parsed.success)
    throw new InvalidArgumentError(`${parsed.error.issues[0]?.message ?? 'this is no id'}.`);
  return parsed.data;
}

export type Arguments = Readonly<Record<string, unknown>>;

/** Sends a command, prints the answer, and ends with its exit code. The client is still open in `then`. */
export function issue(
  terminal: Terminal,
  command: string,
  args: Arguments,
  options: IssueOptions,
  then: (client: Client) => Promise<void> = async () => undefined,
): Promise<void> {
  if (options.asOf !== undefined && !options.dryRun)
    throw new Exit(exitCodes.usage, '--as-of goes with --dry-run: the past cannot be changed');
  return withClient(terminal, options, async (client) => {
    const reply = await client.request(command, bodyOf(args, options), timeoutMsOf(options));
    await print(terminal, client, command, args, reply, options);
    const exitCode = exitCodeOf(reply);
    if (exitCode !== exitCodes.done) throw new Exit(exitCode, '');
    if (!options.dryRun) await then(client);
  });
}

function bodyOf(args: Arguments, { reason, commandId, dryRun, asOf, acceptLoss }: IssueOptions) {
  const header = { reason, dryRun, asOf, acceptLoss };
  const given = Object.entries({ ...args, ...header }).filter(([, value]) => value !== undefined);
  return { id: commandId ?? `cli-${randomUUID()}`, ...Object.fromEntries(given) };
}

async function print(
  terminal: Terminal,
  client: Client,
  command: string,
  args: Arguments,
  reply: Reply,
  options: IssueOptions,
): Promise<void> {
  const { output } = terminal;
  if (options.json) return output.out(`${JSON.stringify(reply)}\n`);
  const text = replyText(reply, {
    what: whatOf(command, args),
    accepting: (token) => acceptingLine(terminal, token),
    sentences: options.dryRun ? new Map() : await sentencesOf(client, args['tag'], mentioned(reply)),
  });
  await output.out(`${text}\n`);
}

const mentioned = ({ refusal, events = [] }: Reply): readonly string[] => refusal?.because ?? events;

function whatOf(command: string, { tag, node, victim, targets }: Arguments): string {
  const words = [command, tag, node, victim, ...(Array.isArray(targets) ? targets : [])];
  return words.filter((word) => typeof word === 'string').join(' ');
}

/** Another attempt is another command: it cannot have the id of this one (rule 22). */
const acceptingLine = ({ program, args }: Terminal, token: string): string => {
  const same = withoutOptions(
    args.filter((arg) => arg !== '--dry-run'),
    ['--accept-loss', '--command-id'],
  );
  return `${program} ${shellLine([...same, '--accept-loss', token])}`;
};
