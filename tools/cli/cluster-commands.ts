import { Command } from 'commander';
import { z } from 'zod';
import { ageText } from '../../projections/status-text.ts';
import { Exit, exitCodes } from '../program.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { Entries } from './history.ts';
import { type IssueOptions, issue, withIssue } from './issue.ts';
import { ask, asking } from './query.ts';
import { columnsOf } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Questions about the cluster as a whole: nodes, alarms, what became of a command. */
export const clusterCommands = (terminal: Terminal): Command[] => [
  nodesCommand(terminal),
  alarmsCommand(terminal),
  outcomeCommand(terminal),
];

const Node = z.looseObject({
  node: z.string(),
  alive: z.boolean(),
  heardMsAgo: z.number().nullable(),
  since: z.string().nullable(),
  host: z.string().nullable(),
  journalDamaged: z.boolean(),
});

const nodesCommand = (terminal: Terminal): Command =>
  withConnection(new Command('nodes').description('the nodes, and when each was last heard'))
    .addHelpText('after', '\nExample:\n  mirrorkeeper nodes --json')
    .action((options: ConnectionOptions) =>
      asking(terminal, options, async (client) => {
        const { nodes } = await ask(
          client,
          'nodes',
          {},
          timeoutMsOf(options),
          z.object({ nodes: z.array(Node) }),
        );
        await terminal.output.out(options.json ? `${JSON.stringify(nodes)}\n` : `${nodesText(nodes)}\n`);
      }),
    );

export const nodesText = (nodes: readonly z.infer<typeof Node>[]): string =>
  columnsOf(
    nodes.map(({ node, alive, heardMsAgo, since, host, journalDamaged }) => [
      node,
      host ?? '-',
      alive ? 'alive' : 'lost',
      heardMsAgo === null ? 'never heard' : `heard ${ageText(heardMsAgo)} ago`,
      since === null ? '' : `since ${since}`,
      journalDamaged ? 'journal damaged' : '',
    ]),
  );

const Alarm = z.looseObject({
  id: z.string(),
  severity: z.string(),
  text: z.string(),
  because: z.string(),
  since: z.string().nullable(),
  acknowledged: z.object({ by: z.string(), at: z.string(), reason: z.string().nullable() }).nullable(),
});

const alarmsCommand = (terminal: Terminal): Command =>
  withConnection(new Command('alarms').description('what an operator should look at'))
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper alarms
  mirrorkeeper alarms ack node-lost.eve --reason "its board is being replaced"`,
    )
    .addCommand(acknowledgeCommand(terminal))
    .action((options: ConnectionOptions) =>
      asking(terminal, options, async (client) => {
        const schema = z.object({ alarms: z.array(Alarm) });
        const { alarms } = await ask(client, 'alarms', {}, timeoutMsOf(options), schema);
        await terminal.output.out(options.json ? `${JSON.stringify(alarms)}\n` : `${alarmsText(alarms)}\n`);
      }),
    );

const acknowledgeCommand = (terminal: Terminal): Command =>
  withIssue(
    new Command('ack')
      .description('say that you have seen an alarm: it stays until its cause is gone, with your name')
      .argument('<id>', 'as `alarms` shows it'),
  ).action((alarm: string, options: IssueOptions) => issue(terminal, 'alarms-ack', { alarm }, options));

export function alarmsText(alarms: readonly z.infer<typeof Alarm>[]): string {
  if (alarms.length === 0) return 'no alarms';
  const rows = alarms.map(({ id, severity, text, because, since, acknowledged }) => [
    severity,
    id,
    text,
    `since ${since ?? because}`,
    acknowledged === null ? '' : acknowledgedText(acknowledged),
  ]);
  return columnsOf(rows);
}

const acknowledgedText = ({ by, at, reason }: { by: string; at: string; reason: string | null }) =>
  `acknowledged by ${by} at ${at}${reason === null ? '' : `: ${reason}`}`;

const Outcome = z.looseObject({ id: z.string(), outcome: z.string(), events: Entries });

const outcomeCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('command').description('what became of a command whose reply was lost').argument('<id>'),
  )
    .addHelpText('after', '\nExample:\n  mirrorkeeper command cli-2f0d3c5e-9a31-4f5e-8f0b-1b8f6f0f2a11')
    .action((id: string, options: ConnectionOptions) =>
      asking(terminal, options, async (client) => {
        const schema = z.object({ command: Outcome });
        const { command } = await ask(client, 'command', { command: id }, timeoutMsOf(options), schema);
        await terminal.output.out(
          options.json ? `${JSON.stringify(command)}\n` : `${outcomeText(command)}\n`,
        );
        const exitCode = outcomeExitCodes[command.outcome] ?? exitCodes.unknown;
        if (exitCode !== exitCodes.done) throw new Exit(exitCode, '');
      }),
    );

const outcomeExitCodes: Readonly<Record<string, (typeof exitCodes)[keyof typeof exitCodes]>> = {
  completed: exitCodes.done,
  failed: exitCodes.refused,
  refused: exitCodes.refused,
};

export function outcomeText({ id, outcome, events }: z.infer<typeof Outcome>): string {
  const head =
    outcome === 'unknown'
      ? `${id}: no event of it is known here; it had no effect, or this agent has not heard of it yet`
      : `${id}: ${outcome}`;
  return [head, ...events.map(({ event, time, sentence }) => `  ${time}  ${event}  ${sentence}`)].join('\n');
}
