import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineProcess, introduce, openEngine } from '../engine/engine-process.ts';

/** Two real engine processes: the source with its export, and one target in sync. */
export class MirroredPair {
  readonly folder: string;
  readonly source: EngineProcess;
  readonly target: EngineProcess;
  readonly epoch = 1;

  private constructor(folder: string, volumeBytes: number) {
    this.folder = folder;
    this.source = new EngineProcess(folder, 'adam', volumeBytes);
    this.target = new EngineProcess(folder, 'eve', volumeBytes);
  }

  static async start(volumeBytes: number, mode = 'sync'): Promise<MirroredPair> {
    const pair = new MirroredPair(mkdtempSync(join(tmpdir(), 'mk-pair-')), volumeBytes);
    try {
      await pair.#begin(mode);
      return pair;
    } catch (error) {
      await pair.stop();
      throw error;
    }
  }

  get uri(): string {
    return `nbd+unix:///v0@${this.epoch}?socket=${join(this.source.dir, 'nbd.sock')}`;
  }

  /** Both images, read from the files: nothing of an engine's memory is in them. */
  get isEqual(): boolean {
    return this.source.image().equals(this.target.image());
  }

  async stop(): Promise<void> {
    await Promise.all([this.source.kill(), this.target.kill()]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #begin(mode: string): Promise<void> {
    const keyFile = join(this.folder, 'key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const engines = [this.source, this.target];
    for (const engine of engines) {
      await engine.start();
      await openEngine(engine, keyFile, { isFirst: engine === this.source });
    }
    await this.source.ordered({ order: 'serve', epoch: this.epoch });
    await introduce(engines, mode);
    await this.target.ordered({ order: 'become-target', epoch: this.epoch });
    await this.source.inSync(this.target.name);
  }
}
