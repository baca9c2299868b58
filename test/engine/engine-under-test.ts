import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlockDevice } from '../../adapters/block/block-device.ts';
import { FileDevice } from '../../adapters/block/file-device.ts';
import type { IntentLog } from '../../adapters/block/intent-log.ts';
import { intentLogByteSize, openIntentLog } from '../../adapters/block/open-intent-log.ts';
import { intentLogPath } from '../../adapters/block/replica-paths.ts';
import {
  type EngineStatus,
  type Notice,
  type NumberedObservation,
  Order,
  type PeerStatus,
} from '../../adapters/engine/control-protocol.ts';
import { Engine, type Outcome } from '../../adapters/engine/engine.ts';
import type { EnginePorts, ExportServer, Storage } from '../../adapters/engine/ports.ts';
import { realPorts } from '../../adapters/engine/real-ports.ts';
import type { Export } from '../../adapters/nbd/export.ts';

type OrderInput = { readonly order: string } & Readonly<Record<string, unknown>>;
export type ReplicaStatus = NonNullable<EngineStatus['replica']>;

/** Exports without NBD in front: tests write straight into the write path. */
class CaughtExports implements ExportServer {
  offered: readonly Export[] = [];

  offer(exports: readonly Export[], _socket: string, _tcp: unknown, done: (error: null) => void): void {
    this.offered = exports;
    done(null);
  }

  withdraw(_exports: readonly Export[], done: (error: null) => void): void {
    this.offered = [];
    done(null);
  }

  uri(offered: Export): string {
    return `nbd+unix:///${offered.volume}@${offered.epoch}`;
  }

  clients(): number {
    return 0;
  }
}

export interface NodeUnderTestOptions {
  readonly volumeBytes: number;
  readonly intentLogs?: 'none';
  /** No controller: the engine's links decide who is lost. */
  readonly alone?: boolean;
  readonly wrap?: (device: BlockDevice, path: string) => BlockDevice;
  /** Of a bitmap file, in the order in which they are opened. */
  readonly wrapLog?: (device: BlockDevice) => BlockDevice;
}

/** One engine of this process on real files and real sockets. */
export class NodeUnderTest {
  readonly name: string;
  readonly folder: string;
  readonly volumePath: string;
  readonly observations: NumberedObservation[] = [];
  readonly notices: Notice[] = [];
  readonly #lab: Lab;
  readonly #options: NodeUnderTestOptions;
  readonly #exports = new CaughtExports();
  readonly #watchers = new Set<() => void>();
  engine: Engine;
  port = 0;
  /** A port in front of the real one (a proxy), for those who dial. */
  dialedPort: number | null = null;

  constructor(lab: Lab, name: string, options: NodeUnderTestOptions) {
    this.#lab = lab;
    this.name = name;
    this.#options = options;
    this.folder = join(lab.folder, name);
    this.volumePath = join(lab.folder, `${name}.img`);
    writeFileSync(this.volumePath, '');
    truncateSync(this.volumePath, options.volumeBytes);
    this.engine = this.#newEngine();
  }

