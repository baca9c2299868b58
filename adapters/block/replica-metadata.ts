import { Buffer } from 'node:buffer';
import type { BlockDevice, Done } from './block-device.ts';
import { ReplicaError } from './replica-error.ts';
import type { SlotContent, SlotDamage } from './replica-metadata-codec.ts';
import {
  decodeSlot,
  encodeSlot,
  metadataByteSize,
  slotByteSize,
  slotOffset,
} from './replica-metadata-codec.ts';
import type { ReplicaIdentity } from './replica-record.ts';
import { ReplicaRecord } from './replica-record.ts';

/** What a reader finds in the two slots. */
export interface MetadataContent extends SlotContent {
  readonly slot: 0 | 1;
  /** What is wrong with the other slot, or null. */
  readonly notice: string | null;
  /** The other slot holds the same record. */
  readonly isCopied: boolean;
}

type Opened = (error: Error | null, metadata: ReplicaMetadata | null) => void;

interface Update {
  readonly change: (record: ReplicaRecord) => ReplicaRecord;
  readonly done: Done;
}

/**
 * The record of a replica. Updates are applied in order; `done` comes when the changed record is on stable storage,
 * and only then `value` shows it. What waits while one is being written shares the next write and flush.
 * Layout and crash rules: replica-metadata-codec.ts.
 */
export class ReplicaMetadata {
  /** What was wrong with one of the slots at opening (a torn write, decay), or null. */
  readonly notice: string | null;
  readonly #device: BlockDevice;
  #value: ReplicaRecord;
  #sequence: bigint;
  /** The slot that holds `value`. */
  #slot: 0 | 1;
  /** The other slot holds `value` too. */
  #isCopied: boolean;
  #waiting: Update[] = [];
  #isWriting = false;
  #closing: Done | null = null;

  constructor(device: BlockDevice, { record, sequence, slot, notice, isCopied }: MetadataContent) {
    this.#device = device;
    this.#value = record;
    this.#sequence = sequence;
    this.#slot = slot;
    this.#isCopied = isCopied;
    this.notice = notice;
  }

  /** As on stable storage. */
  get value(): ReplicaRecord {
    return this.#value;
  }

  /**
   * Errors: `metadata-invalid` (the change broke the schema), `metadata-too-large`, or what the device said; then
   * `value` is unchanged, but after a crash the changed record may be found (as after any write that failed).
   */
  update(change: (record: ReplicaRecord) => ReplicaRecord, done: Done): void {
    this.#waiting.push({ change, done });
    this.#next();
  }

  /** `done` when every update asked for before is durable or has failed; at once if none is under way. */
  settled(done: Done): void {
    if (this.#isWriting || this.#waiting.length > 0) this.update((record) => record, done);
    else done(null);
  }

  /** Writes what waits, then closes the device. */
  close(done: Done): void {
    this.#closing = done;
    this.#next();
  }

  #next(): void {
    if (this.#isWriting) return;
    if (this.#waiting.length > 0) this.#writeWaiting();
    else if (!this.#isCopied) this.#copy();
    else if (this.#closing !== null) {
      const done = this.#closing;
      this.#closing = null;
      this.#device.close(done);
    }
  }

  #writeWaiting(): void {
    this.#isWriting = true;
    const updates = this.#waiting;
    this.#waiting = [];
    // 1. Apply in order; a change that breaks the schema fails alone.
    let record = this.#value;
    const applied: Done[] = [];
    const refused: [Done, ReplicaError][] = [];
    for (const { change, done } of updates) {
      const changed = ReplicaRecord.safeParse(change(record));
      if (changed.success) {
        record = changed.data;
        applied.push(done);
      } else {
        refused.push([
          done,
          new ReplicaError('metadata-invalid', `no valid record: ${changed.error.message}`),
        ]);
      }
    }
    // 2. One write and flush into the slot that does not hold the newest.
    this.#sequence += 1n;
    const slot = this.#slot === 0 ? 1 : 0;
    const written: Done = (error) => {
      // 3. Only what is on stable storage counts.
      if (error === null) {
        this.#value = record;
        this.#slot = slot;
      }
      this.#isCopied = false;
      this.#isWriting = false;
      for (const [done, refusal] of refused) done(refusal);
      for (const done of applied) done(error);
      this.#next();
    };
    this.#put(slot, { sequence: this.#sequence, record }, written);
  }

  /** No update waits: the newest record into the other slot too. That it fails is no one's loss. */
  #copy(): void {
    this.#isWriting = true;
    const slot = this.#slot === 0 ? 1 : 0;
    this.#put(slot, { sequence: this.#sequence, record: this.#value }, () => {
      this.#isCopied = true;
      this.#isWriting = false;
      this.#next();
    });
  }

  #put(slot: 0 | 1, content: SlotContent, done: Done): void {
    const bytes = encodeSlot(content);
    if (bytes === null) {
      done(new ReplicaError('metadata-too-large', `the record does not fit ${slotByteSize} bytes`));
      return;
    }
    this.#device.write(bytes, slotOffset(slot), (error) => {
      if (error === null) this.#device.flush(done);
      else done(error);
    });
  }
}

