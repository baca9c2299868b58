import type { JetStreamManager, NatsConnection, NatsError } from 'nats';
import type { EventEnvelope } from '../../domain/envelope.ts';
import type { Journal } from '../../journal/journal.ts';
import { JournalRecord, recordId } from './messages.ts';
import type { LastingConnection } from './nats-connection.ts';
import { ensureStream, jetStreamMsMax, journalStream, streamManager, viewsStream } from './nats-streams.ts';
import { type ClusterName, journalSubject } from './subjects.ts';

export type OwnJournal = Pick<Journal, 'node' | 'logs' | 'read'>;

/** After an event was published it is looked whether the stream has it; and now and then without one. */
const settleMs = 1000;
const checkMs = 10_000;

/**
 * Keeps the stream that captures the journal complete as to this node's own log, for readers outside (FAULTS 25):
 * after each reconnect and behind each published event the stream's last own event is compared with the own head,
 * and what comes behind it is published again, one after the other. `Nats-Msg-Id` drops what the stream has already;
 * live receivers drop it by (node, incarnation, sequence, hash). A stream that lost something in the middle shows a
 * gap in the sequence, and the chain of hashes breaks there: the nodes have it all.
 */
export class JournalCapture {
  readonly #connection: LastingConnection;
  readonly #cluster: ClusterName;
  readonly #journal: OwnJournal;
  readonly #interval: NodeJS.Timeout;
  #settling: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Something happened during the present run. */
  #isDue = false;
  #isOpen = false;

  constructor(connection: LastingConnection, cluster: ClusterName, journal: OwnJournal) {
    this.#connection = connection;
    this.#cluster = cluster;
    this.#journal = journal;
    connection.whenOnline(() => this.#run());
    connection.watch(() => {
      if (connection.online === undefined) this.#isOpen = false;
    });
    this.#interval = setInterval(() => this.#run(), checkMs);
    this.#interval.unref();
  }

  /** The stream had everything when it was last looked at. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** An own event was published, or the last run failed. */
  published(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.#run();
    }, settleMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#interval);
    await this.#running;
    clearTimeout(this.#settling);
  }

  #run(): void {
    const nats = this.#connection.online;
    if (nats === undefined) return;
    this.#isDue = this.#running !== undefined;
    if (this.#isDue) return;
    this.#running = this.#complete(nats)
      .then(
        () => this.#opened(true),
        (error: unknown) => {
          this.#connection.report(
            `the stream of the journal: ${error instanceof Error ? error.message : error}`,
          );
          this.#opened(false);
          this.published();
        },
      )
      .finally(() => {
        this.#running = undefined;
        if (this.#isDue) this.#run();
      });
  }

  #opened(isOpen: boolean): void {
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    this.#connection.changed();
  }

  async #complete(nats: NatsConnection): Promise<void> {
    const jsm = await streamManager(nats);
    await ensureStream(jsm, viewsStream(this.#cluster));
    await ensureStream(jsm, journalStream(this.#cluster));
    const captured = await this.#lastCaptured(jsm);
    const js = nats.jetstream({ checkAPI: false, timeout: jetStreamMsMax });
    for await (const event of this.#eventsBehind(captured)) {
      if (this.#connection.online !== nats) return;
      await js.publish(this.#subject, JSON.stringify(event), { msgID: recordId(JournalRecord.parse(event)) });
    }
  }

  get #subject(): string {
    return journalSubject(this.#cluster, this.#journal.node);
  }

  async #lastCaptured(jsm: JetStreamManager): Promise<JournalRecord | undefined> {
    const message = await jsm.streams
      .getMessage(journalStream(this.#cluster).name, { last_by_subj: this.#subject })
      .catch((error: NatsError) => {
        if (error.api_error?.code === 404) return undefined;
        throw error;
      });
    return message && JournalRecord.safeParse(message.json()).data;
  }

  async *#eventsBehind(captured: JournalRecord | undefined): AsyncIterable<EventEnvelope> {
    const own = this.#journal.logs().filter(({ node }) => node === this.#journal.node);
    own.sort((a, b) => a.incarnation - b.incarnation);
    for (const { node, incarnation, sequence } of own) {
      if (captured !== undefined && incarnation < captured.incarnation) continue;
      const from = captured?.incarnation === incarnation ? captured.sequence + 1 : 1;
      if (from > sequence) continue;
      for await (const events of this.#journal.read({ node, incarnation, from, to: sequence })) yield* events;
    }
  }
}
