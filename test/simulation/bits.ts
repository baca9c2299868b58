import { Bitmap } from '../../adapters/block/bitmap.ts';
import {
  bitBytesPerPage,
  blockByteSize,
  decodeHeader,
  decodePage,
  pageCountOf,
  pageOffset,
  stampOf,
} from '../../adapters/block/bitmap-codec.ts';
import type { SimulatedFile } from './disk.ts';

/**
 * The bits that a restart after the worst power failure would read from an intent log: what is not whole counts as
 * all ones (FAULTS 17).
 */
export class StableBits {
  readonly #file: SimulatedFile;
  readonly #regionCount: number;
  #version = -1;
  #bits: Bitmap;

  constructor(file: SimulatedFile, regionCount: number) {
    this.#file = file;
    this.#regionCount = regionCount;
    this.#bits = new Bitmap(regionCount);
  }

  /** Changes with every change of the file: what was cleared must be looked at again. */
  get version(): number {
    return this.#file.stableVersion;
  }

  has(region: number): boolean {
    if (this.#version !== this.#file.stableVersion) this.#read();
    return this.#bits.has(region);
  }

  #read(): void {
    this.#version = this.#file.stableVersion;
    this.#bits = new Bitmap(this.#regionCount);
    const { stable } = this.#file;
    const header = decodeHeader(stable.subarray(0, blockByteSize));
    if (typeof header === 'string') {
      this.#bits.fill();
      return;
    }
    const stamp = stampOf(header);
    for (let page = 0; page < pageCountOf(this.#regionCount); page++) {
      const block = stable.subarray(pageOffset(page), pageOffset(page) + blockByteSize);
      const bits = decodePage(block, page, stamp);
      if (bits === null) {
        this.#bits.fill();
        return;
      }
      this.#bits.replace(page * bitBytesPerPage, bits.subarray(0, Math.ceil(this.#regionCount / 8)));
    }
  }
}
