import { Command } from 'commander';
import { z } from 'zod';
import { replay } from '../../domain/evolve.ts';
import type { Tag } from '../../domain/vocabulary.ts';
import { knownBefore } from '../../journal/past.ts';
import { type Explanation, explain } from '../../projections/explain.ts';
import { explainRefusal, type RefusalExplanation, refusedEvent } from '../../projections/explain-refusal.ts';
import { refusalText } from '../../projections/explain-refusal-text.ts';
import { explainText } from '../../projections/explain-text.ts';
import { eventsUntil, offlineHistory } from '../offline-history.ts';
import { Exit, exitCodes, shortened } from '../program.ts';
import { type ConnectionOptions, timeoutMsOf, withConnection } from './connection.ts';
import { parseTag } from './names.ts';
import { ask, asking } from './query.ts';
import type { Terminal } from './terminal.ts';

interface ExplainOptions extends ConnectionOptions {
  readonly data?: string;
  readonly asOf?: string;
  readonly refusal?: string;
}

/** `journal explain TAG`, `journal explain --refusal ID`: asks a running agent, or reads a data directory. */
export const explainCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('explain')
      .description(
        'why a resource is in its state, or why a command was refused: causes, actors, policies, facts',
      )
      .argument('[tag]', 'name of the resource', parseTag)
      .option('--refusal <id>', 'the refusal: id of its event, or of the command')
      .option('--as-of <event|time>', 'as things were: NODE#SEQUENCE, NODE/INCARNATION/SEQUENCE or a time')
      .option('--data <dir>', 'the data directory of an agent that does not run, instead of asking one'),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper journal explain datarep-ext3
  mirrorkeeper journal explain datarep-ext3 --as-of 2026-11-20T18:54:16Z
  mirrorkeeper journal explain --refusal eve/1/42
  mirrorkeeper journal explain datarep-ext3 --data /var/lib/mirrorkeeper`,
    )
    .action(async (tag: Tag | undefined, options: ExplainOptions) => {
      const { refusal } = options;
      if (refusal !== undefined && (tag !== undefined || options.asOf !== undefined))
        throw new Exit(
          exitCodes.usage,
          '--refusal names all there is: neither a tag nor --as-of goes with it',
        );
      if (refusal !== undefined) return explainRefused(terminal, refusal, options);
      if (tag === undefined) throw new Exit(exitCodes.usage, 'a tag is needed, or --refusal ID');
      return explainTag(terminal, tag, options);
    });

async function explainTag(terminal: Terminal, tag: Tag, options: ExplainOptions): Promise<void> {
  const show = (explanation: Explanation) => print(terminal, options, explanation, explainText(explanation));
  if (options.data !== undefined) {
    const history = await offlineHistory(options.data);
    const events = eventsUntil(history, options.asOf);
    const explanation = explain(events, replay(history.begin().state, events), tag);
    if (explanation !== null) return show(explanation);
    throw new Exit(exitCodes.refused, `unknown-tag: no resource ${tag} is known there`);
  }
  return asking(terminal, options, async (client) => {
    const args = { tag, asOf: options.asOf };
    const { explanation } = await ask(client, 'explain', args, timeoutMsOf(options), Explained);
    await show(explanation);
  });
}

async function explainRefused(terminal: Terminal, id: string, options: ExplainOptions): Promise<void> {
  const show = (explanation: RefusalExplanation) =>
    print(terminal, options, explanation, refusalText(explanation));
  if (options.data !== undefined) return show(await refusedThere(options.data, id));
  return asking(terminal, options, async (client) => {
    const args = { refusal: id };
    const { explanation } = await ask(
      client,
      'explain-refusal',
      args,
      timeoutMsOf(options),
      RefusalExplained,
    );
    await show(explanation);
  });
}

async function refusedThere(data: string, id: string): Promise<RefusalExplanation> {
  const history = await offlineHistory(data);
  const events = eventsUntil(history, undefined);
  const refused = refusedEvent(events, id);
  if (refused === undefined)
    throw new Exit(exitCodes.refused, `no refusal ${shortened(id)} stands in the history`);
  const known = knownBefore(history.order, refused.id);
  return explainRefusal(refused, replay(history.begin().state, known), events);
}

const print = (
  { output }: Terminal,
  { json }: ExplainOptions,
  explanation: object,
  lines: readonly string[],
) => output.out(json ? `${JSON.stringify(explanation)}\n` : `${lines.join('\n')}\n`);

const has = (value: unknown, ...names: readonly string[]) =>
  typeof value === 'object' && value !== null && names.every((name) => name in value);

/** As an agent of the same version tells it. */
const Explained = z.object({
  explanation: z.custom<Explanation>((value) => has(value, 'steps', 'policies', 'mirrors')),
});
const RefusalExplained = z.object({
  explanation: z.custom<RefusalExplanation>((value) => has(value, 'rule', 'ifOnly', 'because')),
});
