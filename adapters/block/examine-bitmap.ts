import type { Buffer } from 'node:buffer';
import { Bitmap } from './bitmap.ts';
import type { BitmapHeader, HeaderDamage } from './bitmap-codec.ts';
import {
  bitBytesPerPage,
  blockByteSize,
  decodeHeader,
  decodePage,
  pageCountOf,
  pageOffset,
  regionsPerPage,
  stampOf,
} from './bitmap-codec.ts';

export interface BitmapExamination {
  readonly header: BitmapHeader;
  /** Regions of damaged pages count as marked. */
  readonly markedCount: number;
  readonly damagedPageCount: number;
}

/** What a restart would read from a whole bitmap file. */
export function examineBitmap(file: Buffer): BitmapExamination | HeaderDamage {
  const header = file.length < blockByteSize ? 'content' : decodeHeader(file.subarray(0, blockByteSize));
  if (typeof header === 'string') return header;
  const stamp = stampOf(header);
  const bits = new Bitmap(header.regionCount);
  let damagedPageCount = 0;
  for (let page = 0; page < pageCountOf(header.regionCount); page += 1) {
    const block = file.subarray(pageOffset(page), pageOffset(page + 1));
    const found = block.length === blockByteSize ? decodePage(block, page, stamp) : null;
    if (found === null) {
      damagedPageCount += 1;
      const first = page * regionsPerPage;
      bits.add(first, Math.min(first + regionsPerPage, header.regionCount) - 1);
    } else {
      bits.replace(page * bitBytesPerPage, found);
    }
  }
  return { header, markedCount: bits.count, damagedPageCount };
}
