import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineProcess, introduce, openEngine } from '../engine/engine-process.ts';
import type { NbdClient } from '../engine/nbd-client.ts';
import { dice } from '../engine/workload.ts';
import { Ledger } from './ledger.ts';

/*
 * `kill -9` of the source, the target or both, at random moments under a workload of overlapping writes.
 *
 * After each kill: the image of the target, alone, holds every write that was acknowledged at the moment of the kill;
 * the resync is partial and no larger than what the two intent logs name; both images end equal, and hold what the
 * application was told. A killed source comes back as the source, or its target takes over: by the dice.
 */

const sectorSize = 512;
const volumeBytes = 16 * 1024 * 1024;
const sectorsUsed = (2 * 1024 * 1024) / sectorSize;
const regionSize = 65_536;
const depth = 16;

export interface KillRoundsOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly say?: (line: string) => void;
}

export interface KillRoundsReport {
  readonly rounds: number;
  readonly acknowledged: number;
  readonly resyncs: readonly { readonly bytes: number; readonly dirtyBytes: number }[];
}

export async function killRounds({ rounds, seed, say }: KillRoundsOptions): Promise<KillRoundsReport> {
  const folder = mkdtempSync(join(tmpdir(), 'mk-kill-'));
  const cluster = new Cluster(folder, seed);
  try {
    await cluster.begin();
    for (let round = 0; round < rounds; round += 1) {
      const line = await cluster.round(round);
      say?.(line);
    }
    return cluster.report(rounds);
  } finally {
    await cluster.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Cluster {
  readonly #keyFile: string;
  readonly #roll: (below: number) => number;
  readonly #ledger = new Ledger();
  readonly #resyncs: { bytes: number; dirtyBytes: number }[] = [];
  #source: EngineProcess;
  #target: EngineProcess;
  #epoch = 1;
  #number = 0;
  #acknowledged = 0;

  constructor(folder: string, seed: number) {
    this.#keyFile = join(folder, 'key');
    writeFileSync(this.#keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    this.#roll = dice(seed);
    this.#source = new EngineProcess(folder, 'adam', volumeBytes);
    this.#target = new EngineProcess(folder, 'eve', volumeBytes);
  }

  async begin(): Promise<void> {
    const engines = [this.#source, this.#target];
    for (const engine of engines) {
      await engine.start();
      await openEngine(engine, this.#keyFile, { isFirst: engine === this.#source });
    }
    await this.#source.ordered({ order: 'serve', epoch: this.#epoch });
    await introduce(engines);
    await this.#target.ordered({ order: 'become-target', epoch: this.#epoch });
    await this.#source.inSync(this.#target.name);
  }

  async round(round: number): Promise<string> {
    const victims = (['source', 'target', 'both'] as const)[round % 3] ?? 'both';
    const client = await this.#source.nbd(this.#epoch);
    await this.#write(client, () => this.#kill(victims, client));
    client.close();
    const takeover = victims === 'source' && this.#roll(2) === 0;
    if (takeover) await this.#takeOver();
    else await this.#comeBack(victims);
    const resync = await this.#resynced();
    const image = this.#source.image();
    this.#check(image, 'the source after the resync');
    if (!image.equals(this.#target.image())) throw new Error(`round ${round}: the images differ`);
    this.#ledger.settle(image, sectorSize);
    const how = takeover ? 'taken over' : 'came back';
    return `round ${round}: ${victims} killed, ${how}, ${this.#acknowledged} acknowledged, ${resync}`;
  }

  report(rounds: number): KillRoundsReport {
    return { rounds, acknowledged: this.#acknowledged, resyncs: this.#resyncs };
  }

  async end(): Promise<void> {
    await Promise.all([this.#source.kill(), this.#target.kill()]);
  }

  /** Writes until the kill comes; ends when every write is answered, or never will be. */
  #write(client: NbdClient, kill: () => Promise<void>): Promise<void> {
    const killAt = this.#acknowledged + 100 + this.#roll(400);
    let stopAt = Number.POSITIVE_INFINITY;
    let isKilled: Promise<void> | null = null;
    return new Promise((resolve, reject) => {
      const issue = () => {
        this.#number += 1;
        const number = this.#number;
        const count = 1 + this.#roll(64);
        const first = this.#roll(sectorsUsed - count);
        const bytes = Buffer.alloc(count * sectorSize);
        for (let at = 0; at < bytes.length; at += sectorSize) bytes.writeUInt32LE(number, at);
        const ticket = this.#ledger.issue(number, first, count);
        client.write(first * sectorSize, bytes, this.#roll(10) === 0, (error) => {
          if (error === 0) {
            this.#ledger.acknowledge(ticket);
            this.#acknowledged += 1;
          } else if (error !== null) {
            reject(new Error(`a write failed with ${error}`));
          }
          if (this.#acknowledged >= killAt && isKilled === null) {
            isKilled = this.#soon(kill).then(() => {
              stopAt = this.#acknowledged + 50;
            });
          }
          if (error !== null && this.#acknowledged < stopAt) issue();
          else if (client.inFlight === 0) void isKilled?.then(resolve, reject);
        });
      };
      for (let count = 0; count < depth; count += 1) issue();
    });
  }

  /** Not just when an acknowledgement comes: at any moment of the next ones. */
  #soon(kill: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      setTimeout(() => kill().then(resolve, reject), this.#roll(20));
    });
  }

  async #kill(victims: 'source' | 'target' | 'both', client: NbdClient): Promise<void> {
    // What is acknowledged later may be without the target.
    const atTheKill = this.#ledger.copy();
    const killed = [];
    if (victims !== 'source') killed.push(this.#target.kill());
    if (victims !== 'target') killed.push(this.#source.kill());
    await Promise.all(killed);
    if (victims !== 'target') client.close();
    const wrong = atTheKill.wrong(this.#target.image(), sectorSize);
    if (wrong.length > 0) throw new Error(`the target at the kill: ${wrong.slice(0, 3).join('; ')}`);
  }

  async #takeOver(): Promise<void> {
    [this.#source, this.#target] = [this.#target, this.#source];
    this.#epoch += 1;
    await this.#source.ordered({ order: 'serve', epoch: this.#epoch, without: [this.#target.name] });
    await this.#restart(this.#target);
    await this.#target.ordered({ order: 'become-target', epoch: this.#epoch });
  }

  async #comeBack(victims: 'source' | 'target' | 'both'): Promise<void> {
    if (victims !== 'source') await this.#restart(this.#target);
    if (victims !== 'target') {
      await this.#restart(this.#source);
      this.#epoch += 1;
      await this.#source.ordered({ order: 'serve', epoch: this.#epoch });
    }
    await this.#target.ordered({ order: 'become-target', epoch: this.#epoch });
  }

  async #restart(engine: EngineProcess): Promise<void> {
    engine.observations.length = 0;
    await engine.start();
    await openEngine(engine, this.#keyFile, { create: false });
  }

  async #resynced(): Promise<string> {
    const dirtyRegions =
      (await this.#source.peer(this.#target.name)).dirtyRegions +
      (await this.#target.peer(this.#source.name)).dirtyRegions;
    await introduce([this.#source, this.#target]);
    await this.#source.inSync(this.#target.name);
    const started = this.#source.observations.findLast(({ type }) => type === 'resync-started');
    const completed = this.#source.observations.findLast(({ type }) => type === 'resync-completed');
    if (completed?.type !== 'resync-completed' || completed.kind !== 'partial') {
      throw new Error(`the resync was not partial: ${JSON.stringify([started, completed])}`);
    }
    const dirtyBytes = dirtyRegions * regionSize;
    if (completed.bytes > dirtyBytes) {
      throw new Error(`${completed.bytes} bytes copied, ${dirtyBytes} were dirty`);
    }
    this.#resyncs.push({ bytes: completed.bytes, dirtyBytes });
    return `${completed.bytes} of ${dirtyBytes} dirty bytes copied`;
  }

  #check(image: Buffer, whose: string): void {
    const wrong = this.#ledger.wrong(image, sectorSize);
    if (wrong.length > 0) throw new Error(`${whose}: ${wrong.length} wrong, ${wrong.slice(0, 3).join('; ')}`);
  }
}
