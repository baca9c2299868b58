import { type CausalBase, lastEnd, noBase, nowhere } from '../domain/causal-base.ts';
import { CausalStream } from '../domain/causal-stream.ts';
import { causalFacts } from '../domain/causality.ts';
import type { EventEnvelope } from '../domain/envelope.ts';
import { type Journal, JournalError, type LogHead } from './journal.ts';

const batchEvents = 1000;

/**
 * The events of all logs in their one order, from behind a base on, in little memory. What is not whole is read as far
 * as it is good: `damaged` hears of it. At the end comes what waits for an event that is nowhere here.
 */
export async function* orderedEvents(
  journal: Pick<Journal, 'logs' | 'read'>,
  base: CausalBase = noBase,
  damaged: (error: JournalError) => void = () => undefined,
): AsyncGenerator<readonly EventEnvelope[]> {
  const logs = journal.logs();
  const rests = new Map(
    [...new Set(logs.map(({ node }) => node))].map((node) => {
      const parts = logs.filter((log) => log.node === node);
      return [node, readRest(journal, base, parts, damaged)];
    }),
  );
  const stream = new CausalStream<EventEnvelope>(causalFacts, [...rests.keys()], base);
  let ordered: EventEnvelope[] = [];
  for (let step = stream.next(); step !== undefined; step = stream.next()) {
    if ('wants' in step) {
      const { value } = (await rests.get(step.wants)?.next()) ?? {};
      stream.feed(step.wants, value ?? []);
      continue;
    }
    ordered.push(step.event);
    if (ordered.length < batchEvents) continue;
    yield ordered;
    ordered = [];
  }
  yield [...ordered, ...stream.waiting()];
  for (const rest of rests.values()) yield* rest;
}

/** A node's log from behind the base to its end, one incarnation after the other. */
async function* readRest(
  journal: Pick<Journal, 'read'>,
  base: CausalBase,
  parts: readonly LogHead[],
  damaged: (error: JournalError) => void,
): AsyncGenerator<readonly EventEnvelope[]> {
  for (const { node, incarnation, sequence: to } of parts) {
    const end = lastEnd(base, node) ?? nowhere;
    if (incarnation < end.incarnation) continue;
    const from = incarnation === end.incarnation ? end.sequence + 1 : 1;
    if (from > to) continue;
    try {
      yield* journal.read({ node, incarnation, from, to });
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      damaged(error);
    }
  }
}
