import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import { writeKey } from '../cli/keygen-command.ts';
import { type LabContext, labFolder } from '../cli/lab-context.ts';
import { type NatsServer, startNatsServer } from '../nats-server.ts';
import { Cabling, type NodePorts } from './cabling.ts';
import { LabNode } from './lab-node.ts';
import { areFree, freePorts, portsPerNode } from './ports.ts';
import { endAll, pidsUnder } from './processes.ts';
import { routed } from './routes.ts';

/**
 * A whole cluster on this machine: a NATS server, and an agent with its engines for each of three nodes, all of them
 * real processes whose links and bus pass through proxies that can be cut. Everything it keeps lies in `.lab`.
 */
export const labCluster = 'lab';
const labOperator = 'lab';
export const labTag = Tag.parse('datarep-ext3');
export const labNodes = ['eve', 'adam', 'sophocles'].map((name) => NodeName.parse(name));
export const volumeBytes = 64 * 1024 * 1024;

export interface LabOptions {
  /** Where `.lab` is made. */
  readonly folder: string;
  /** Where a nats-server is unpacked to if this machine has none. */
  readonly cacheFolder: string;
  /** Seconds. */
  readonly heartbeat: number;
}

/** Ports lie in the history (a replica's address is fixed), so a later run of the same lab has them again. */
const Ports = z.record(z.string(), z.int());

export class Lab {
  readonly nodes: ReadonlyMap<NodeName, LabNode>;
  /** True where an earlier run left its data. */
  readonly wasThere: boolean;
  readonly #folder: string;
  readonly #token: string;
  readonly #nats: NatsServer;
  readonly #cabling: Cabling;
  readonly #short: ShortPath;

  private constructor(
    folder: string,
    wasThere: boolean,
    token: string,
    nats: NatsServer,
    cabling: Cabling,
    short: ShortPath,
    nodes: readonly LabNode[],
  ) {
    this.#folder = folder;
    this.wasThere = wasThere;
    this.#token = token;
    this.#nats = nats;
    this.#cabling = cabling;
    this.#short = short;
    this.nodes = new Map(nodes.map((node) => [node.node, node]));
  }

  /** The servers, without a resource on them yet. Errors: a sentence. */
  static async start({ folder: parent, cacheFolder, heartbeat }: LabOptions): Promise<Lab> {
    const folder = resolve(parent, labFolder);
    const wasThere = existsSync(join(folder, 'ports.json'));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const short = await shortPathTo(folder);
    // What a lab that was killed has left running.
    await endAll([...pidsUnder(folder), ...pidsUnder(short.path)], 0);
    const keyFile = join(folder, 'link.key');
    if (!existsSync(keyFile)) await writeKey(keyFile);
    const operatorsFile = join(folder, 'operators');
    const token = randomBytes(32).toString('hex');
    await writeFile(operatorsFile, `${labOperator} ${token}\n`, { mode: 0o600 });
    const ports = await portsOf(folder);
    const nats = await startNatsServer({
      folder: join(folder, 'nats'),
      jetStream: true,
      cacheFolder,
    });
    const cabling = await Cabling.lay(ports, nats.port);
    const nodes = ports.map(
      ({ node, firstPort, lastPort }) =>
        new LabNode({
          node,
          cluster: labCluster,
          data: join(short.path, node),
          folder: join(folder, node),
          keyFile,
          operatorsFile,
          firstPort,
          lastPort,
          heartbeat,
          busPort: cabling.busPortOf(node),
          environment: routed(cabling.routesOf(node)),
        }),
    );
    const lab = new Lab(folder, wasThere, token, nats, cabling, short, nodes);
    try {
      await Promise.all(nodes.map((node) => lab.#provide(node)));
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  async #provide(node: LabNode): Promise<void> {
    await mkdir(node.options.folder, { recursive: true, mode: 0o700 });
    if (!existsSync(node.volume)) {
      await writeFile(node.volume, '', { mode: 0o600 });
      await truncate(node.volume, volumeBytes);
    }
    await node.start();
  }

  get natsUrl(): string {
    return this.#nats.url;
  }

  /** Whoever opens it gives commands as the lab's operator: a browser sends nobody what stands behind `#`. */
  dashboardOf(name: string): string {
    return `http://${this.node(name).dashboard}/#operator=${this.#token}`;
  }

  /** The checksums of what was written through the device. */
  get ledgerFile(): string {
    return join(this.#folder, 'written.json');
  }

  /** Where the running lab takes orders from other terminals. */
  get controlSocket(): string {
    return join(this.#short.path, 'control.sock');
  }

  context(): LabContext {
    const sockets = [...this.nodes.values()].map(({ node, socket }) => [node, socket] as const);
    const { natsUrl: nats, controlSocket: control } = this;
    return { cluster: labCluster, nats, sockets: Object.fromEntries(sockets), control };
  }

  node(name: string): LabNode {
    const node = this.nodes.get(name as NodeName);
    if (node === undefined)
      throw new Error(`the lab has no node ${name}: it has ${[...this.nodes.keys()].join(', ')}`);
    return node;
  }

  partition(name: string): void {
    this.node(name).isPartitioned = true;
    this.#cable();
  }

  /** Ends a partition, and starts a node that was killed or stopped. */
  async heal(name: string): Promise<void> {
    const node = this.node(name);
    node.isPartitioned = false;
    this.#cable();
    if (node.state !== 'running') await node.start();
  }

  #cable(): void {
    const isolated = [...this.nodes.values()].filter(({ isPartitioned }) => isPartitioned);
    this.#cabling.isolate(new Set(isolated.map(({ node }) => node)));
  }

  /** Everything ends; the data stays. */
  async stop(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.stop()));
    this.#cabling.close();
    await this.#nats.stop();
    await this.#short.remove();
  }
}

async function portsOf(folder: string): Promise<NodePorts[]> {
  const file = join(folder, 'ports.json');
  const known = existsSync(file) ? Ports.parse(JSON.parse(await readFile(file, 'utf8'))) : await newPorts();
  await writeFile(file, JSON.stringify(known), { mode: 0o600 });
  return Promise.all(
    labNodes.map(async (node) => {
      const firstPort = known[node] ?? 0;
      if (!(await areFree(firstPort, portsPerNode)))
        throw new Error(
          `somebody listens on the ports ${firstPort}-${firstPort + portsPerNode - 1}, which ${node} of this lab had; end that program, or begin anew with: rm -rf ${folder}`,
        );
      return { node, firstPort, lastPort: firstPort + portsPerNode - 1 };
    }),
  );
}

async function newPorts(): Promise<Record<string, number>> {
  const first = await freePorts(labNodes.length * portsPerNode);
  return Object.fromEntries(labNodes.map((node, index) => [node, first + index * portsPerNode]));
}

interface ShortPath {
  readonly path: string;
  remove(): Promise<void>;
}

/** Of the sockets below a node's folder; the longest path that a Unix socket has (REQUIREMENTS 5). */
const socketSuffixBytes = Buffer.byteLength('/sophocles/e/00000000/ctl.sock');
const unixPathBytesMax = 107;

/** The folder itself or, where sockets below it had too long a path, a link to it in the system's temporary folder. */
async function shortPathTo(folder: string): Promise<ShortPath> {
  if (Buffer.byteLength(folder) + socketSuffixBytes <= unixPathBytesMax)
    return { path: folder, remove: async () => undefined };
  const temporary = await mkdtemp(join(tmpdir(), 'mk-lab-'));
  const path = join(temporary, 'l');
  await symlink(folder, path);
  return { path, remove: () => rm(temporary, { recursive: true, force: true }) };
}
