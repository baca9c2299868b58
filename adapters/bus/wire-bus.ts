import type { z } from 'zod';
import type { Heads } from '../../domain/envelope.ts';
import { NodeName } from '../../domain/vocabulary.ts';
import {
  type AgentBus,
  BusError,
  type BusStatus,
  type CommandEndpoint,
  type Subscription,
  type ViewOutcome,
} from './bus.ts';
import {
  Answer,
  CommandBody,
  CommandReply,
  Heartbeat,
  IssuedCommand,
  JournalRange,
  JournalRecord,
  JournalRecords,
  Question,
  recordId,
  type View,
  type ViewKey,
} from './messages.ts';
import {
  type ActorName,
  type ClusterName,
  type CommandToken,
  commandSubject,
  heartbeatSubject,
  type InboxKind,
  inboxSubject,
  journalSubject,
  parseCommandSubject,
  parseHeartbeatSubject,
  parseInboxSubject,
  parseJournalSubject,
} from './subjects.ts';
import { ViewWriter, watchViews } from './views.ts';
import type { Responder, Wire } from './wire.ts';

/** Requests under way per kind; one more is answered with `busy` (I16). */
const underWayMax = { command: 256, forward: 256, range: 8, ask: 64 } as const;

/** A reply with events stays well below what NATS carries by default (1 MiB). */
const rangeReplyBytes = 512 * 1024;

/**
 * The bus over any wire: builds and reads subjects, checks every shape in both directions, bounds what is under way.
 * What claims to be from another node than its subject says is malformed.
 */
export class WireBus implements AgentBus {
  readonly cluster: ClusterName;
  readonly user: ActorName;
  /** An agent's user is its node; a person's tool never sends as a node. */
  readonly #node: NodeName;
  readonly #wire: Wire;
  readonly #views: ViewWriter;
  readonly #watchers = new Set<(status: BusStatus) => void>();
  #malformedMessages = 0;

