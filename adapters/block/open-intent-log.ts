import { Buffer } from 'node:buffer';
import type { Generation } from '../../domain/vocabulary.ts';
import { regionSize } from '../../domain/vocabulary.ts';
import { Bitmap } from './bitmap.ts';
import type { BitmapHeader, BitmapIdentity, HeaderDamage } from './bitmap-codec.ts';
import {
  bitBytesPerPage,
  bitmapByteSize,
  blockByteSize,
  decodeHeader,
  decodePage,
  pageCountOf,
  pageOffset,
  stampOf,
} from './bitmap-codec.ts';
import type { BlockDevice } from './block-device.ts';
import { IntentLog } from './intent-log.ts';

/** Writes outstanding per asynchronous mirror unless `bitmap -a` said otherwise. */
export const defaultAsyncLimit = 256;

export interface IntentLogOptions {
  /** Null: no bitmap is kept (`none`). */
  readonly device: BlockDevice | null;
  readonly identity: BitmapIdentity;
  readonly volumeByteSize: number;
  /** The replica's metadata says that the log is invalid: nothing in the file is believed until it is rewritten. */
  readonly recordedInvalid: boolean;
  /** Goes into the header of a log that is made anew. */
  readonly createdGeneration: Generation | null;
}

const pagesPerRead = 64;
const allOnesPage = new Uint8Array(bitBytesPerPage).fill(0xff);

export const regionCountOf = (volumeByteSize: number): number => Math.ceil(volumeByteSize / regionSize);
/** How large the device of the intent log of such a volume must be at least. */
export const intentLogByteSize = (volumeByteSize: number): number =>
  bitmapByteSize(regionCountOf(volumeByteSize));

/**
 * Opens the log, or makes it anew where the file is blank, unreadable or another log's: then it reads as all ones,
 * with the reason. It never fails: a file that can be neither believed nor rewritten gives an invalid log.
 */
export function openIntentLog(options: IntentLogOptions, opened: (log: IntentLog) => void): void {
  const { device, recordedInvalid, volumeByteSize, identity, createdGeneration } = options;
  const regionCount = regionCountOf(volumeByteSize);
  const header = { identity, regionSize, regionCount, createdGeneration, asyncLimit: defaultAsyncLimit };
  const allOnes = new Bitmap(regionCount);
  allOnes.fill();
  if (device === null) {
    opened(new IntentLog({ device, header, state: 'none', bits: allOnes, reason: 'no bitmap is kept' }));
    return;
  }
  if (device.byteSize < bitmapByteSize(regionCount)) {
    throw new RangeError(`an intent log of ${regionCount} regions does not fit ${device.byteSize} bytes`);
  }
  const makeAnew = (reason: string, asyncLimit: number) => {
    const content = { device, header: { ...header, asyncLimit }, bits: allOnes, reason };
    const log = new IntentLog({ ...content, state: 'invalid' });
    if (recordedInvalid) opened(log);
    else log.markAll(() => opened(log));
  };
  const block = Buffer.alloc(blockByteSize);
  device.read(block, 0, (error) => {
    const found = error === null ? decodeHeader(block) : error;
    const asyncLimit = isHeader(found) ? found.asyncLimit : defaultAsyncLimit;
    if (recordedInvalid) makeAnew('the replica recorded it as invalid', asyncLimit);
    else if (!isHeader(found)) makeAnew(describe(found), asyncLimit);
    else if (!isSame(found, header)) makeAnew(describeOther(found, header), asyncLimit);
    else readLog(device, found, opened);
  });
}

function readLog(device: BlockDevice, header: BitmapHeader, opened: (log: IntentLog) => void): void {
  readPages(device, header, (bits, badPageCount) => {
    const reason =
      badPageCount === 0
        ? null
        : `${badPageCount} of ${pageCountOf(header.regionCount)} pages are torn or damaged and count as marked`;
    const log = new IntentLog({ device, header, state: 'kept', bits, reason });
    // What was read may be in the page cache only: written by a process that was killed before its flush, or dropped
    // by the kernel after a failed one. Nothing is durable before this process has written it. A failure shows in
    // the log: it is invalid then.
    log.merge(log.toBits(), () => opened(log));
  });
}

/** Bad pages have all their bits set. */
function readPages(
  device: BlockDevice,
  header: BitmapHeader,
  done: (bits: Bitmap, badPageCount: number) => void,
): void {
  const bits = new Bitmap(header.regionCount);
  const stamp = stampOf(header);
  const pageCount = pageCountOf(header.regionCount);
  let badPageCount = 0;
  const chunk = Buffer.alloc(Math.min(pagesPerRead, pageCount) * blockByteSize);
  const readFrom = (firstPage: number) => {
    const count = Math.min(pagesPerRead, pageCount - firstPage);
    if (count <= 0) {
      done(bits, badPageCount);
      return;
    }
    device.read(chunk.subarray(0, count * blockByteSize), pageOffset(firstPage), (error) => {
      for (let index = 0; index < count; index += 1) {
        const page = firstPage + index;
        const block = chunk.subarray(index * blockByteSize, (index + 1) * blockByteSize);
        const found = error === null ? decodePage(block, page, stamp) : null;
        if (found === null) badPageCount += 1;
        bits.replace(page * bitBytesPerPage, found ?? allOnesPage);
      }
      readFrom(firstPage + count);
    });
  };
  readFrom(0);
}

const isHeader = (found: BitmapHeader | HeaderDamage | Error): found is BitmapHeader =>
  typeof found === 'object' && !(found instanceof Error);

const isSame = (found: BitmapHeader, wanted: BitmapHeader): boolean =>
  stampOf(found).equals(stampOf({ ...wanted, createdGeneration: found.createdGeneration }));

function describe(damage: HeaderDamage | Error): string {
  if (damage instanceof Error) return `the bitmap file could not be read: ${damage.message}`;
  switch (damage) {
    case 'blank':
      return 'the bitmap file is new';
    case 'magic':
      return 'the file is no bitmap file of ours';
    case 'version':
      return 'the bitmap file has a version that is not known here';
    case 'checksum':
    case 'content':
      return 'the header of the bitmap file is damaged';
    default:
      return damage satisfies never;
  }
}

function describeOther(found: BitmapHeader, wanted: BitmapHeader): string {
  const { cluster, tag, resource, node, volume, peer } = found.identity;
  if (found.regionCount !== wanted.regionCount || found.regionSize !== wanted.regionSize) {
    return `the bitmap file is for ${found.regionCount} regions, the volume has ${wanted.regionCount}`;
  }
  return `the bitmap file belongs to volume ${volume} of ${tag} (${resource}) on ${node} for ${peer}, cluster ${cluster}`;
}