  #newEngine(): Engine {
    const ports = realPorts(`test ${this.name}`);
    const { alone } = this.#options;
    return new Engine({
      ports: { ...ports, exports: this.#exports, storage: wrapped(ports, this.#options) },
      pid: process.pid,
      socket: join(this.folder, 'nbd.sock'),
      push: (line) => {
        if ('observation' in line) this.observations.push(line);
        else this.notices.push(line);
        for (const watcher of this.#watchers) watcher();
      },
      isControlled: () => alone !== true,
    });
  }

  order(order: OrderInput): Promise<Outcome> {
    const parsed = Order.parse({ id: 1, ...order });
    return new Promise((resolve) => this.engine.order(parsed, resolve));
  }

  async ordered(order: OrderInput): Promise<Record<string, unknown>> {
    const outcome = await this.order(order);
    if (!outcome.ok)
      throw new Error(`${this.name} refuses ${order.order}: ${outcome.code} ${outcome.message}`);
    return outcome;
  }

  async open(more: Record<string, unknown> = {}): Promise<void> {
    const outcome = await this.ordered({
      order: 'open',
      cluster: 'test',
      tag: 'data',
      resource: 'eve-1-1',
      node: this.name,
      volumes: [{ name: 'v0', path: this.volumePath }],
      folder: this.folder,
      intentLogs: this.#options.intentLogs ?? this.folder,
      keyFile: this.#lab.keyFile,
      listen: { host: '127.0.0.1', port: this.port },
      settings: this.#lab.settings,
      create: true,
      ...more,
    });
    this.port = Number(outcome['port']);
  }

  async connect(peer: NodeUnderTest, settings: Record<string, unknown> = {}): Promise<void> {
    const endpoints = [{ host: '127.0.0.1', port: peer.dialedPort ?? peer.port }];
    await this.ordered({ order: 'connect', peer: peer.name, endpoints, settings });
  }

  /** What `kill -9` leaves: links gone, nothing said, nothing flushed. A new engine has the same files. */
  async crash(): Promise<void> {
    const { node } = this.engine;
    this.engine = this.#newEngine();
    if (node === null) return;
    await new Promise<void>((resolve) => {
      node.source?.close();
      node.target.stop(() => node.close(() => resolve()));
    });
    this.observations.length = 0;
  }

  get export(): Export {
    const [offered] = this.#exports.offered;
    if (offered === undefined) throw new Error(`${this.name} does not serve`);
    return offered;
  }

  get replica(): ReplicaStatus {
    const { replica } = this.engine.status();
    if (replica === null) throw new Error(`${this.name} has no replica open`);
    return replica;
  }

  peer(peer: NodeUnderTest): PeerStatus {
    const found = this.engine.status().peers.find((status) => status.peer === peer.name);
    if (found === undefined) throw new Error(`${this.name} does not know ${peer.name}`);
    return found;
  }

  image(): Buffer {
    return readFileSync(this.volumePath);
  }

  write(offset: number, bytes: Uint8Array, fua = false): Promise<void> {
    return completed((done) => this.export.write(bytes, offset, fua, done));
  }

  flush(): Promise<void> {
    return completed((done) => this.export.flush(done));
  }

  /** Checked whenever the engine says something, and now and then. */
  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition()) return;
        finish();
        resolve();
      };
      const finish = () => {
        clearInterval(poll);
        clearTimeout(limit);
        this.#watchers.delete(check);
      };
      const poll = setInterval(check, 5);
      const limit = setTimeout(() => {
        finish();
        reject(new Error(`${this.name}: ${what} did not come; ${JSON.stringify(this.engine.status())}`));
      }, 10_000);
      this.#watchers.add(check);
      check();
    });
  }

  inSync(target: NodeUnderTest): Promise<void> {
    return this.until(`${target.name} in sync`, () => this.peer(target).status === 'fully-operational');
  }
}

function wrapped({ storage }: EnginePorts, { wrap, wrapLog }: NodeUnderTestOptions): Storage {
  return {
    openVolume: (path, done) =>
      storage.openVolume(path, (error, device) =>
        done(error, device === null || wrap === undefined ? device : wrap(device, path)),
      ),
    openMetadata: (...all) => storage.openMetadata(...all),
    openIntentLog: (folder, options, done) => {
      if (wrapLog === undefined || folder === null) storage.openIntentLog(folder, options, done);
      else
        openWrappedLog(folder, options, wrapLog).then(
          (log) => done(null, log),
          (error) => done(error, null),
        );
    },
    release: (...all) => storage.release(...all),
  };
}

async function openWrappedLog(
  folder: string,
  options: Parameters<Storage['openIntentLog']>[1],
  wrapLog: (device: BlockDevice) => BlockDevice,
): Promise<IntentLog> {
  const { volume, peer } = options.identity;
  const path = intentLogPath(folder, volume, peer);
  if (!existsSync(path)) writeFileSync(path, Buffer.alloc(intentLogByteSize(options.volumeByteSize)));
  const device = wrapLog(await FileDevice.open(path));
  return new Promise((resolve) => openIntentLog({ ...options, device }, resolve));
}

export function completed(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))));
}

/** As many as were asked for. */
export type Nodes = readonly [NodeUnderTest, NodeUnderTest, NodeUnderTest, NodeUnderTest];

/** The nodes of one test, and what they share. */
export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'mk-engine-'));
  readonly keyFile = join(this.folder, 'key');
  readonly settings: Record<string, unknown>;
  readonly nodes: NodeUnderTest[] = [];

  constructor(settings: Record<string, unknown> = {}) {
    this.settings = { heartbeatMs: 100, lostAfter: 5, clearAfterMs: 50, ...settings };
    writeFileSync(this.keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  }

  node(name: string, options: NodeUnderTestOptions): NodeUnderTest {
    const node = new NodeUnderTest(this, name, options);
    this.nodes.push(node);
    return node;
  }

  /** `first` serves, the others follow it in these modes; all are in sync when it ends. */
  async mirror(modes: Readonly<Record<string, string>>, options: NodeUnderTestOptions): Promise<Nodes> {
    const names = Object.keys(modes);
    const nodes = names.map((name) => this.node(name, options));
    const [source, ...targets] = nodes;
    if (source === undefined) throw new Error('a mirror has a source');
    for (const node of nodes) await node.open({ isFirst: node === source });
    await source.ordered({ order: 'serve', epoch: 1 });
    for (const node of nodes) {
      for (const peer of nodes) {
        if (peer !== node) await node.connect(peer, { mode: modes[node === source ? peer.name : node.name] });
      }
    }
    for (const target of targets) await target.ordered({ order: 'become-target', epoch: 1 });
    for (const target of targets) await source.inSync(target);
    return nodes as unknown as Nodes;
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.crash()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
