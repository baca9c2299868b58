import type { Epoch, VolumeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { Export, ZeroOptions } from '../nbd/export.ts';
import type { Volume } from './volume.ts';
import type { WritePath } from './write-path.ts';

/** One volume as NBD clients see it in one reign: reads are local, the rest goes the way of a write. */
export class VolumeExport implements Export {
  readonly volume: VolumeName;
  readonly epoch: Epoch;
  readonly byteSize: number;
  readonly readOnly: boolean;
  readonly #volume: Volume;
  readonly #path: WritePath;

  constructor(volume: Volume, epoch: Epoch, readOnly: boolean, path: WritePath) {
    this.volume = volume.name;
    this.epoch = epoch;
    this.byteSize = volume.byteSize;
    this.readOnly = readOnly;
    this.#volume = volume;
    this.#path = path;
  }

  cork(): void {
    this.#path.cork();
  }

  uncork(): void {
    this.#path.uncork();
  }

  read(into: Uint8Array, offset: number, done: Done): void {
    this.#path.read(this.#volume, into, offset, done);
  }

  write(from: Uint8Array, offset: number, fua: boolean, done: Done): void {
    this.#path.submit('write', this.#volume, offset, from.length, from, fua, done);
  }

  zero(offset: number, byteCount: number, { fua, mayTrim }: ZeroOptions, done: Done): void {
    this.#path.submit(mayTrim ? 'trim' : 'zero', this.#volume, offset, byteCount, null, fua, done);
  }

  trim(offset: number, byteCount: number, fua: boolean, done: Done): void {
    this.#path.submit('trim', this.#volume, offset, byteCount, null, fua, done);
  }

  flush(done: Done): void {
    this.#path.flush(this.#volume, done);
  }
}
