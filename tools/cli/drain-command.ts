import { randomUUID } from 'node:crypto';
import { Command } from 'commander';
import type { NodeName } from '../../domain/vocabulary.ts';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import { timeoutMsOf } from './connection.ts';
import { type IssueOptions, withIssue } from './issue.ts';
import { parseNode } from './names.ts';
import { asking } from './query.ts';
import type { Reply } from './reply.ts';
import { replyText } from './reply-text.ts';
import { askStatus, type Status } from './status-query.ts';
import type { Terminal } from './terminal.ts';

/** What became of one resource that was in service on the node. */
interface Moved {
  readonly tag: string;
  /** Null: no target may take it. */
  readonly to: string | null;
  readonly ok: boolean;
  readonly text: string;
}

/** `drain`: everything that is in service on a node moves to its best target, one after the other. Nothing is paused. */
export const drainCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('drain')
      .description('switch over everything that is in service on a node, before work on it')
      .argument('<node>', 'the node', parseNode),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  mirrorkeeper drain eve --dry-run\n  mirrorkeeper drain eve --reason "new memory"',
    )
    .action((node: NodeName, options: IssueOptions) =>
      asking(terminal, options, (client) => drain(terminal, client, node, options)),
    );

async function drain(
  terminal: Terminal,
  client: Client,
  node: NodeName,
  options: IssueOptions,
): Promise<void> {
  const statuses = await askStatus(client, {}, timeoutMsOf(options));
  const moved: Moved[] = [];
  for (const status of statuses)
    if (status.sources.includes(node)) moved.push(await move(client, status, options));
  const { output } = terminal;
  const lines = moved.map(({ text }) => text);
  if (options.json) await output.out(`${JSON.stringify(moved)}\n`);
  else await output.out(`${lines.join('\n') || `nothing is in service on ${node}`}\n`);
  const left = moved.filter(({ ok }) => !ok).map(({ tag }) => tag);
  if (left.length > 0) throw new Exit(exitCodes.refused, `still in service on ${node}: ${left.join(', ')}`);
}

/** To the target that a failover would take first (status lists them by priority). */
async function move(client: Client, { tag, mirrors }: Status, options: IssueOptions): Promise<Moved> {
  const to = mirrors.find(({ eligible }) => eligible)?.target ?? null;
  if (to === null) {
    const why = mirrors.map(
      ({ target, notEligibleBecause }) => `${target}: ${notEligibleBecause ?? 'unknown'}`,
    );
    return { tag, to, ok: false, text: `${tag}: no target may take it (${why.join('; ') || 'it has none'})` };
  }
  const { reason, dryRun, commandId } = options;
  const body = {
    id: `${commandId ?? `cli-${randomUUID()}`}-${tag}`,
    tag,
    node: to,
    ...(reason === undefined ? {} : { reason }),
    ...(dryRun === undefined ? {} : { dryRun }),
  };
  const reply: Reply = await client.request('switchover', body, timeoutMsOf(options));
  const text = replyText(reply, {
    what: `switchover ${tag} ${to}`,
    accepting: () => '',
    sentences: new Map(),
  });
  return { tag, to, ok: reply.ok, text };
}
