import { connect, DebugEvents, ErrorCode, Events, type NatsConnection, type NatsError } from 'nats';
import type { Subscription } from './bus.ts';
import { authenticatorOf, type Credentials } from './credentials.ts';
import { ActorName, type ClusterName, CommandToken, commandSubject, inboxPrefix } from './subjects.ts';

export interface NatsConnectionOptions {
  readonly cluster: ClusterName;
  /** nats://HOST:PORT, of one or of all servers of a cluster. */
  readonly servers: readonly string[];
  readonly user: ActorName;
  readonly credentials?: Credentials;
}

/** A hung server is noticed after pingMs × (pingsOut + 1): nothing else tells (DESIGN 4). */
const pingMs = 1000;
const pingsOut = 2;
const dialMsMax = 2000;
const redialMs = 250;

/**
 * A connection to NATS that is made again for ever. The client's own reconnecting is off: towards a hung server it
 * first waits for what it has already written to go out, which may be never, and it keeps what was subscribed on a
 * server that forgot it. So each end is final, and everything attached is attached anew to the next connection.
 */
export class LastingConnection {
  readonly #options: NatsConnectionOptions;
  readonly #attached = new Set<Attached>();
  readonly #online = new Set<(nats: NatsConnection) => void>();
  readonly #watchers = new Set<() => void>();
  #nats: NatsConnection | undefined;
  #isClosed = false;
  #redial: NodeJS.Timeout | undefined;
  #reconnects = -1;
  #problem: string | null = null;
  #actorsVerified = false;
  #probed: Promise<void> = Promise.resolve();
  /** A command in the name of nobody: a server that guards the actor tokens denies it. */
  readonly #probeSubject: string;

  constructor(options: NatsConnectionOptions) {
    this.#options = options;
    const nobody = ActorName.parse(options.user === 'nobody' ? 'nobody-else' : 'nobody');
    this.#probeSubject = commandSubject(options.cluster, nobody, CommandToken.parse('probe'));
    this.#dial();
  }

  /** Undefined while there is none, as far as this side knows. */
  get online(): NatsConnection | undefined {
    return this.#nats;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get reconnects(): number {
    return Math.max(0, this.#reconnects);
  }

  get problem(): string | null {
    return this.#problem;
  }

  /** The server denied a command in another's name when the present connection began. */
  get actorsVerified(): boolean {
    return this.#actorsVerified;
  }

  /** The connection, once there is one and what it permits is known. */
  async established(): Promise<NatsConnection> {
    const nats = await new Promise<NatsConnection>((resolve) => {
      const waiting = this.whenOnline((online) => {
        resolve(online);
        queueMicrotask(() => waiting.end());
      });
    });
    await this.#probed;
    return nats;
  }

  /** `attach` runs once for each connection, now or when there is one. */
  attach(attach: (nats: NatsConnection) => Subscription): Subscription {
    const attached: Attached = { attach, current: this.#nats && attach(this.#nats) };
    this.#attached.add(attached);
    return {
      end: () => {
        this.#attached.delete(attached);
        if (this.#nats !== undefined) attached.current?.end();
      },
    };
  }

  /** `run` now if there is a connection, and each time there is one again. */
  whenOnline(run: (nats: NatsConnection) => void): Subscription {
    this.#online.add(run);
    const nats = this.online;
    if (nats !== undefined) run(nats);
    return { end: () => this.#online.delete(run) };
  }

  watch(changed: () => void): Subscription {
    this.#watchers.add(changed);
    return { end: () => this.#watchers.delete(changed) };
  }

  report(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.changed();
  }

  changed(): void {
    for (const changed of this.#watchers) changed();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#redial);
    this.#attached.clear();
    this.#online.clear();
    await this.#nats?.close();
    this.changed();
    this.#watchers.clear();
  }

  #dial(): void {
    const { servers, user, credentials } = this.#options;
    connect({
      servers: [...servers],
      name: `mirrorkeeper ${user}`,
      inboxPrefix: inboxPrefix(user),
      pingInterval: pingMs,
      maxPingOut: pingsOut,
      timeout: dialMsMax,
      reconnect: false,
      noAsyncTraces: true,
      ...(credentials === undefined ? {} : { authenticator: authenticatorOf(credentials) }),
    }).then(
      (nats) => this.#opened(nats),
      (error: unknown) => this.#dialLater(error),
    );
  }

  #dialLater(why: unknown): void {
    if (this.#isClosed) return;
    if (why instanceof Error) this.report(`no connection to the bus: ${why.message}`);
    this.#redial = setTimeout(() => this.#dial(), redialMs * (1 + Math.random()));
  }

  #opened(nats: NatsConnection): void {
    if (this.#isClosed) {
      nats.close();
      return;
    }
    this.#nats = nats;
    this.#reconnects += 1;
    this.#probed = this.#probe(nats);
    for (const attached of this.#attached) attached.current = attached.attach(nats);
    for (const run of this.#online) run(nats);
    this.changed();
    this.#follow(nats);
    nats.closed().then((why) => {
      this.#nats = undefined;
      this.changed();
      this.#dialLater(why);
    });
  }

  async #follow(nats: NatsConnection): Promise<void> {
    for await (const { type, data, permissionContext } of nats.status()) {
      if (type === DebugEvents.StaleConnection) {
        this.report('the bus does not answer');
        await nats.close();
      } else if (type === Events.Error && permissionContext?.subject !== this.#probeSubject) {
        const denied = permissionContext && `${permissionContext.operation} of ${permissionContext.subject}`;
        this.report(denied === undefined ? `the bus says: ${data}` : `the bus denies ${denied}`);
      }
    }
  }

  async #probe(nats: NatsConnection): Promise<void> {
    const denied =
      nats.info?.auth_required === true &&
      (await nats.request(this.#probeSubject, '', { timeout: dialMsMax }).then(
        () => false,
        (error: NatsError) => error.code === ErrorCode.PermissionsViolation,
      ));
    if (denied === this.#actorsVerified) return;
    this.#actorsVerified = denied;
    this.changed();
  }
}

interface Attached {
  readonly attach: (nats: NatsConnection) => Subscription;
  current: Subscription | undefined;
}
