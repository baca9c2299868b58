import {
  ErrorCode,
  headers,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type NatsError,
  ServiceErrorCodeHeader,
  ServiceErrorHeader,
  type ServiceMsg,
} from 'nats';
import { BusError, type BusErrorCode, type Subscription } from './bus.ts';
import { JournalCapture, type OwnJournal } from './journal-capture.ts';
import { LastingConnection, type NatsConnectionOptions } from './nats-connection.ts';
import { NatsStore } from './nats-store.ts';
import { OutboundWindow } from './outbound-window.ts';
import { type ActorName, type ClusterName, serviceName, serviceQueue } from './subjects.ts';
import { failureToTell, type Responder, type Wire, type WireEndpoint, type WireStatus } from './wire.ts';

export interface NatsWireOptions extends NatsConnectionOptions {
  /** An agent's: the agent creates what JetStream keeps, and completes its own log there. */
  readonly journal?: OwnJournal;
}

/** Of the commands' protocol, as `$SRV.INFO` shows it. */
const serviceVersion = '1.0.0';

/** How a failed handler looks to a client of the micro service framework. */
const serviceErrorCodes: Partial<Record<BusErrorCode, string>> = {
  invalid: '400',
  busy: '429',
  failed: '500',
};

/** Core NATS with its micro service framework as a wire. */
export class NatsWire implements Wire {
  readonly store: NatsStore;
  readonly #connection: LastingConnection;
  readonly #capture: JournalCapture | undefined;
  readonly #cluster: ClusterName;
  readonly #user: ActorName;
  readonly #outbound = new OutboundWindow();
  /** Services that are being announced. */
  readonly #starting = new Set<Promise<unknown>>();
  #droppedMessages = 0;

  constructor(options: NatsWireOptions) {
    this.#cluster = options.cluster;
    this.#user = options.user;
    this.#connection = new LastingConnection(options);
    this.store = new NatsStore(this.#connection, options.cluster, options.journal !== undefined);
    this.#capture = options.journal && new JournalCapture(this.#connection, options.cluster, options.journal);
    this.#connection.whenOnline(() => this.#outbound.reset());
  }

  publish(subject: string, payload: string, id?: string): void {
    const nats = this.#connection.online;
    if (nats === undefined || !this.#outbound.admit(nats, payload.length)) {
      this.#droppedMessages += 1;
      return;
    }
    try {
      nats.publish(subject, payload, id === undefined ? {} : { headers: withHeaders({ 'Nats-Msg-Id': id }) });
      if (id !== undefined) this.#capture?.published();
    } catch (error) {
      this.#droppedMessages += 1;
      this.#connection.report(`not published on ${subject}: ${messageOf(error)}`);
    }
  }

  async request(subject: string, payload: string, timeoutMs: number): Promise<string> {
    if (this.#connection.isClosed) throw new BusError('closed', 'the bus was closed');
    const nats = this.#connection.online;
    if (nats === undefined) throw new BusError('disconnected', 'no connection to the bus');
    if (!this.#outbound.admit(nats, payload.length)) {
      throw new BusError('overloaded', 'too much is on its way to the bus');
    }
    const reply = await nats.request(subject, payload, { timeout: timeoutMs }).catch((error: unknown) => {
      throw this.#requestFailed(error, nats, subject, timeoutMs);
    });
    const code = reply.headers?.get(ServiceErrorCodeHeader) ?? '';
    if (code === '') return reply.string();
    const told = (['invalid', 'busy'] as const).find((one) => serviceErrorCodes[one] === code) ?? 'failed';
    throw new BusError(told, reply.headers?.get(ServiceErrorHeader) ?? '');
  }

  subscribe(subject: string, receive: (subject: string, payload: string) => void): Subscription {
    return this.#connection.attach((nats) => {
      const callback = (error: unknown, message: Msg) => {
        if (error !== null) return this.#connection.report(`no messages of ${subject}: ${messageOf(error)}`);
        if (isFromClient(message)) this.#hand(message, receive);
      };
      const subscription = nats.subscribe(subject, { callback });
      return { end: () => subscription.unsubscribe() };
    });
  }

