import { Buffer } from 'node:buffer';
import type { Done } from '../../adapters/block/block-device.ts';
import type { Export, Extent, ZeroOptions } from '../../adapters/nbd/export.ts';
import { VolumeName } from '../../domain/vocabulary.ts';

const pageSize = 4096;

/** An export in memory that notes every call; `answer` decides when and with what it is answered. */
export class MemoryExport implements Export {
  readonly volume;
  readonly epoch: number;
  readonly byteSize: number;
  readonly readOnly: boolean;
  readonly bytes: Buffer;
  readonly calls: string[] = [];
  answer: (done: Done) => void = (done) => done(null);

  constructor(volume: string, byteSize: number, { epoch = 1, readOnly = false } = {}) {
    this.volume = VolumeName.parse(volume);
    this.epoch = epoch;
    this.byteSize = byteSize;
    this.readOnly = readOnly;
    this.bytes = Buffer.alloc(byteSize);
  }

  read(into: Uint8Array, offset: number, done: Done): void {
    this.#note('read', offset, into.length);
    this.bytes.copy(into, 0, offset, offset + into.length);
    this.answer(done);
  }

  write(from: Uint8Array, offset: number, fua: boolean, done: Done): void {
    this.#note(fua ? 'write+fua' : 'write', offset, from.length);
    this.bytes.set(from, offset);
    this.answer(done);
  }

  zero(offset: number, byteCount: number, { fua, mayTrim }: ZeroOptions, done: Done): void {
    this.#note(`zero${fua ? '+fua' : ''}${mayTrim ? '' : '+allocated'}`, offset, byteCount);
    this.bytes.fill(0, offset, offset + byteCount);
    this.answer(done);
  }

  trim(offset: number, byteCount: number, fua: boolean, done: Done): void {
    this.#note(fua ? 'trim+fua' : 'trim', offset, byteCount);
    this.bytes.fill(0, offset, offset + byteCount);
    this.answer(done);
  }

  flush(done: Done): void {
    this.calls.push('flush');
    this.answer(done);
  }

  /** Pages of zeros count as holes. */
  blockStatus(
    offset: number,
    byteCount: number,
    done: (error: Error | null, extents: readonly Extent[]) => void,
  ) {
    const extents: Extent[] = [];
    for (let at = offset; at < offset + byteCount; ) {
      const end = Math.min(at - (at % pageSize) + pageSize, offset + byteCount);
      const isHole = this.bytes.subarray(at, end).every((byte) => byte === 0);
      const last = extents.at(-1);
      if (last?.isHole === isHole)
        extents[extents.length - 1] = { ...last, byteCount: last.byteCount + end - at };
      else extents.push({ byteCount: end - at, isHole, isZero: isHole });
      at = end;
    }
    this.answer((error) => done(error, extents));
  }

  #note(call: string, offset: number, byteCount: number): void {
    this.calls.push(`${call} ${offset} ${byteCount}`);
    if (offset + byteCount > this.byteSize) throw new Error(`out of range: ${this.calls.at(-1)}`);
  }
}
