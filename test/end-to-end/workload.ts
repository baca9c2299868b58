import { open } from 'node:fs/promises';
import { sectorSize } from '../simulation/disk.ts';
import { stamp, writeNumberOf } from '../simulation/stamp.ts';
import { NbdClient } from './nbd-client.ts';

export const blockSize = 4096;
const sectorsPerBlock = blockSize / sectorSize;

/** What a block may hold: its last acknowledged write, or one that was sent later and never acknowledged. */
interface Block {
  acknowledged: number;
  readonly open: Set<number>;
}

/**
 * An application that logs every acknowledged write, and that can tell from the content of a device or an image
 * whether one is missing. Each block names its write in each of its sectors.
 */
export class Workload {
  readonly #blocks: Block[];
  readonly #busy = new Set<number>();
  #nextWrite = 1;
  #acknowledged = 0;

  constructor(byteSize: number) {
    this.#blocks = Array.from({ length: byteSize / blockSize }, () => ({ acknowledged: 0, open: new Set() }));
  }

  /** Another one that goes on from here by itself; its writes have numbers from `firstWrite` on. */
  fork(firstWrite = this.#nextWrite): Workload {
    const copy = new Workload(this.#blocks.length * blockSize);
    copy.#nextWrite = firstWrite;
    for (const [index, { acknowledged, open }] of this.#blocks.entries())
      copy.#blocks[index] = { acknowledged, open: new Set(open) };
    return copy;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Blocks that hold at least one acknowledged write. */
  get blocksWritten(): number {
    return this.#blocks.filter(({ acknowledged }) => acknowledged > 0).length;
  }

  /** One write; resolves when it is acknowledged. */
  async write(client: NbdClient, index: number): Promise<void> {
    const block = this.#blocks[index];
    if (!block || this.#busy.has(index)) throw new Error(`block ${index} is not free`);
    const number = this.#nextWrite++;
    this.#busy.add(index);
    block.open.add(number);
    try {
      await client.write(index * blockSize, contentOf(number, index));
      block.acknowledged = number;
      block.open.clear();
      this.#acknowledged += 1;
    } finally {
      this.#busy.delete(index);
    }
  }

  /** Writes blocks `first` to `last`, both included, eight at a time. */
  async writeRange(client: NbdClient, first: number, last: number): Promise<void> {
    for (let from = first; from <= last; from += 8)
      await Promise.all(
        Array.from({ length: Math.min(8, last - from + 1) }, (_, step) => this.write(client, from + step)),
      );
  }

  /** Writes all over the device, `depth` writes in flight, until it goes away or `end` is called. */
  run(client: NbdClient, depth = 8): { readonly ended: Promise<void>; end(): Promise<void> } {
    let isEnded = false;
    let position = 0;
    const writer = async () => {
      while (!isEnded && !client.isClosed) {
        // A step that is coprime to the number of blocks visits all of them.
        position = (position + 1031) % this.#blocks.length;
        if (!this.#busy.has(position)) await this.write(client, position);
      }
    };
    const writers = Array.from({ length: depth }, () => writer().catch(() => undefined));
    const ended = Promise.all(writers).then(() => undefined);
    return {
      ended,
      end: () => {
        isEnded = true;
        return ended;
      },
    };
  }

  /** Sentences about what is wrong with the content; none when every acknowledged write is there. */
  verify(content: Buffer): string[] {
    const wrong: string[] = [];
    for (const [index, { acknowledged, open }] of this.#blocks.entries()) {
      for (let sector = 0; sector < sectorsPerBlock; sector += 1) {
        const place = index * sectorsPerBlock + sector;
        const found = writeNumberOf(content, place * sectorSize, place);
        if (found === acknowledged || open.has(found)) continue;
        wrong.push(`block ${index} sector ${sector}: holds write ${found}, not ${acknowledged}`);
      }
    }
    return wrong;
  }

  async verifyDevice(uri: string): Promise<string[]> {
    const client = await NbdClient.connect(uri);
    try {
      return this.verify(await client.read(0, client.byteSize));
    } finally {
      await client.close();
    }
  }
}

function contentOf(number: number, index: number): Buffer {
  const content = Buffer.alloc(blockSize);
  for (let sector = 0; sector < sectorsPerBlock; sector += 1)
    stamp(content, sector * sectorSize, number, index * sectorsPerBlock + sector);
  return content;
}

export async function readImage(path: string): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
