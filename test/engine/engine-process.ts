import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  EngineStatus,
  NumberedObservation,
  PeerStatus,
} from '../../adapters/engine/control-protocol.ts';
import { NbdClient } from './nbd-client.ts';

const main = fileURLToPath(new URL('../../dist/adapters/engine/main.js', import.meta.url));

type Line = Readonly<Record<string, unknown>>;
type OrderInput = { readonly order: string } & Line;

/** A real engine process with a controller: this test. Needs `npm run build`. */
export class EngineProcess {
  readonly name: string;
  readonly dir: string;
  readonly volumePath: string;
  readonly observations: NumberedObservation[] = [];
  port = 0;
  /** Told to the engine at the first notice that a peer stalls it, as an agent would after asking around. */
  declaresLost = true;
  readonly #waiting = new Map<number, (reply: Line) => void>();
  readonly #watchers = new Set<() => void>();
  #child: ChildProcess | null = null;
  #socket: Socket | null = null;
  #id = 0;

  constructor(folder: string, name: string, volumeBytes: number) {
    this.name = name;
    this.dir = join(folder, name);
    this.volumePath = join(folder, `${name}.img`);
    mkdirSync(this.dir, { recursive: true });
    writeFileSync(this.volumePath, '');
    truncateSync(this.volumePath, volumeBytes);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [main, '--dir', this.dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the engine of ${this.name} exits with ${code}`)));
      child.stdout?.once('data', () => resolve());
    });
    child.stdout?.destroy();
    await this.control();
  }

  /** Becomes the controller of the running engine (again). */
  control(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(join(this.dir, 'ctl.sock'), resolve);
      this.#socket = socket;
      let text = '';
      socket.setEncoding('utf8');
      socket.once('error', reject);
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk: string) => {
        const lines = (text + chunk).split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) this.#line(JSON.parse(line) as Line);
      });
    });
  }

  leave(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  order(order: OrderInput): Promise<Line> {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket?.write(`${JSON.stringify({ id, ...order })}\n`);
    });
  }

  async ordered(order: OrderInput): Promise<Line> {
    const reply = await this.order(order);
    if (reply['ok'] !== true) throw new Error(`${this.name}: ${order.order}: ${JSON.stringify(reply)}`);
    return reply;
  }

  /** A line that is not an order: what comes back for it. */
  raw(line: string): Promise<Line> {
    return new Promise((resolve) => {
      this.#waiting.set(-1, resolve);
      this.#socket?.write(`${line}\n`);
    });
  }

  async status(): Promise<EngineStatus> {
    return (await this.ordered({ order: 'status' }))['status'] as EngineStatus;
  }

  async peer(name: string): Promise<PeerStatus> {
    const found = (await this.status()).peers.find(({ peer }) => peer === name);
    if (found === undefined) throw new Error(`${this.name} does not know ${name}`);
    return found;
  }

  /** Asked again and again, at every line from the engine and some 50 times a second. */
  async until(what: string, condition: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!(await condition())) {
      if (performance.now() > deadline) {
        throw new Error(`${this.name}: ${what} did not come: ${JSON.stringify(await this.status())}`);
      }
      await this.#something();
    }
  }

  async inSync(peer: string): Promise<void> {
    await this.until(`${peer} in sync`, async () => (await this.peer(peer)).status === 'fully-operational');
  }

  nbd(epoch: number): Promise<NbdClient> {
    return NbdClient.connect(join(this.dir, 'nbd.sock'), `v0@${epoch}`);
  }

  image(): Buffer {
    return readFileSync(this.volumePath);
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    if (this.pid > 0) process.kill(this.pid, name);
  }

  get exited(): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return Promise.resolve(child?.exitCode ?? null);
    return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    this.signal('SIGKILL');
    await exited;
    this.#child = null;
    this.leave();
  }

  #something(): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearInterval(timer);
        this.#watchers.delete(finish);
        resolve();
      };
      const timer = setInterval(finish, 20);
      this.#watchers.add(finish);
    });
  }

  #line(line: Line): void {
    if ('observation' in line) {
      this.observations.push(line as NumberedObservation);
    } else if ('notice' in line) {
      if (line['notice'] === 'stalled' && this.declaresLost) {
        void this.order({ order: 'peer-lost', peer: line['peer'] });
      }
    } else {
      const id = typeof line['id'] === 'number' ? line['id'] : -1;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      waiting?.(line);
    }
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** Orders that every test of processes gives. */
export async function openEngine(
  engine: EngineProcess,
  keyFile: string,
  more: Record<string, unknown> = {},
): Promise<void> {
  const reply = await engine.ordered({
    order: 'open',
    cluster: 'test',
    tag: 'data',
    resource: 'eve-1-1',
    node: engine.name,
    volumes: [{ name: 'v0', path: engine.volumePath }],
    folder: engine.dir,
    intentLogs: engine.dir,
    keyFile,
    listen: { host: '127.0.0.1', port: engine.port },
    settings: { heartbeatMs: 100, lostAfter: 5, clearAfterMs: 100 },
    create: true,
    ...more,
  });
  engine.port = Number(reply['port']);
}

export async function introduce(engines: readonly EngineProcess[], mode = 'sync'): Promise<void> {
  for (const engine of engines) {
    for (const peer of engines) {
      if (peer === engine) continue;
      const endpoints = [{ host: '127.0.0.1', port: peer.port }];
      await engine.ordered({ order: 'connect', peer: peer.name, endpoints, settings: { mode } });
    }
  }
}
