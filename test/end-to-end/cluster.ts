import { execFile } from 'node:child_process';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, vi } from 'vitest';
import { type Mode, regionSize } from '../../domain/vocabulary.ts';
import type { StatusMirror } from '../../projections/status.ts';
import { type NatsServer, startNatsServer } from '../../tools/nats-server.ts';
import type { Reply, Status } from './local-client.ts';
import { NbdClient } from './nbd-client.ts';
import { mirrorkeeper, NodeUnderTest } from './node-under-test.ts';
import { killAll, processesBelow } from './processes.ts';
import { readImage } from './workload.ts';

export const megabyte = 1024 * 1024;
const run = promisify(execFile);

/** Where the nodes and their bus are, and how they reach each other. */
export interface Site {
  /** The URL at which the nodes find the bus. */
  startBus(folder: string): Promise<string>;
  stopBus(): Promise<void>;
  hostOf(name: string): string;
  within(name: string): readonly string[];
  remove(): Promise<void>;
}

/** All on loopback, each node at an address of its own. */
export class Loopback implements Site {
  readonly #prefix = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  readonly #hosts: string[] = [];
  #server: NatsServer | null = null;
  busFolder = '';

  /** Again where it was, with the store that is there. */
  async startBus(folder = this.busFolder): Promise<string> {
    const port = this.#server?.port;
    this.busFolder = folder;
    this.#server = await startNatsServer({
      folder,
      jetStream: true,
      ...(port === undefined ? {} : { port }),
    });
    return this.url;
  }

  get url(): string {
    return this.#server?.url ?? '';
  }

  get busPid(): number {
    return this.#server?.pid ?? 0;
  }

  async stopBus(): Promise<void> {
    await this.#server?.stop();
  }

  hostOf(name: string): string {
    if (!this.#hosts.includes(name)) this.#hosts.push(name);
    return `${this.#prefix}.${this.#hosts.indexOf(name) + 1}`;
  }

  within(): readonly string[] {
    return [];
  }

  async remove(): Promise<void> {
    await this.stopBus();
  }
}

interface Mirrors {
  readonly source: string;
  readonly targets: Readonly<Record<string, Mode>>;
  readonly byteSize?: number;
  /** Names of the volumes, each with `byteSize`; one `data` by default. */
  readonly volumes?: readonly string[];
  /** Modes of the pairs of a target with other targets. */
  readonly pairs?: Readonly<Record<string, Readonly<Record<string, Mode>>>>;
}

/** A cluster of real processes in a folder of its own. It is gone when the test is. */
export class Cluster<S extends Site = Loopback> {
  readonly folder: string;
  readonly site: S;
  readonly heartbeatMs: number;
  readonly #nodes = new Map<string, NodeUnderTest>();

  private constructor(folder: string, site: S, heartbeatMs: number) {
    this.folder = folder;
    this.site = site;
    this.heartbeatMs = heartbeatMs;
  }

