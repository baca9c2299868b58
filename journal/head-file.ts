import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { z } from 'zod';
import { NodeName } from '../domain/vocabulary.ts';
import { JournalError, type SignedHead } from './journal.ts';
import { seal, unseal } from './record.ts';

/**
 * Where this node's own log stands, kept outside LevelDB: a lost or shortened database shows by it.
 *
 * Layout: two slots of 512 bytes for the plain head, written in turn with every commit; from byte 4096 on,
 * two slots of 16 KiB for the signed head, written in turn before every sync. A slot is a sealed JSON object
 * padded with blanks. All of it is allocated when the file is made, so a full disk cannot stop a write.
 *
 * - A slot that does not verify was being written when the power failed: the other one holds the value before.
 * - A head is written only after its events are durable in LevelDB, so the database is never behind it unless
 *   it lost something; it may well be ahead (a crash between the two writes, a head not yet synced).
 */
const plainSlot = { offset: 0, bytes: 512 } as const;
const signedSlot = { offset: 4096, bytes: 16 * 1024 } as const;
const fileBytes = signedSlot.offset + 2 * signedSlot.bytes;

const hash = z.string().regex(/^([0-9a-f]{64})?$/);
const incarnation = z.int().min(1);
const sequence = z.int().min(0);
const Head = z.object({ incarnation, sequence, hash });

const PlainHead = Head.extend({ node: NodeName, cluster: z.string() });
/** This node's head, and whose it is. `sequence` 0 and `hash` '' in an empty log. */
export type PlainHead = Readonly<z.infer<typeof PlainHead>>;

export const SignedHeadSchema = Head.extend({
  node: NodeName,
  seen: z.record(z.string(), Head),
  key: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

interface Counted<T> {
  readonly count: number;
  readonly value: T;
}

const syncFile = promisify(fdatasync);

export class HeadFile {
  readonly #file: number;
  #plainCount: number;
  #signedCount: number;
  #isDirty = false;
  #syncing: Promise<void> = Promise.resolve();

  /** What the file held when it was opened: undefined when it was not there or no slot verifies. */
  readonly found: PlainHead | undefined;
  readonly foundSigned: SignedHead | undefined;

  constructor(path: string) {
    this.#file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const plain = newest(this.#file, plainSlot, PlainHead);
    const signed = newest(this.#file, signedSlot, SignedHeadSchema);
    this.found = plain?.value;
    this.foundSigned = signed?.value;
    this.#plainCount = plain?.count ?? 0;
    this.#signedCount = signed?.count ?? 0;
    if (fstatSync(this.#file).size < fileBytes) {
      ftruncateSync(this.#file, 0);
      writeSync(this.#file, ' '.repeat(fileBytes), 0);
    }
  }

  /** Into the page cache: survives a killed process at once, a power failure after `sync`. */
  write(head: PlainHead): void {
    this.#plainCount += 1;
    this.#writeSlot(plainSlot, this.#plainCount, head);
  }

  writeSigned(head: SignedHead): void {
    this.#signedCount += 1;
    this.#writeSlot(signedSlot, this.#signedCount, head);
  }

  /** True when something was written since the last sync. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** One after the other, so that none is under way when the last of them is done. */
  async sync(): Promise<void> {
    this.#isDirty = false;
    const sync = this.#syncing.then(() => syncFile(this.#file));
    this.#syncing = sync.catch(() => undefined);
    await sync;
  }

  close(): void {
    closeSync(this.#file);
  }

  #writeSlot(slot: typeof plainSlot | typeof signedSlot, count: number, value: unknown): void {
    const text = seal(JSON.stringify({ count, value }));
    if (Buffer.byteLength(text) > slot.bytes)
      throw new JournalError('write-failed', 'the head does not fit its slot');
    const bytes = blanks.subarray(0, slot.bytes);
    bytes.fill(' ').write(text);
    writeSync(this.#file, bytes, 0, slot.bytes, slot.offset + (count % 2) * slot.bytes);
    this.#isDirty = true;
  }
}

/** Filled anew for every write. */
const blanks = Buffer.alloc(signedSlot.bytes);

/** Whose journal the file belongs to, without touching it; undefined when it is not there or unreadable. */
export function readPlainHead(path: string): PlainHead | undefined {
  if (!existsSync(path)) return undefined;
  const file = openSync(path, 'r');
  try {
    return newest(file, plainSlot, PlainHead)?.value;
  } finally {
    closeSync(file);
  }
}

function newest<T>(
  file: number,
  slot: typeof plainSlot | typeof signedSlot,
  schema: z.ZodType<T>,
): Counted<T> | undefined {
  const found = [0, 1].map((index) => readSlot(file, slot.offset + index * slot.bytes, slot.bytes, schema));
  return found.reduce((a, b) => ((b?.count ?? -1) > (a?.count ?? -1) ? b : a));
}

function readSlot<T>(
  file: number,
  offset: number,
  bytes: number,
  schema: z.ZodType<T>,
): Counted<T> | undefined {
  const slot = Buffer.alloc(bytes);
  readSync(file, slot, 0, bytes, offset);
  const text = unseal(slot.toString('utf8').trimEnd());
  if (text === undefined) return undefined;
  return z.object({ count: z.int(), value: schema }).safeParse(JSON.parse(text)).data;
}
