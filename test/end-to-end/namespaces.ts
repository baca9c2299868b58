import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { findNatsServer } from '../../tools/nats-server.ts';
import type { Site } from './cluster.ts';

/** Two networks, as in a machine room: one for the bus, one for replication. */
export const networks = ['bus', 'link'] as const;
export type Network = (typeof networks)[number];
const prefix: Record<Network, string> = { bus: '10.77.0', link: '10.78.0' };
const busHost = `${prefix.bus}.254`;

/** Each node in a network namespace of its own; one more holds both switches and the bus. */
export class Namespaces implements Site {
  readonly #id = `mk${randomBytes(3).toString('hex')}`;
  readonly #nodes: string[] = [];
  #bus: ChildProcess | null = null;

  constructor() {
    ip('netns', 'add', this.#switch);
    for (const network of networks) {
      ip('-n', this.#switch, 'link', 'add', 'name', device(network), 'type', 'bridge');
      ip('-n', this.#switch, 'link', 'set', device(network), 'up');
    }
    ip('-n', this.#switch, 'address', 'add', `${busHost}/24`, 'dev', device('bus'));
    ip('-n', this.#switch, 'link', 'set', 'lo', 'up');
  }

  get #switch(): string {
    return `${this.#id}-switch`;
  }

  hostOf(name: string): string {
    if (!this.#nodes.includes(name)) this.#plugIn(name);
    return `${prefix.link}.${this.#nodes.indexOf(name) + 1}`;
  }

  #plugIn(name: string): void {
    const number = this.#nodes.push(name);
    const own = this.#namespaceOf(name);
    ip('netns', 'add', own);
    ip('-n', own, 'link', 'set', 'lo', 'up');
    for (const network of networks) {
      const port = portOf(name, network);
      const cable = ['name', device(network), 'netns', own, 'type', 'veth', 'peer', 'name', port];
      ip('link', 'add', ...cable, 'netns', this.#switch);
      ip('-n', own, 'address', 'add', `${prefix[network]}.${number}/24`, 'dev', device(network));
      ip('-n', own, 'link', 'set', device(network), 'up');
      ip('-n', this.#switch, 'link', 'set', port, 'master', device(network));
      ip('-n', this.#switch, 'link', 'set', port, 'up');
    }
  }

  within(name: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespaceOf(name)];
  }

  /** Pulls the cable: nothing is refused or closed, packets only vanish. */
  cut(name: string, which: readonly Network[] = networks): void {
    for (const network of which) ip('-n', this.#switch, 'link', 'set', portOf(name, network), 'down');
  }

  heal(name: string, which: readonly Network[] = networks): void {
    for (const network of which) ip('-n', this.#switch, 'link', 'set', portOf(name, network), 'up');
  }

  async startBus(folder: string): Promise<string> {
    const program = await findNatsServer(resolve('.cache'));
    const options = ['-a', busHost, '-p', '4222', '-js', '-sd', join(folder, 'store')];
    const server = spawn('ip', ['netns', 'exec', this.#switch, program, ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#bus = server;
    await new Promise<void>((ready, failed) => {
      server.once('exit', (code) => failed(new Error(`nats-server ended with ${code}`)));
      createInterface({ input: server.stderr }).on('line', (line) => {
        if (line.includes('Server is ready')) ready();
      });
    });
    return `nats://${busHost}:4222`;
  }

  async stopBus(): Promise<void> {
    const server = this.#bus;
    if (server === null || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await ended;
  }

  async remove(): Promise<void> {
    await this.stopBus();
    for (const name of this.#nodes) ip('netns', 'delete', this.#namespaceOf(name));
    ip('netns', 'delete', this.#switch);
  }

  #namespaceOf(name: string): string {
    return `${this.#id}-${name}`;
  }
}

/** The switch of a network, and at each node its end of the cable. */
const device = (network: Network) => `mk-${network}`;

/** A name of an interface has at most 15 bytes. */
const portOf = (name: string, network: Network) => `${name.slice(0, 9)}-${network}`;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