  static async start<S extends Site>(
    names: readonly string[],
    site: S,
    heartbeatMs = 200,
    /** `NAME TOKEN`: each node serves a dashboard, on which this operator may give commands. */
    operator: string | null = null,
  ): Promise<Cluster<S>> {
    const folder = await mkdtemp(join(tmpdir(), 'mk-'));
    onTestFinished(async ({ task }) => {
      const isTimedOut = task.result?.errors?.some(({ message }) => message.startsWith('Test timed out'));
      if (isTimedOut) process.stderr.write(`${await cluster.account(task.name)}\n`);
      await killAll(processesBelow(folder));
      await site.remove();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    });
    const cluster = new Cluster(folder, site, heartbeatMs);
    const bus = await site.startBus(join(folder, 'nats'));
    const keyFile = join(folder, 'link.key');
    await writeFile(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const operatorsFile = join(folder, 'operators');
    if (operator !== null) await writeFile(operatorsFile, `${operator}\n`, { mode: 0o600 });
    for (const name of names) {
      const host = site.hostOf(name);
      const node = new NodeUnderTest({
        name,
        cluster: 'lab',
        folder: join(folder, name),
        nats: bus,
        keyFile,
        host,
        heartbeatMs,
        within: site.within(name),
        ...(operator === null ? {} : { http: { address: '127.0.0.1:0', operatorsFile } }),
      });
      cluster.#nodes.set(name, node);
    }
    await Promise.all(cluster.nodes.map((node) => node.start()));
    await cluster.eventually('all nodes know each other', async () => {
      for (const node of cluster.nodes)
        expect((await node.ask('nodes', { id: randomUUID() }, 2000)).nodes).toHaveLength(names.length);
    });
    return cluster;
  }

  get nodes(): NodeUnderTest[] {
    return [...this.#nodes.values()];
  }

  node(name: string): NodeUnderTest {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** A command of an operator at that node. */
  ask(node: string, command: string, body: object = {}, boundMs = 20_000): Promise<Reply> {
    return this.node(node).ask(command, { id: randomUUID(), ...body }, boundMs);
  }

  /** It must be carried out. */
  async order(node: string, command: string, body: object): Promise<Reply> {
    const reply = await this.ask(node, command, body);
    if (!reply.ok)
      throw new Error(
        await this.account(`${command} ${JSON.stringify(body)} at ${node}: ${JSON.stringify(reply)}`),
      );
    return reply;
  }

  /** First asked what would be lost, then with the token (rule 23). */
  async orderAcceptingLoss(node: string, command: string, body: object): Promise<Reply> {
    const asked = await this.ask(node, command, body);
    if (asked.refusal?.code !== 'loss-not-accepted')
      throw new Error(await this.account(`${command} ${JSON.stringify(body)}: ${JSON.stringify(asked)}`));
    return this.order(node, command, { ...body, acceptLoss: asked.token });
  }

  /** The code of the refusal; fails when it is not refused. */
  async refusalOf(node: string, command: string, body: object): Promise<string> {
    const reply = await this.ask(node, command, body);
    if (!reply.refusal)
      throw new Error(await this.account(`${command} is not refused: ${JSON.stringify(reply)}`));
    return reply.refusal.code;
  }

  /** Sparse images for a replica of a resource on a node, as a command names them. */
  async volumesOn(
    name: string,
    tag: string,
    { byteSize = 16 * megabyte, volumes = ['data'] }: { byteSize?: number; volumes?: readonly string[] },
  ): Promise<{ name: string; path: string }[]> {
    const named = volumes.map((volume) => ({ name: volume, path: this.node(name).image(tag, volume) }));
    for (const { path } of named) {
      await writeFile(path, '');
      await truncate(path, byteSize);
    }
    return named;
  }

  /** Creates and extends a resource with sparse volumes on each node, and waits until all targets are in sync. */
  async mirror(tag: string, { source, targets, pairs = {}, ...shape }: Mirrors): Promise<void> {
    const modes = [...Object.values(targets), ...Object.values(pairs).flatMap((each) => Object.values(each))];
    const volumes = await this.volumesOn(source, tag, shape);
    await this.order(source, 'create', { tag, node: source, volumes, allowAsync: modes.includes('async') });
    for (const [node, mode] of Object.entries(targets)) {
      const there = await this.volumesOn(node, tag, shape);
      await this.order(source, 'extend', { tag, node, volumes: there, mode, pair: pairs[node] ?? {} });
    }
    await this.untilInSync(source, tag, source, Object.keys(targets));
  }

  /** Intent logs are cleared behind the writes: from here on a resync copies only what is written later. */
  async untilClean(tag: string): Promise<void> {
    await this.eventually('all intent logs are clear', async () => {
      for (const { name } of this.nodes) expect(await this.dirtyRegions(name, tag), name).toBe(0);
    });
  }

  /** Regions that are marked in the intent logs of a node, for all its peers or for one. */
  async dirtyRegions(node: string, tag: string, peer?: string): Promise<number> {
    const { bitmaps, refusal } = await this.ask(node, 'bitmap-examine', { tag, node }, 2000);
    if (!bitmaps) throw new Error(`${node}: ${refusal?.message}`);
    return bitmaps
      .filter((each) => peer === undefined || each.peer === peer)
      .flatMap(({ volumes }) => volumes)
      .reduce((sum, { dirtyRegions }) => sum + dirtyRegions, 0);
  }

  /** What the intent logs of both sides of a pair allow a resync between them to copy at most. */
  async dirtyBytes(one: string, other: string, tag: string): Promise<number> {
    const counts = await Promise.all([
      this.dirtyRegions(one, tag, other),
      this.dirtyRegions(other, tag, one),
    ]);
    return regionSize * counts.reduce((sum, count) => sum + count, 0);
  }

  /** The images of all nodes have the same bytes; returns them. */
  async sameImages(
    tag: string,
    names = this.nodes.map(({ name }) => name),
    volume = 'data',
  ): Promise<Buffer> {
    const [first = Buffer.alloc(0), ...others] = await Promise.all(
      names.map((name) => readImage(this.node(name).image(tag, volume))),
    );
    for (const [index, other] of others.entries())
      if (!first.equals(other))
        throw new Error(await this.account(`${volume} of ${names[0]} and ${names[index + 1]} differ`));
    return first;
  }

  async status(node: string, tag: string): Promise<Status> {
    const { status, ...reply } = await this.ask(node, 'status', { tag }, 2000);
    if (!status?.[0]) throw new Error(`${node} shows no status of ${tag}: ${JSON.stringify(reply)}`);
    return status[0];
  }

  /** Polls the status that a node shows until it satisfies; fails with the timelines of all nodes. */
  until(
    node: string,
    tag: string,
    what: string,
    satisfies: (status: Status) => boolean,
    boundMs = 15_000,
  ): Promise<Status> {
    return this.eventually(
      `${node} shows of ${tag}: ${what}`,
      async () => {
        const status = await this.status(node, tag);
        if (!satisfies(status)) throw new Error(JSON.stringify(status));
        return status;
      },
      boundMs,
    );
  }

  /** `epoch`: the source came back with a new one; what was known of the reign before does not count. */
  async untilInSync(
    node: string,
    tag: string,
    source: string,
    targets: readonly string[],
    { epoch = 1 } = {},
  ): Promise<Status> {
    await this.untilServing(node, tag, source, { epoch });
    return this.until(node, tag, `${targets.join(' and ')} in sync`, (status) =>
      targets.every((target) => {
        const mirror = mirrorTo(status, target);
        return mirror?.status === 'fully-operational' && mirror.connected && mirror.eligible;
      }),
    );
  }

  /** It says so, and its device answers. */
  untilServing(node: string, tag: string, source: string, { epoch = 1 } = {}): Promise<Status> {
    return this.eventually(`${node} shows that ${source} serves ${tag}`, async () => {
      const status = await this.status(node, tag);
      const [device] = status.device;
      if (status.source !== source || status.epoch < epoch || !device)
        throw new Error(JSON.stringify(status));
      const client = await NbdClient.connect(device.uri);
      await client.close();
      return status;
    });
  }

  untilLost(node: string, tag: string, lost: string): Promise<Status> {
    return this.until(node, tag, `${lost} is lost`, ({ nodes }) =>
      nodes.some((each) => each.node === lost && !each.alive),
    );
  }

  /** Silence after which a node is lost, ms. */
  get lostMs(): number {
    return 5 * this.heartbeatMs;
  }

  /** For what must not happen in that time. */
  elapses(milliseconds: number): Promise<void> {
    const endMs = performance.now() + milliseconds;
    return vi
      .waitUntil(() => performance.now() >= endMs, { timeout: 2 * milliseconds + 1000, interval: 20 })
      .then(() => undefined);
  }

  /** A client of the device of the node that serves. */
  async openDevice(node: string, tag: string, volume = 'data'): Promise<NbdClient> {
    const client = await NbdClient.connect(await this.deviceOf(node, tag, volume));
    onTestFinished(() => client.close());
    return client;
  }

  async deviceOf(node: string, tag: string, volume = 'data'): Promise<string> {
    const { device } = await this.status(node, tag);
    const found = device.find((each) => each.volume === volume);
    if (!found) throw new Error(await this.account(`no device of ${tag} at ${node}`));
    return found.uri;
  }

  /** Types of the events of a resource, in order, as a node has them. */
  async history(node: string, tag: string): Promise<string[]> {
    const { timeline } = await this.ask(node, 'timeline', { tag });
    return (timeline ?? []).map(({ type }) => type);
  }

  async eventually<T>(what: string, attempt: () => Promise<T>, boundMs = 15_000): Promise<T> {
    try {
      return await vi.waitFor(attempt, { timeout: boundMs, interval: 30 });
    } catch (error) {
      throw new Error(await this.account(`not within ${boundMs} ms: ${what}; last: ${error}`));
    }
  }

  /** What every node has of the history, for the message of a failure. */
  async account(what: string): Promise<string> {
    const accounts = await Promise.all(
      this.nodes.map(async (node) => {
        const log = node.logTail(15).join('\n');
        if (!node.isUp) return `--- ${node.name} is down; it logged\n${log}`;
        const reply = await node
          .ask('timeline', { id: randomUUID(), limit: 60 }, 2000)
          .catch(() => undefined);
        const lines = (reply?.timeline ?? []).map(
          ({ time, event, type, sentence }) => `${time.slice(17)} ${event} ${type}: ${sentence}`,
        );
        return `--- ${node.name}\n${lines.join('\n')}\n${log}`;
      }),
    );
    return [what, ...accounts].join('\n');
  }

  /** Ends the agents in order and verifies every journal: nothing damaged, decisions follow, same heads everywhere. */
  async verifyJournals(): Promise<void> {
    const up = this.nodes.filter((node) => node.isUp);
    await this.eventually('all journals have the same heads', async () => {
      const heads = await Promise.all(up.map((node) => this.#heads(node)));
      expect(new Set(heads.map((each) => JSON.stringify(each))).size).toBe(1);
    });
    await Promise.all(up.map((node) => node.stopAgent()));
    for (const { stdout } of await Promise.all(up.map(({ dir }) => journalVerify(dir))))
      expect(JSON.parse(stdout)).toMatchObject({ findings: [] });
  }

  async #heads(node: NodeUnderTest): Promise<unknown> {
    const { status } = await node.ask('status', { id: randomUUID() }, 2000);
    return status?.[0]?.asOf.heads;
  }
}

function journalVerify(dir: string) {
  return run(process.execPath, [
    mirrorkeeper,
    'journal',
    'verify',
    '--decisions',
    '--json',
    '--data',
    dir,
  ]).catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`journal verify of ${dir}: ${error.stdout.slice(0, 4000)} ${error.stderr}`);
  });
}

export const mirrorTo = (status: Status, target: string): StatusMirror | undefined =>
  status.mirrors.find((mirror) => mirror.target === target);