/** Writes the first record on a blank device. Errors: `path-in-use` (there is something), or the device's. */
export function createReplicaMetadata(device: BlockDevice, record: ReplicaRecord, opened: Opened): void {
  readSlots(device, (error, slots) => {
    if (error !== null || slots.some((slot) => slot !== 'blank')) {
      opened(error ?? new ReplicaError('path-in-use', 'there is replica metadata already'), null);
      return;
    }
    const blank = { record, sequence: 0n, slot: 1, notice: null, isCopied: true } as const;
    const metadata = new ReplicaMetadata(device, blank);
    unchanged(metadata, opened);
  });
}

/** Writes the record as it is, so that both slots are good again. */
function unchanged(metadata: ReplicaMetadata, opened: Opened): void {
  metadata.update(
    (record) => record,
    (error) => opened(error, error === null ? metadata : null),
  );
}

/**
 * Opens the metadata of the replica that is expected. Errors: `metadata-missing`, `metadata-damaged`,
 * `metadata-version`, `other-cluster`, `other-resource`, `other-node`, `volume-mismatch`, or the device's.
 */
export function openReplicaMetadata(device: BlockDevice, expected: ReplicaIdentity, opened: Opened): void {
  readReplicaMetadata(device, (error, content) => {
    const refusal = content === null ? error : mismatch(content.record, expected);
    if (refusal !== null || content === null) {
      opened(refusal, null);
      return;
    }
    // What was read may so far be in the page cache only, and the next write overwrites the other slot.
    device.flush((failure) => {
      const metadata = new ReplicaMetadata(device, content);
      if (failure !== null) opened(failure, null);
      else if (content.isCopied) opened(null, metadata);
      else unchanged(metadata, opened);
    });
  });
}

/** Reads without writing anything and without expecting anyone. */
export function readReplicaMetadata(
  device: BlockDevice,
  done: (error: Error | null, content: MetadataContent | null) => void,
): void {
  readSlots(device, (error, slots) => {
    if (error === null) {
      const chosen = choose(slots);
      if (chosen instanceof ReplicaError) done(chosen, null);
      else done(null, chosen);
    } else {
      done(error, null);
    }
  });
}

type Slot = SlotContent | SlotDamage;

function readSlots(
  device: BlockDevice,
  done: (error: Error | null, slots: readonly [Slot, Slot]) => void,
): void {
  if (device.byteSize < metadataByteSize) {
    done(null, ['torn', 'torn']);
    return;
  }
  const bytes = Buffer.alloc(slotByteSize);
  const readSlot = (slot: 0 | 1, then: (content: Slot) => void) =>
    device.read(bytes, slotOffset(slot), (error) => then(error === null ? decodeSlot(bytes) : 'torn'));
  readSlot(0, (first) => readSlot(1, (second) => done(null, [first, second])));
}

function choose([first, second]: readonly [Slot, Slot]): MetadataContent | ReplicaError {
  // A record that cannot be read may be the newer one.
  if (first === 'version' || second === 'version') {
    return new ReplicaError('metadata-version', 'the replica metadata has a version that is not known here');
  }
  if (typeof first === 'object' && typeof second === 'object') {
    const isCopied = first.sequence === second.sequence;
    return second.sequence > first.sequence
      ? { ...second, slot: 1, notice: null, isCopied }
      : { ...first, slot: 0, notice: null, isCopied };
  }
  if (typeof first === 'object') return { ...first, slot: 0, notice: noticeOf(second), isCopied: false };
  if (typeof second === 'object') return { ...second, slot: 1, notice: noticeOf(first), isCopied: false };
  return first === 'blank' && second === 'blank'
    ? new ReplicaError('metadata-missing', 'there is no replica metadata')
    : new ReplicaError('metadata-damaged', 'both copies of the replica metadata are damaged');
}

const noticeOf = (other: Slot): string =>
  `one copy of the replica metadata is ${String(other)} (a write that a crash tore, or decay); the other is used`;

function mismatch(found: ReplicaRecord, expected: ReplicaIdentity): ReplicaError | null {
  const what = `the replica belongs to ${found.tag} (${found.resource}) on ${found.node}, cluster ${found.cluster}`;
  const whose = `not to ${expected.tag} (${expected.resource}) on ${expected.node}, cluster ${expected.cluster}`;
  const sentence = `${what}, ${whose}`;
  if (found.cluster !== expected.cluster) return new ReplicaError('other-cluster', sentence);
  if (found.tag !== expected.tag || found.resource !== expected.resource) {
    return new ReplicaError('other-resource', sentence);
  }
  if (found.node !== expected.node) return new ReplicaError('other-node', sentence);
  const describe = ({ volumes }: ReplicaIdentity) =>
    volumes.map(({ name, byteSize }) => `${name} (${byteSize} bytes)`).join(', ');
  return describe(found) === describe(expected)
    ? null
    : new ReplicaError(
        'volume-mismatch',
        `the replica has the volumes ${describe(found)}, not ${describe(expected)}`,
      );
}