  respond(subject: string, reply: Responder): Subscription {
    return this.#connection.attach((nats) => {
      const callback = (error: unknown, message: Msg) => {
        if (error !== null) return this.#connection.report(`no requests on ${subject}: ${messageOf(error)}`);
        this.#answer(message, reply);
      };
      const subscription = nats.subscribe(subject, { callback });
      return { end: () => subscription.unsubscribe() };
    });
  }

  serve(endpoints: readonly WireEndpoint[], reply: Responder): Subscription {
    return this.#connection.attach((nats) => {
      const description = `commands of the cluster ${this.#cluster}, served by ${this.#user}`;
      const metadata = { cluster: this.#cluster, node: this.#user };
      const started = nats.services
        .add({ name: serviceName, version: serviceVersion, description, metadata, queue: serviceQueue })
        .then((service) => {
          for (const { name, subject, metadata } of endpoints) {
            const handler = (error: unknown, message: ServiceMsg) => {
              if (error === null) this.#answer(message, reply);
            };
            service.addEndpoint(name, { subject, handler, metadata: { ...metadata } });
          }
          service.stopped.then((why) => {
            if (!(why instanceof Error) || this.#connection.online !== nats) return;
            this.#connection.report(`commands are not served: ${why.message}`);
          });
          return service;
        });
      this.#starting.add(started);
      started
        .catch((error: unknown) => this.#connection.report(`commands are not served: ${messageOf(error)}`))
        .finally(() => this.#starting.delete(started));
      return { end: () => void started.then((service) => service.stop()).catch(() => undefined) };
    });
  }

  async ready(timeoutMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    return Promise.race([this.#settled(), late]).finally(() => clearTimeout(timer));
  }

  status(): WireStatus {
    const nats = this.#connection.online;
    return {
      connected: nats !== undefined,
      server: nats?.getServer() ?? null,
      reconnects: this.#connection.reconnects,
      actorsVerified: this.#connection.actorsVerified,
      views: this.store.isOpen,
      journalStream: this.#capture?.isOpen ?? false,
      droppedMessages: this.#droppedMessages,
      problem: this.#connection.problem,
    };
  }

  watchStatus(changed: () => void): Subscription {
    return this.#connection.watch(changed);
  }

  async close(): Promise<void> {
    this.store.close();
    await this.#connection.close();
    await this.#capture?.close();
  }

  /** The server has answered behind everything that was asked of it so far; false when it went away over it. */
  async #settled(): Promise<boolean> {
    const nats = await this.#connection.established();
    await Promise.allSettled(this.#starting);
    return nats.flush().then(
      () => true,
      () => false,
    );
  }

  /** The client stops reading for good when a listener throws: it must not learn of it. */
  #hand(message: Msg, receive: (subject: string, payload: string) => void): void {
    try {
      receive(message.subject, message.string());
    } catch (error) {
      this.#connection.report(`a listener of ${message.subject} broke down: ${messageOf(error)}`);
    }
  }

  #answer(message: Msg | ServiceMsg, reply: Responder): void {
    if (!hasClientInbox(message)) return;
    reply(message.subject, message.string())
      .then((payload) => message.respond(payload))
      .catch((error: unknown) => message.respond(...failureReply(failureToTell(error))))
      .catch((error: unknown) =>
        this.#connection.report(`no reply on ${message.subject}: ${messageOf(error)}`),
      );
  }

  #requestFailed(error: unknown, nats: NatsConnection, subject: string, timeoutMs: number): BusError {
    if (this.#connection.isClosed) return new BusError('closed', 'the bus was closed');
    const { code } = error as Partial<NatsError>;
    if (code === ErrorCode.ConnectionClosed) return new BusError('disconnected', 'no connection to the bus');
    if (this.#connection.online !== nats) {
      return new BusError('timeout', `the connection broke before there was a reply on ${subject}`);
    }
    switch (code) {
      case ErrorCode.NoResponders:
        return new BusError('no-responders', `nobody serves ${subject}`);
      case ErrorCode.Timeout:
        return new BusError('timeout', `no reply on ${subject} within ${timeoutMs} ms`);
      case ErrorCode.PermissionsViolation:
        return new BusError('denied', `the bus does not let ${this.#user} send ${subject}`);
      case ErrorCode.MaxPayloadExceeded:
        return new BusError('too-large', `the bus does not carry messages of this length on ${subject}`);
      default:
        return new BusError('failed', messageOf(error));
    }
  }
}

/**
 * A user may let JetStream, or whoever serves, send a reply to any subject, past the permissions of that subject: such
 * a message carries no reply address of a client, and is not taken.
 */
const hasClientInbox = ({ reply }: Msg | ServiceMsg): boolean => reply?.startsWith('_INBOX') === true;
const isFromClient = (message: Msg): boolean => !message.reply || hasClientInbox(message);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function withHeaders(entries: Readonly<Record<string, string>>): MsgHdrs {
  const all = headers();
  for (const [name, value] of Object.entries(entries)) all.set(name, value);
  return all;
}

/** Readable for the micro service framework (headers) and for whoever only reads JSON. */
function failureReply({ code, message }: BusError): [string, { headers: MsgHdrs }] {
  const told = message.replaceAll(/[\r\n]+/g, ' ');
  return [
    JSON.stringify({ ok: false, error: { code, message } }),
    {
      headers: withHeaders({
        [ServiceErrorCodeHeader]: serviceErrorCodes[code] ?? '500',
        [ServiceErrorHeader]: told,
      }),
    },
  ];
}
