import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { z } from 'zod';
import type { Tag } from '../../domain/vocabulary.ts';
import { knownHistory } from '../../journal/past.ts';
import { type Backtest, backtest } from '../../projections/backtest.ts';
import { BacktestPolicy } from '../../projections/backtest-policy.ts';
import { backtestText } from '../../projections/backtest-text.ts';
import { offlineHistory } from '../offline-history.ts';
import { Exit, exitCodes, shortened } from '../program.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { parseTag } from './names.ts';
import { ask, asking } from './query.ts';
import type { Terminal } from './terminal.ts';

interface BacktestOptions extends ConnectionOptions {
  readonly policy: string;
  readonly tag?: Tag;
  readonly data?: string;
}

/** `journal backtest --policy FILE`: asks a running agent, or reads a data directory. */
export const backtestCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('backtest')
      .description('which failovers of the history other settings would have spared, hastened or delayed')
      .requiredOption('--policy <file>', 'JSON: {"settings": [{"key": "lost-after", "value": 10}, …]}')
      .option('--tag <tag>', 'only failovers of this resource', parseTag)
      .option('--data <dir>', 'the data directory of an agent that does not run, instead of asking one'),
  )
    .addHelpText(
      'after',
      `
Settings that count: heartbeat, lost-after, confirm-failover, confirm-failover-default, priority, each with --tag, --node
and --peer of \`mirrorkeeper settings\` as "tag", "node", "peer".

Example:
  mirrorkeeper journal backtest --policy docs/backtest-policy.json`,
    )
    .action(async (options: BacktestOptions) => {
      const policy = await readPolicy(options.policy);
      const show = (result: Backtest) =>
        terminal.output.out(
          options.json ? `${JSON.stringify(result)}\n` : `${backtestText(result).join('\n')}\n`,
        );
      if (options.data !== undefined) {
        const { order, begin } = await offlineHistory(options.data);
        return show(
          backtest(
            knownHistory(order, () => begin().state),
            policy,
            options.tag,
          ),
        );
      }
      return asking(terminal, options, async (client) => {
        const args = { policy, tag: options.tag };
        const answer = await ask(client, 'backtest', args, timeoutMsOf(options), Answer);
        await show(answer.backtest);
      });
    });

const isBacktest = (value: unknown): value is Backtest =>
  typeof value === 'object' && value !== null && 'incidents' in value && 'summary' in value;

const Answer = z.object({ backtest: z.custom<Backtest>(isBacktest) });

/** Errors: usage, with what is wrong in the file. */
async function readPolicy(file: string): Promise<BacktestPolicy> {
  let text: unknown;
  try {
    text = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Exit(exitCodes.usage, `--policy ${shortened(file)}: ${shortened(why)}`);
  }
  const parsed = BacktestPolicy.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Exit(
    exitCodes.usage,
    `--policy ${shortened(file)}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
  );
}
