import { fdatasync, openSync, readSync, writeSync } from 'node:fs';
import type { Done } from '../../adapters/block/block-device.ts';
import type { Export, ZeroOptions } from '../../adapters/nbd/export.ts';
import { VolumeName } from '../../domain/vocabulary.ts';

const zeros = new Uint8Array(1024 * 1024);

/** An export over a plain file, by synchronous reads and writes: what the server costs on top of a disk. */
export class FileExport implements Export {
  readonly volume = VolumeName.parse('disk');
  readonly epoch = 1;
  readonly byteSize: number;
  readonly readOnly = false;
  readonly #file: number;

  constructor(path: string, byteSize: number) {
    this.byteSize = byteSize;
    this.#file = openSync(path, 'r+');
  }

  read(into: Uint8Array, offset: number, done: Done): void {
    readSync(this.#file, into, 0, into.length, offset);
    done(null);
  }

  write(from: Uint8Array, offset: number, fua: boolean, done: Done): void {
    writeSync(this.#file, from, 0, from.length, offset);
    if (fua) this.flush(done);
    else done(null);
  }

  zero(offset: number, byteCount: number, { fua }: ZeroOptions, done: Done): void {
    for (let at = 0; at < byteCount; at += zeros.length) {
      writeSync(this.#file, zeros, 0, Math.min(zeros.length, byteCount - at), offset + at);
    }
    if (fua) this.flush(done);
    else done(null);
  }

  trim(offset: number, byteCount: number, fua: boolean, done: Done): void {
    this.zero(offset, byteCount, { fua, mayTrim: true }, done);
  }

  flush(done: Done): void {
    fdatasync(this.#file, done);
  }
}
