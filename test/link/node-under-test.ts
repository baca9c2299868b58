import { randomBytes } from 'node:crypto';
import type { Clock } from '../../adapters/engine/clock.ts';
import type { IncomingMessage, LinkEvents, LinkFault, LinkTimings } from '../../adapters/link/link.ts';
import { LinkListener } from '../../adapters/link/link-listener.ts';
import { type LinkSettings, LinkSocket } from '../../adapters/link/link-socket.ts';
import { type TcpListener, TcpTransport } from '../../adapters/link/tcp-transport.ts';
import type { Connection, ConnectionEvents, Endpoint, Transport } from '../../adapters/link/transport.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';

export const clusterKey = randomBytes(32);
export const quick: LinkTimings = { pingIntervalMs: 60, timeoutMs: 300 };

const realClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Real TCP that tells where it listens, so that tests can let the system choose the port. */
class ObservedTransport implements Transport {
  readonly #tcp = new TcpTransport();
  listener: TcpListener | null = null;

  listen(
    at: Endpoint,
    accept: (connection: Connection) => ConnectionEvents,
    ready: (error: Error | null) => void,
  ) {
    this.listener = this.#tcp.listen(at, accept, ready);
    return this.listener;
  }

  dial(
    to: Endpoint,
    opened: (connection: Connection) => ConnectionEvents,
    failed: (error: Error) => void,
  ): void {
    this.#tcp.dial(to, opened, failed);
  }
}

/** What one link told its engine, and a way to wait for it without looking at a clock. */
export class ObservedLink implements LinkEvents {
  readonly link: LinkSocket;
  readonly sessions: string[] = [];
  readonly faults: LinkFault[] = [];
  readonly refusals: LinkFault[] = [];
  readonly payloads: string[] = [];
  drains = 0;
  keepsPayloads = true;
  onReceived: (message: IncomingMessage) => void = (message) => message.release();
  #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = [];

  constructor(settings: LinkSettings, peer: NodeName) {
    this.link = new LinkSocket(settings, peer, this);
  }

  established(sessionId: string): void {
    this.sessions.push(sessionId);
    this.#look();
  }

  received(message: IncomingMessage): void {
    if (this.keepsPayloads) this.payloads.push(Buffer.from(message.payload).toString('latin1'));
    this.onReceived(message);
    this.#look();
  }

  drained(): void {
    this.drains++;
    this.#look();
  }

  ended(fault: LinkFault): void {
    this.faults.push(fault);
    this.#look();
  }

  refused(fault: LinkFault): void {
    this.refusals.push(fault);
    this.#look();
  }

  /** Looked at after every event of this link. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ holds, resolve }));
  }

  #look(): void {
    const due = this.#waiting.filter(({ holds }) => holds());
    this.#waiting = this.#waiting.filter((each) => !due.includes(each));
    for (const { resolve } of due) resolve();
  }
}

/** The link side of an engine: its port and its links. */
export class NodeUnderTest {
  readonly settings: LinkSettings;
  readonly refusals: LinkFault[] = [];
  readonly #transport = new ObservedTransport();
  readonly #links: LinkSocket[] = [];
  #listener: LinkListener | null = null;

  constructor(node: string, change: Partial<LinkSettings> = {}) {
    this.settings = {
      identity: { cluster: 'paradise', tag: 'datarep' as Tag, resource: 'adam/1/7', node: node as NodeName },
      key: clusterKey,
      timings: quick,
      transport: this.#transport,
      clock: realClock,
      random: randomBytes,
      ...change,
    };
  }

  /** Resolves to where it listens. */
  listen(): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      const ready = (error: Error | null) => {
        const at = this.#transport.listener?.endpoint;
        if (error !== null || at === undefined) reject(error ?? new Error('nothing listens'));
        else resolve(at);
      };
      const refused = (fault: LinkFault) => this.refusals.push(fault);
      this.#listener = new LinkListener(this.settings, { host: '127.0.0.1', port: 0 }, { ready, refused });
    });
  }

  link(peer: string): ObservedLink {
    const observed = new ObservedLink(this.settings, peer as NodeName);
    this.#links.push(observed.link);
    this.#listener?.add(observed.link);
    return observed;
  }

  close(): void {
    for (const link of this.#links) link.close();
    this.#listener?.close();
  }
}
