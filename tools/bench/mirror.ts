import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EngineClient } from '../../adapters/agent/engine-client.ts';
import type { NumberedObservation, PeerSettings } from '../../adapters/engine/control-protocol.ts';
import { Epoch, Mode, NodeName, Tag, VolumeName } from '../../domain/vocabulary.ts';
import { BenchProcess, makeImage } from './processes.ts';

const engineMain = fileURLToPath(new URL('../../adapters/engine/main.js', import.meta.url));
const epoch = Epoch.parse(1);

/** One engine process of ours, with this bench as its controller. */
class BenchEngine {
  readonly node: NodeName;
  readonly process: BenchProcess;
  readonly dir: string;
  readonly observations: NumberedObservation[] = [];
  port = 0;
  #client: EngineClient | null = null;

  constructor(folder: string, node: string) {
    this.node = NodeName.parse(node);
    this.dir = join(folder, node);
    mkdirSync(this.dir, { recursive: true });
    this.process = new BenchProcess(`mirrorkeeper ${node}`, process.execPath, [
      engineMain,
      '--dir',
      this.dir,
    ]);
  }

  get client(): EngineClient {
    if (this.#client === null) throw new Error(`the engine of ${this.node} is not open`);
    return this.#client;
  }

  async open(keyFile: string, image: string, isFirst: boolean): Promise<void> {
    const path = join(this.dir, 'ctl.sock');
    await this.process.listens({ path });
    this.#client = await EngineClient.connect(path, {
      observed: (observation) => {
        if (observation.type !== 'unknown') this.observations.push(observation);
      },
      noticed: () => undefined,
      gone: () => undefined,
    });
    const { port } = await this.client.order({
      order: 'open',
      cluster: 'bench',
      tag: Tag.parse('bench'),
      resource: 'bench-1-1',
      node: this.node,
      volumes: [{ name: VolumeName.parse('v0'), path: image }],
      folder: this.dir,
      intentLogs: this.dir,
      keyFile,
      listen: { host: '127.0.0.1', port: 0 },
      create: true,
      isFirst,
    });
    this.port = Number(port);
  }

  async end(): Promise<void> {
    this.#client?.close();
    await this.process.end();
  }
}

export interface MirrorOptions {
  readonly targets: number;
  readonly mode: string;
  readonly byteCount: number;
  /** Where the image of each target lies; made beside the source's by default. */
  readonly targetImage?: string;
}

/** What is measured: our source with its targets over TCP, with everything on that the product promises. */
export class BenchMirror {
  readonly #folder: string;
  readonly #options: MirrorOptions;
  readonly #engines: BenchEngine[];

  constructor(folder: string, options: MirrorOptions) {
    this.#folder = folder;
    this.#options = options;
    const names = ['source', ...Array.from({ length: options.targets }, (_, index) => `target${index + 1}`)];
    this.#engines = names.map((name) => new BenchEngine(folder, name));
  }

  get uri(): string {
    return `nbd+unix:///v0@${epoch}?socket=${join(this.#source.dir, 'nbd.sock')}`;
  }

  get processes(): readonly BenchProcess[] {
    return this.#engines.map(({ process }) => process);
  }

  async start(): Promise<void> {
    const keyFile = join(this.#folder, 'key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    for (const engine of this.#engines) {
      const isSource = engine === this.#source;
      const given = isSource ? undefined : this.#options.targetImage;
      const image = given ?? makeImage(join(engine.dir, 'image'), this.#options.byteCount);
      await engine.open(keyFile, image, isSource);
    }
    await this.#source.client.order({ order: 'serve', epoch });
    await this.#introduce();
    for (const engine of this.#targets) await engine.client.order({ order: 'become-target', epoch });
    await this.#inSync();
  }

  /** Seconds that a full resync of the first target takes, its flush included. */
  async resync(): Promise<number> {
    const source = this.#source;
    const [target] = this.#targets;
    if (target === undefined) throw new Error('there is no target');
    source.observations.length = 0;
    const startedMs = performance.now();
    await source.client.order({ order: 'resync', peer: target.node, kind: 'full', force: true });
    while (!source.observations.some(({ type }) => type === 'resync-completed')) await delay(1);
    const seconds = (performance.now() - startedMs) / 1000;
    await this.#inSync();
    return seconds;
  }

  async end(): Promise<void> {
    await Promise.all(this.#engines.map((engine) => engine.end()));
  }

  get #source(): BenchEngine {
    const [source] = this.#engines;
    if (source === undefined) throw new Error('there is no source');
    return source;
  }

  get #targets(): readonly BenchEngine[] {
    return this.#engines.slice(1);
  }

  async #introduce(): Promise<void> {
    const settings: Partial<PeerSettings> = { mode: Mode.parse(this.#options.mode) };
    for (const engine of this.#engines) {
      for (const { node, port } of this.#engines) {
        if (node === engine.node) continue;
        await engine.client.order({
          order: 'connect',
          peer: node,
          endpoints: [{ host: '127.0.0.1', port }],
          settings,
        });
      }
    }
  }

  async #inSync(): Promise<void> {
    for (;;) {
      const { peers } = await this.#source.client.status();
      if (peers.every(({ status }) => status === 'fully-operational')) return;
      await delay(20);
    }
  }
}
