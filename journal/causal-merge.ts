import { type EventEnvelope, parseSeen } from '../domain/envelope.ts';

/**
 * Merges logs for reading: what an event's writer had seen comes before it; between events that had not seen
 * each other the earlier time comes first, then the node's name. Streams: holds one batch of each log.
 */
export async function* mergeLogs(
  logs: readonly AsyncIterable<readonly EventEnvelope[]>[],
): AsyncGenerator<EventEnvelope> {
  const fronts = logs.map((log) => new Front(log));
  for (const front of fronts) await front.advance();
  const done = new Map<string, number>();
  for (;;) {
    const waiting = fronts.filter((front) => front.event !== undefined).sort(byTime);
    const present = new Set(waiting.map(({ event }) => logOf(event)));
    const isReady = ({ seen }: Front) =>
      seen.every(({ log, sequence }) => (done.get(log) ?? 0) >= sequence || !present.has(log));
    const next = waiting.find(isReady) ?? waiting[0];
    if (next?.event === undefined) return;
    yield next.event;
    done.set(logOf(next.event), next.event.sequence);
    await next.advance();
  }
}

const logOf = (event: EventEnvelope | undefined): string => `${event?.node}/${event?.incarnation}`;

const byTime = ({ event: a }: Front, { event: b }: Front): number => {
  if (a === undefined || b === undefined) return 0;
  return a.time < b.time || (a.time === b.time && a.id < b.id) ? -1 : 1;
};

/** The first event of a log that has not come yet. */
class Front {
  event: EventEnvelope | undefined;
  seen: readonly { readonly log: string; readonly sequence: number }[] = [];
  readonly #batches: AsyncIterator<readonly EventEnvelope[]>;
  #batch: readonly EventEnvelope[] = [];
  #index = 0;

  constructor(log: AsyncIterable<readonly EventEnvelope[]>) {
    this.#batches = log[Symbol.asyncIterator]();
  }

  async advance(): Promise<void> {
    while (this.#index >= this.#batch.length) {
      const { done, value } = await this.#batches.next();
      this.#batch = done ? [] : value;
      this.#index = 0;
      if (done) break;
    }
    this.event = this.#batch[this.#index];
    this.#index += 1;
    this.seen = (parseSeen(this.event?.seen ?? '') ?? []).map(({ node, incarnation, sequence }) => ({
      log: `${node}/${incarnation}`,
      sequence,
    }));
  }
}
