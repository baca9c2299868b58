import type { Command } from 'commander';
import { z } from 'zod';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { TimelineEntry } from '../../projections/timeline.ts';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import { timelineOf } from './history.ts';
import { type IssueOptions, issue } from './issue.ts';
import { orAll } from './names.ts';
import { ask } from './query.ts';
import { pause } from './status-command.ts';
import type { Terminal } from './terminal.ts';

interface VerifyOptions extends IssueOptions {
  readonly wait?: true;
}

const askMs = 500;
const answerMs = 5000;

/** `verify` (REQUIREMENTS 2.9); with `--wait` it ends with the comparison, and with exit code 5 where copies differ. */
export const verifyCommand = (terminal: Terminal, command: Command): Command =>
  command
    .option('--wait', 'until the comparison has ended')
    .action(async (tag: string, targets: readonly NodeName[], options: VerifyOptions) => {
      const begunMs = Date.now();
      await issue(terminal, 'verify', { tag, targets: orAll(targets) }, options, async (client) => {
        if (options.wait) await untilCompared(terminal, client, tag, targets, options, begunMs);
      });
    });

async function untilCompared(
  terminal: Terminal,
  client: Client,
  tag: string,
  targets: readonly string[],
  { timeout, json }: VerifyOptions,
  begunMs: number,
): Promise<void> {
  const endMs = timeout === undefined ? Number.POSITIVE_INFINITY : begunMs + timeout * 1000;
  for (;;) {
    const ends = endsOf(await timelineOf(client, tag));
    if (ends !== null) return report(terminal, client, tag, targets, ends, json === true);
    if (Date.now() >= endMs)
      throw new Exit(exitCodes.unknown, `${tag} is not compared after ${timeout} s; it goes on`);
    await pause(askMs);
  }
}

/** How the comparisons ended that began last; null while one of them runs. */
export function endsOf(timeline: readonly TimelineEntry[]): readonly TimelineEntry[] | null {
  const last = timeline.findLast(({ type }) => type === 'verify.started');
  const first = timeline.findIndex(
    ({ type, command }) => type === 'verify.started' && command === last?.command,
  );
  const since = timeline.slice(Math.max(first, 0));
  const begun = since.filter(({ type, command }) => type === 'verify.started' && command === last?.command);
  const ends = since.filter(({ type }) => type === 'verify.completed' || type === 'verify.interrupted');
  return ends.length < begun.length ? null : ends;
}

const Alarms = z.object({
  alarms: z.array(
    z.looseObject({ code: z.string(), tag: z.string().nullable(), node: z.string().nullable() }),
  ),
});

async function report(
  { output }: Terminal,
  client: Client,
  tag: string,
  targets: readonly string[],
  ends: readonly TimelineEntry[],
  isJson: boolean,
): Promise<void> {
  const lines = ends.map((entry) => (isJson ? JSON.stringify(entry) : entry.sentence));
  await output.out(`${lines.join('\n')}\n`);
  if (ends.some(({ type }) => type === 'verify.interrupted')) throw new Exit(exitCodes.refused, '');
  const { alarms } = await ask(client, 'alarms', {}, answerMs, Alarms);
  const differs = alarms.some(
    (alarm) =>
      alarm.code === 'verify-differences' &&
      alarm.tag === tag &&
      (targets.length === 0 || targets.includes(alarm.node ?? '')),
  );
  if (differs) throw new Exit(exitCodes.damaged, '');
}
