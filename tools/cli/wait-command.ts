import { Command, Option } from 'commander';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import { type ConnectionOptions, withConnection } from './connection.ts';
import { nodes, parseTag } from './names.ts';
import { asking } from './query.ts';
import { Screen } from './screen.ts';
import { pause } from './status-command.ts';
import { askStatus, type Status } from './status-query.ts';
import { watchLines } from './status-screen.ts';
import type { Terminal } from './terminal.ts';

export interface Awaited {
  readonly tag: string;
  readonly goal: 'in-sync' | 'in-service';
  /** Empty: all. */
  readonly targets: readonly NodeName[];
}

interface WaitOptions extends ConnectionOptions {
  readonly for: Awaited['goal'];
  readonly target?: readonly NodeName[];
}

export const waitCommand = (terminal: Terminal): Command =>
  withConnection(
    new Command('wait')
      .description('until targets are in sync, or the resource is in service')
      .argument('<tag>', 'name of the resource', parseTag)
      .addOption(
        new Option('--for <goal>', 'what to wait for')
          .choices(['in-sync', 'in-service'])
          .makeOptionMandatory(),
      )
      .option('--target <node>', 'in-sync: this target (default: all); in-service: on this node', nodes),
  )
    .addHelpText(
      'after',
      `
Examples:
  mirrorkeeper wait datarep-ext3 --for in-sync --target adam
  mirrorkeeper wait datarep-ext3 --for in-service --timeout 30`,
    )
    .action((tag: Tag, options: WaitOptions) =>
      asking(terminal, options, (client) =>
        waitFor(terminal, client, { tag, goal: options.for, targets: options.target ?? [] }, options),
      ),
    );

const askMs = 200;
const answerMs = 5000;

/** Shows progress meanwhile where the screen can be redrawn. Errors: `unknown` after `--timeout`. */
export async function waitFor(
  terminal: Terminal,
  client: Client,
  awaited: Awaited,
  options: ConnectionOptions,
): Promise<void> {
  const screen = new Screen(terminal);
  const endMs =
    options.timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.timeout * 1000;
  for (;;) {
    const [status] = await askStatus(client, { tag: awaited.tag }, answerMs).catch(nobody);
    if (status !== undefined && isReached(status, awaited)) return report(terminal, status, options);
    const columns = terminal.columns();
    if (status !== undefined && columns !== null && !options.json)
      await screen.draw(watchLines([status], Date.now(), columns));
    if (Date.now() >= endMs)
      throw new Exit(
        exitCodes.unknown,
        `${awaited.tag} is not ${awaited.goal} after ${options.timeout} s; it goes on`,
      );
    await pause(askMs);
  }
}

function nobody(error: unknown): readonly Status[] {
  if (error instanceof Exit && error.exitCode === exitCodes.unreachable) return [];
  throw error;
}

export function isReached({ state, sources, mirrors }: Status, { goal, targets }: Awaited): boolean {
  const isServing = state === 'in-service' || state === 'degraded';
  if (goal === 'in-service')
    return isServing && (targets.length === 0 || targets.some((node) => sources.includes(node)));
  const wanted = mirrors.filter(({ target }) => targets.length === 0 || targets.includes(target));
  const isComplete = targets.length === 0 ? wanted.length > 0 : wanted.length === targets.length;
  return isComplete && wanted.every((mirror) => mirror.status === 'fully-operational' && mirror.connected);
}

async function report({ output }: Terminal, status: Status, { json }: ConnectionOptions): Promise<void> {
  await output.out(json ? `${JSON.stringify(status)}\n` : `${status.tag}: ${sentence(status)}\n`);
}

const sentence = ({ sources, mirrors }: Status): string => {
  const inSync = mirrors.filter(({ status }) => status === 'fully-operational').map(({ target }) => target);
  return `in service on ${sources.join(', ') || 'no node'}, in sync: ${inSync.join(', ') || 'none'}`;
};
