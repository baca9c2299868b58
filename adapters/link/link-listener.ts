import type { NodeName } from '../../domain/vocabulary.ts';
import type { LinkFault } from './link.ts';
import { freshNonce, type LinkSettings, type LinkSocket } from './link-socket.ts';
import { SessionConnection } from './session-connection.ts';
import type { Connection, ConnectionEvents, Endpoint, Listener } from './transport.ts';

/** Connections that have proved nothing yet; one more and the oldest is closed. */
const strangersMax = 64;

export interface LinkListenerEvents {
  ready(error: Error | null): void;
  /** Somebody came who was not let in; no link counts it, because nobody knows whose it would be. */
  refused(fault: LinkFault): void;
}

/** The replication port of an engine: all its links share it, a dialer is told by the name that it proves. */
export class LinkListener {
  readonly #settings: LinkSettings;
  readonly #events: LinkListenerEvents;
  readonly #links = new Map<NodeName, LinkSocket>();
  readonly #strangers = new Set<SessionConnection>();
  readonly #listener: Listener;

  constructor(settings: LinkSettings, at: Endpoint, events: LinkListenerEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#listener = settings.transport.listen(
      at,
      (connection) => this.#accept(connection),
      (error) => events.ready(error),
    );
  }

  add(link: LinkSocket): void {
    this.#links.set(link.peer, link);
  }

  remove(link: LinkSocket): void {
    this.#links.delete(link.peer);
  }

  /** Established sessions go on: they are their links'. */
  close(): void {
    this.#listener.close();
    for (const stranger of this.#strangers) stranger.session.end('dropped');
  }

  #accept(connection: Connection): ConnectionEvents {
    const [oldest] = this.#strangers;
    if (oldest !== undefined && this.#strangers.size >= strangersMax) oldest.session.end('dropped');
    const { identity, clock, random } = this.#settings;
    const stranger: SessionConnection = new SessionConnection(
      connection,
      clock,
      {
        ...this.#settings,
        nonce: freshNonce(random),
        role: {
          kind: 'listener',
          identity,
          admit: (claim) => {
            const link = this.#links.get(claim.from);
            if (link === undefined || link.dials) return 'wrong-node';
            const admitted = link.admit(claim);
            if (typeof admitted !== 'string') this.#strangers.delete(stranger);
            return admitted;
          },
        },
      },
      (fault) => {
        this.#strangers.delete(stranger);
        this.#events.refused(fault);
      },
    );
    this.#strangers.add(stranger);
    return stranger;
  }
}
