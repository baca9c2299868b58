import { randomBytes } from 'node:crypto';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { Link, LinkEvents } from '../link/link.ts';
import { LinkListener } from '../link/link-listener.ts';
import { type LinkSettings, LinkSocket } from '../link/link-socket.ts';
import { type TcpListener, TcpTransport } from '../link/tcp-transport.ts';
import type { Endpoint, Transport } from '../link/transport.ts';
import type { Clock } from './clock.ts';
import { readKeyFile } from './key-file.ts';
import type { Network, NetworkOptions } from './ports.ts';

/** The replication port of this engine and its links, over TCP. */
export function openTcpNetwork(
  clock: Clock,
  options: NetworkOptions,
  ready: (error: Error | null, network: Network | null) => void,
): void {
  readKeyFile(options.keyFile).then(
    (key) => listen(clock, key, options, ready),
    (error: Error) => ready(error, null),
  );
}

function listen(
  clock: Clock,
  key: Uint8Array,
  { identity, timings, listen: at }: NetworkOptions,
  ready: (error: Error | null, network: Network | null) => void,
): void {
  const tcp = new TcpTransport();
  let bound: TcpListener | null = null;
  const transport: Transport = {
    listen: (endpoint, accept, isReady) => {
      bound = tcp.listen(endpoint, accept, isReady);
      return bound;
    },
    dial: (to, opened, failed) => tcp.dial(to, opened, failed),
  };
  const settings: LinkSettings = { identity, key, timings, transport, clock, random: randomBytes };
  const listener: LinkListener = new LinkListener(settings, at, {
    ready: (error) => {
      if (error === null) ready(null, new TcpNetwork(settings, listener, boundPort(bound, at)));
      else ready(error, null);
    },
    refused: () => undefined,
  });
}

const boundPort = (listener: TcpListener | null, at: Endpoint): number => listener?.endpoint.port ?? at.port;

class TcpNetwork implements Network {
  readonly port: number;
  readonly #settings: LinkSettings;
  readonly #listener: LinkListener;
  readonly #links = new Map<Link, LinkSocket>();

  constructor(settings: LinkSettings, listener: LinkListener, port: number) {
    this.#settings = settings;
    this.#listener = listener;
    this.port = port;
  }

  link(peer: NodeName, events: LinkEvents): Link {
    const link = new LinkSocket(this.#settings, peer, events);
    this.#links.set(link, link);
    this.#listener.add(link);
    return link;
  }

  forget(link: Link): void {
    const socket = this.#links.get(link);
    if (socket === undefined) return;
    this.#links.delete(link);
    this.#listener.remove(socket);
  }

  close(): void {
    this.#listener.close();
  }
}
