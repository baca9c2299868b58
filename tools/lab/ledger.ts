import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import type { NbdClient } from './nbd-client.ts';

/** Bytes of a block: what is written, and checked, at once. */
export const blockBytes = 65_536;

const Block = z.object({
  /** Of what the device last acknowledged. */
  acknowledged: z.string().nullable(),
  /** Of a write whose answer is not there: either content is right, and so is a mix of them by sector. */
  pending: z.string().nullable(),
});
type Block = z.infer<typeof Block>;

const Kept = z.object({
  blockCount: z.int().min(1),
  next: z.int().min(0),
  blocks: z.array(z.tuple([z.int().min(0), Block])),
});

/** Content of one block as somebody reads it. */
export type ReadBlock = (block: number) => Promise<Buffer>;

export interface Verified {
  readonly blockCount: number;
  /** Blocks whose content nobody wrote, or that miss what was acknowledged. */
  readonly wrong: readonly number[];
}

/** What was written through the device, by block: the checksum of every acknowledged write. */
export class Ledger {
  readonly blockCount: number;
  readonly #blocks: Map<number, Block>;
  #next: number;

  constructor(blockCount: number, blocks: Iterable<readonly [number, Block]> = [], next = 0) {
    this.blockCount = blockCount;
    this.#blocks = new Map([...blocks].map(([index, block]) => [index, { ...block }]));
    this.#next = next;
  }

  /** Another one that goes its own way from here on, as two sides of a split brain do. */
  fork(): Ledger {
    return new Ledger(this.blockCount, this.#blocks, this.#next);
  }

  static parse(text: string): Ledger {
    const { blockCount, next, blocks } = Kept.parse(JSON.parse(text));
    return new Ledger(blockCount, blocks, next);
  }

  toString(): string {
    return JSON.stringify({ blockCount: this.blockCount, next: this.#next, blocks: [...this.#blocks] });
  }

  /** New random content for the next block, round and round. Rejects where the device did not acknowledge it. */
  async write(device: NbdClient): Promise<void> {
    const index = this.#next;
    this.#next = (index + 1) % this.blockCount;
    const data = randomBytes(blockBytes);
    const block = this.#blocks.get(index) ?? { acknowledged: null, pending: null };
    this.#blocks.set(index, block);
    block.pending = checksum(data);
    await device.write(index * blockBytes, data);
    block.acknowledged = block.pending;
    block.pending = null;
  }

  /** Compares the last `blockCount` blocks that were written, or all. */
  async verify(read: ReadBlock, blockCount = this.blockCount): Promise<Verified> {
    const wrong: number[] = [];
    const chosen = [...this.#blocks].slice(-blockCount).filter(([, { pending }]) => pending === null);
    for (const [index, { acknowledged }] of chosen)
      if (checksum(await read(index)) !== acknowledged) wrong.push(index);
    return { blockCount: chosen.length, wrong };
  }
}

const checksum = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

export const readDevice =
  (device: NbdClient): ReadBlock =>
  (block) =>
    device.read(block * blockBytes, blockBytes);

/** A replica's volume, behind the back of its engine: right once no write is under way. */
export async function withVolume<T>(path: string, work: (read: ReadBlock) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await work((block) => readAt(file, block));
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, block: number): Promise<Buffer> {
  const { buffer } = await file.read(Buffer.alloc(blockBytes), 0, blockBytes, block * blockBytes);
  return buffer;
}
