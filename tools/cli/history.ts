import { z } from 'zod';
import type { TimelineEntry } from '../../projections/timeline.ts';
import { Exit } from '../program.ts';
import type { Client } from './client.ts';
import { ask } from './query.ts';

const Entry = z.looseObject({
  event: z.string(),
  time: z.string(),
  node: z.string(),
  tag: z.string().nullable(),
  type: z.string(),
  sentence: z.string(),
  actor: z.object({ id: z.string(), via: z.string(), verified: z.boolean() }),
  reason: z.string().nullable(),
  command: z.string().nullable(),
  cause: z.string().nullable(),
}) satisfies z.ZodType<TimelineEntry>;
export const Entries = z.array(Entry);

const Answer = z.object({ timeline: Entries });
const timeoutMs = 5000;
const entriesMax = 1000;

/** The latest events, of one resource or of all. */
export async function timelineOf(client: Client, tag: string | undefined): Promise<readonly TimelineEntry[]> {
  return (await ask(client, 'timeline', { tag, limit: entriesMax }, timeoutMs, Answer)).timeline;
}

/** What these events say, as far as the agent knows and tells: an answer is shown without them too. */
export async function sentencesOf(
  client: Client,
  tag: unknown,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  try {
    const entries = await timelineOf(client, typeof tag === 'string' ? tag : undefined);
    const wanted = entries.filter(({ event, type }) => ids.includes(event) && type !== 'command.completed');
    return new Map(wanted.map(({ event, sentence }) => [event, sentence]));
  } catch (error) {
    if (error instanceof Exit) return new Map();
    throw error;
  }
}