  constructor(cluster: ClusterName, user: ActorName, wire: Wire) {
    this.cluster = cluster;
    this.user = user;
    this.#node = NodeName.parse(user);
    this.#wire = wire;
    this.#views = new ViewWriter(wire.store);
    wire.watchStatus(() => this.#statusChanged());
  }

  request(command: CommandToken, body: CommandBody, timeoutMs: number): Promise<CommandReply> {
    return this.#request(commandSubject(this.cluster, this.user, command), body, CommandReply, timeoutMs);
  }

  serveCommands(
    endpoints: readonly CommandEndpoint[],
    handle: (issued: IssuedCommand) => Promise<CommandReply>,
  ): Subscription {
    const reply = bounded(underWayMax.command, async (subject, payload) => {
      const sent = parseCommandSubject(this.cluster, subject);
      if (sent === undefined) throw this.#invalid('the actor in the subject is not a name');
      const actor = { id: sent.actor, via: 'bus' as const, verified: this.#wire.status().actorsVerified };
      const body = this.#read(CommandBody, payload);
      return JSON.stringify(await handle({ command: sent.command, actor, body }));
    });
    const served = endpoints.map(({ command, schema }) => ({
      name: command,
      subject: commandSubject(this.cluster, '*', command),
      metadata: schema === undefined ? {} : { schema },
    }));
    return this.#wire.serve(served, reply);
  }

  forward(to: NodeName, issued: IssuedCommand, timeoutMs: number): Promise<CommandReply> {
    return this.#request(this.#inbox(to, 'forward'), issued, CommandReply, timeoutMs);
  }

  serveForwarded(handle: (issued: IssuedCommand, from: NodeName) => Promise<CommandReply>): Subscription {
    return this.#serveInbox('forward', underWayMax.forward, IssuedCommand, async (issued, from) =>
      JSON.stringify(await handle(issued, from)),
    );
  }

  publishEvents(records: readonly JournalRecord[]): void {
    const subject = journalSubject(this.cluster, this.#node);
    for (const record of records) this.#wire.publish(subject, JSON.stringify(record), recordId(record));
  }

  subscribeJournal(received: (record: JournalRecord) => void): Subscription {
    const subject = journalSubject(this.cluster, '*');
    return this.#subscribe(subject, parseJournalSubject, JournalRecord, received);
  }

  async requestRange(
    from: NodeName,
    range: JournalRange,
    timeoutMs: number,
  ): Promise<readonly JournalRecord[]> {
    const records = await this.#request(this.#inbox(from, 'range'), range, JournalRecords, timeoutMs);
    const fits = records.every(
      ({ node, incarnation, sequence }, index) =>
        node === range.node &&
        incarnation === range.incarnation &&
        sequence === range.from + index &&
        sequence <= range.to,
    );
    if (!fits) throw new BusError('bad-reply', `${from} answered with other events than were asked for`);
    return records;
  }

  serveRanges(read: (range: JournalRange) => Promise<readonly JournalRecord[]>): Subscription {
    return this.#serveInbox('range', underWayMax.range, JournalRange, async (range) =>
      beginningOf(await read(range)),
    );
  }

  publishHeartbeat(heartbeat: Omit<Heartbeat, 'node'>): void {
    const subject = heartbeatSubject(this.cluster, this.#node);
    this.#wire.publish(subject, JSON.stringify({ ...heartbeat, node: this.#node }));
  }

  subscribeHeartbeats(received: (heartbeat: Heartbeat) => void): Subscription {
    const subject = heartbeatSubject(this.cluster, '*');
    return this.#subscribe(subject, parseHeartbeatSubject, Heartbeat, received);
  }

  ask(to: NodeName, question: Question, timeoutMs: number): Promise<Answer> {
    return this.#request(this.#inbox(to, 'ask'), question, Answer, timeoutMs);
  }

  answer(answer: (question: Question, from: NodeName) => Promise<Answer>): Subscription {
    return this.#serveInbox('ask', underWayMax.ask, Question, async (question, from) =>
      JSON.stringify(await answer(question, from)),
    );
  }

  putView(key: ViewKey, value: unknown, heads: Heads): Promise<ViewOutcome> {
    return this.#views.put(key, { heads, value });
  }

  watchViews(prefix: string, changed: (key: ViewKey, view: View) => void): Subscription {
    return watchViews(this.#wire.store, prefix, changed, () => this.#countMalformed());
  }

  ready(timeoutMs: number): Promise<boolean> {
    return this.#wire.ready(timeoutMs);
  }

  status(): BusStatus {
    return { ...this.#wire.status(), malformedMessages: this.#malformedMessages };
  }

  watchStatus(changed: (status: BusStatus) => void): Subscription {
    this.#watchers.add(changed);
    return { end: () => this.#watchers.delete(changed) };
  }

  async close(): Promise<void> {
    this.#views.end();
    await this.#wire.close();
    this.#watchers.clear();
  }

  #inbox(to: NodeName, kind: InboxKind): string {
    return inboxSubject(this.cluster, to, kind, this.#node);
  }

  async #request<S extends z.ZodType>(
    subject: string,
    body: object,
    replySchema: S,
    timeoutMs: number,
  ): Promise<z.infer<S>> {
    const reply = await this.#wire.request(subject, JSON.stringify(body), timeoutMs);
    const parsed = replySchema.safeParse(parseJson(reply));
    if (parsed.success) return parsed.data;
    this.#countMalformed();
    throw new BusError('bad-reply', `the reply has an unknown shape: ${parsed.error.issues[0]?.message}`);
  }

  #serveInbox<S extends z.ZodType>(
    kind: InboxKind,
    underWay: number,
    schema: S,
    reply: (body: z.infer<S>, from: NodeName) => Promise<string>,
  ): Subscription {
    return this.#wire.respond(
      inboxSubject(this.cluster, this.#node, kind, '*'),
      bounded(underWay, async (subject, payload) => {
        const from = parseInboxSubject(this.cluster, subject);
        if (from === undefined) throw this.#invalid('the sender in the subject is not a node');
        return reply(this.#read(schema, payload), from);
      }),
    );
  }

  /** What other nodes publish about themselves. */
  #subscribe<T extends { readonly node: NodeName }>(
    pattern: string,
    senderOf: (cluster: ClusterName, subject: string) => NodeName | undefined,
    schema: z.ZodType<T>,
    received: (message: T) => void,
  ): Subscription {
    return this.#wire.subscribe(pattern, (subject, payload) => {
      const parsed = schema.safeParse(parseJson(payload));
      if (!parsed.success || parsed.data.node !== senderOf(this.cluster, subject)) this.#countMalformed();
      else if (parsed.data.node !== this.#node) received(parsed.data);
    });
  }

  #read<S extends z.ZodType>(schema: S, payload: string): z.infer<S> {
    const parsed = schema.safeParse(parseJson(payload));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw this.#invalid(`${issue?.path.join('.') || 'the message'}: ${issue?.message}`);
  }

  #invalid(sentence: string): BusError {
    this.#countMalformed();
    return new BusError('invalid', sentence);
  }

  #countMalformed(): void {
    this.#malformedMessages += 1;
    this.#statusChanged();
  }

  #statusChanged(): void {
    const status = this.status();
    for (const changed of this.#watchers) changed(status);
  }
}

/** undefined where it is not JSON: no schema accepts that. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function bounded(max: number, reply: Responder): Responder {
  let underWay = 0;
  return async (subject, payload) => {
    if (underWay >= max) throw new BusError('busy', `${max} requests are under way already`);
    underWay += 1;
    try {
      return await reply(subject, payload);
    } finally {
      underWay -= 1;
    }
  };
}

/** As many as fit into one message, at least one: the asker goes on behind them. */
function beginningOf(records: readonly JournalRecord[]): string {
  const texts: string[] = [];
  let byteSize = 0;
  for (const record of records) {
    const text = JSON.stringify(record);
    byteSize += Buffer.byteLength(text);
    if (texts.length > 0 && byteSize > rangeReplyBytes) break;
    texts.push(text);
  }
  return `[${texts.join(',')}]`;
}
