import { Command } from 'commander';
import { z } from 'zod';
import { replay } from '../../domain/evolve.ts';
import { emptyState } from '../../domain/state.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import { type Explanation, explain } from '../../projections/explain.ts';
import { explainText } from '../../projections/explain-text.ts';
import { offlineHistory } from '../offline-history.ts';
import { Exit, exitCodes } from '../program.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { parseTag } from './names.ts';
import { ask, asking } from './query.ts';
import type { Terminal } from './terminal.ts';

interface ExplainOptions extends ConnectionOptions {
  readonly data?: string;
  readonly asOf?: string;
}

/** `journal explain TAG`: asks a running agent, or reads a data directory. */
export const explainCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('explain')
      .description('why a resource is in the state it is in: what led there, who wanted it, by which policy')
      .argument('<tag>', 'name of the resource', parseTag)
      .option('--as-of <event|time>', 'as things were: NODE#SEQUENCE, NODE/INCARNATION/SEQUENCE or a time')
      .option('--data <dir>', 'the data directory of an agent that does not run, instead of asking one'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper journal explain datarep-ext3
  mirrorkeeper journal explain datarep-ext3 --as-of 2026-11-20T18:54:16Z
  mirrorkeeper journal explain datarep-ext3 --data /var/lib/mirrorkeeper`,
    )
    .action(async (tag: Tag, options: ExplainOptions) => {
      const show = (explanation: Explanation) =>
        terminal.output.out(
          options.json ? `${JSON.stringify(explanation)}\n` : `${explainText(explanation).join('\n')}\n`,
        );
      if (options.data !== undefined) return show(await fromDirectory(options.data, tag, options.asOf));
      return asking(terminal, options, async (client) => {
        const args = { tag, asOf: options.asOf };
        const { explanation } = await ask(client, 'explain', args, timeoutMsOf(options), Answer);
        await show(explanation);
      });
    });

const isExplanation = (value: unknown): value is Explanation =>
  typeof value === 'object' &&
  value !== null &&
  'steps' in value &&
  'policies' in value &&
  'mirrors' in value;

const Answer = z.object({ explanation: z.custom<Explanation>(isExplanation) });

async function fromDirectory(data: string, tag: Tag, asOf: string | undefined): Promise<Explanation> {
  const events = await offlineHistory(data, asOf);
  const explanation = explain(events, replay(emptyState(), events), tag);
  if (explanation === null)
    throw new Exit(exitCodes.refused, `unknown-tag: no resource ${tag} is known there`);
  return explanation;
}
