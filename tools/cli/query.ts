import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { Exit, exitCodes } from '../program.ts';
import type { Client } from './client.ts';
import type { ConnectionOptions } from './connection.ts';
import { exitCodeOf, type Reply } from './reply.ts';
import { replyText } from './reply-text.ts';
import { type Terminal, withClient } from './terminal.ts';

/** An agent answered a question with why it does not. */
class QueryFailed extends Exit {
  readonly reply: Reply;

  constructor(query: string, reply: Reply) {
    super(exitCodeOf(reply), replyText(reply, { what: query, accepting: () => '', sentences: new Map() }));
    this.reply = reply;
  }
}

/** `withClient` for a command that only asks: what an agent says instead of an answer is JSON too with `--json`. */
export async function asking(
  terminal: Terminal,
  options: ConnectionOptions,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  try {
    await withClient(terminal, options, work);
  } catch (error) {
    if (!(error instanceof QueryFailed) || !options.json) throw error;
    await terminal.output.out(`${JSON.stringify(error.reply)}\n`);
    throw new Exit(error.exitCode, '');
  }
}

/**
 * Asks something that changes nothing; an answer that did not come is then only that: unreachable.
 * Errors: `Exit`, with what an agent said instead of the answer.
 */
export async function ask<T>(
  client: Client,
  query: string,
  args: Readonly<Record<string, unknown>>,
  timeoutMs: number,
  schema: z.ZodType<T>,
): Promise<T> {
  const reply = await answerTo(client, query, args, timeoutMs);
  if (!reply.ok) throw new QueryFailed(query, reply);
  const parsed = schema.safeParse(reply);
  if (parsed.success) return parsed.data;
  throw new Exit(
    exitCodes.unreachable,
    `the agent answered ${query} in another language than this version's`,
  );
}

async function answerTo(
  client: Client,
  query: string,
  args: Readonly<Record<string, unknown>>,
  timeoutMs: number,
): Promise<Reply> {
  const given = Object.entries(args).filter(([, value]) => value !== undefined);
  const body = { id: `query-${randomUUID()}`, ...Object.fromEntries(given) };
  try {
    return await client.request(query, body, timeoutMs);
  } catch (error) {
    if (error instanceof Exit && error.exitCode === exitCodes.unknown)
      throw new Exit(exitCodes.unreachable, `no agent answered ${query} in time`);
    throw error;
  }
}
