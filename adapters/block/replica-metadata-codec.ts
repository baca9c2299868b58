import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { ReplicaRecord, recordVersion } from './replica-record.ts';

/*
 * The file `metadata` of a replica: two slots of 128 KiB. Numbers are little-endian.
 *
 *   slot     0 magic "MKREPLIC"   8 u32 CRC32 of bytes 12 … end of JSON   12 u32 format version
 *            16 u64 sequence      24 u32 JSON length     28 JSON: the record (replica-record.ts)
 *
 * A new record goes, with the next sequence, into the slot that does not hold the newest, is flushed, and counts.
 * A crash in the middle leaves the other slot: the old record, whole. In quiet moments the newest is then copied into
 * the other slot too, so that a decayed newest slot does not bring an older record back to life (a promise, an
 * "out of sync" would be forgotten).
 *
 *   both slots good        the higher sequence
 *   one good, one not      the good one; the reader says so
 *   both blank             never written: `metadata-missing`
 *   anything else          `metadata-damaged`; a fresh record is never made up in its place
 */

export const slotByteSize = 128 * 1024;
export const metadataByteSize = 2 * slotByteSize;
export const metadataMagic = 'MKREPLIC';
export const metadataFormat = 1;

const jsonAt = 28;
const sector = 4096;

export interface SlotContent {
  readonly sequence: bigint;
  readonly record: ReplicaRecord;
}
export type SlotDamage = 'blank' | 'torn' | 'version';

export const slotOffset = (slot: 0 | 1): number => slot * slotByteSize;

/** Whole sectors, as many as the record needs; null when it does not fit a slot. */
export function encodeSlot({ sequence, record }: SlotContent): Buffer | null {
  const json = Buffer.from(JSON.stringify(record), 'utf8');
  const byteSize = Math.ceil((jsonAt + json.length) / sector) * sector;
  if (byteSize > slotByteSize) return null;
  const slot = Buffer.alloc(byteSize);
  slot.write(metadataMagic, 0, 'latin1');
  slot.writeUInt32LE(metadataFormat, 12);
  slot.writeBigUInt64LE(sequence, 16);
  slot.writeUInt32LE(json.length, 24);
  slot.set(json, jsonAt);
  slot.writeUInt32LE(crc32(slot.subarray(12, jsonAt + json.length)), 8);
  return slot;
}

export function decodeSlot(slot: Buffer): SlotContent | SlotDamage {
  if (slot.every((byte) => byte === 0)) return 'blank';
  if (slot.toString('latin1', 0, 8) !== metadataMagic) return 'torn';
  const end = jsonAt + slot.readUInt32LE(24);
  if (end > slot.length || slot.readUInt32LE(8) !== crc32(slot.subarray(12, end))) return 'torn';
  if (slot.readUInt32LE(12) !== metadataFormat) return 'version';
  const json = parseJson(slot.toString('utf8', jsonAt, end));
  if (versionOf(json) !== recordVersion) return 'version';
  const parsed = ReplicaRecord.safeParse(json);
  return parsed.success ? { sequence: slot.readBigUInt64LE(16), record: parsed.data } : 'torn';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const versionOf = (json: unknown): unknown =>
  typeof json === 'object' && json !== null && 'version' in json ? json.version : undefined;
