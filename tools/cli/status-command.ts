import { Command } from 'commander';
import type { Tag } from '../../domain/vocabulary.ts';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { parseTag } from './names.ts';
import { asking } from './query.ts';
import { Screen } from './screen.ts';
import { askStatus } from './status-query.ts';
import { statusLines, watchLines } from './status-screen.ts';
import type { Terminal } from './terminal.ts';

interface StatusOptions extends ConnectionOptions {
  readonly watch?: true;
  readonly asOf?: string;
}

export const statusCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('status')
      .description('who serves, who can take over, how far resyncs are')
      .argument('[tag]', 'one resource (default: all)', parseTag)
      .option('--watch', 'until Ctrl-C, redrawn in place')
      .option('--as-of <event|time>', 'as things were: NODE#SEQUENCE, NODE/INCARNATION/SEQUENCE or a time'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper status
  mirrorkeeper status datarep-ext3 --watch
  mirrorkeeper status datarep-ext3 --as-of 2026-11-20T18:54:16Z --json`,
    )
    .action((tag: Tag | undefined, options: StatusOptions) => {
      if (options.watch && options.asOf !== undefined)
        throw new Exit(exitCodes.usage, '--watch shows the present, --as-of the past');
      return asking(terminal, options, (client) =>
        options.watch ? watch(terminal, client, tag, options) : once(terminal, client, tag, options),
      );
    });

async function once(
  { output }: Terminal,
  client: Client,
  tag: Tag | undefined,
  options: StatusOptions,
): Promise<void> {
  const status = await askStatus(client, { tag, asOf: options.asOf }, timeoutMsOf(options));
  if (options.json) return output.out(`${JSON.stringify(tag === undefined ? status : status[0])}\n`);
  const nowMs = options.asOf === undefined ? Date.now() : null;
  await output.out(`${statusLines(status, nowMs).join('\n')}\n`);
}

const watchMs = 500;
const widthOfPipe = 200;

/** With `--json`, or where nothing can be redrawn, only what differs from what was shown is written. */
async function watch(
  terminal: Terminal,
  client: Client,
  tag: Tag | undefined,
  options: StatusOptions,
): Promise<void> {
  const screen = new Screen(terminal);
  let shown = '';
  for (;;) {
    const status = await askStatus(client, { tag }, timeoutMsOf(options)).catch(unreachable);
    if (options.json) {
      const text = JSON.stringify(tag === undefined ? status : status?.[0]);
      if (status !== null && text !== shown) await terminal.output.out(`${text}\n`);
      shown = text;
    } else if (status === null) await screen.note('no agent answers; still trying');
    else await screen.draw(watchLines(status, Date.now(), terminal.columns() ?? widthOfPipe));
    await pause(watchMs);
  }
}

/** An agent that restarts is waited for. */
function unreachable(error: unknown): null {
  if (error instanceof Exit && error.exitCode === exitCodes.unreachable) return null;
  throw error;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
