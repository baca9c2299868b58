import { z } from 'zod';
import { comparePositions, type Head, type Heads } from '../domain/envelope.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import type { Snapshot } from './journal.ts';
import { allSnapshots, snapshotBodyKey, snapshotKey } from './keys.ts';
import { seal, unseal } from './record.ts';

/**
 * A snapshot in the database: its heads, and its body beside them, which may be large. Both are sealed, and written in
 * one batch; the heads name the body's checksum, so that a body never stands with heads that are not its own.
 */
const HeadsRecord = z.object({
  heads: z.record(
    z.string(),
    z.object({ incarnation: z.int().min(1), sequence: z.int().min(1), hash: z.string() }),
  ),
  /** The first digits of the sealed body. */
  checksum: z.string(),
});

const checksumOf = (sealed: string): string => sealed.slice(0, 8);

export function snapshotWrites(name: string, { heads, body }: Snapshot): StoreWrite[] {
  const sealed = seal(body);
  const record = JSON.stringify({ heads, checksum: checksumOf(sealed) });
  return [
    { type: 'put', key: snapshotKey(name), value: seal(record) },
    { type: 'put', key: snapshotBodyKey(name), value: sealed },
  ];
}

export const snapshotRemoval = (name: string): StoreWrite[] => [
  { type: 'del', key: snapshotKey(name) },
  { type: 'del', key: snapshotBodyKey(name) },
];

/** Undefined when there is none, or it does not verify. */
export async function readSnapshot(store: EventStore, name: string): Promise<Snapshot | undefined> {
  const value = await store.get(snapshotKey(name)).catch(() => undefined);
  const record = value === undefined ? undefined : parseHeads(value);
  const sealed = record && (await store.get(snapshotBodyKey(name)).catch(() => undefined));
  if (sealed === undefined || checksumOf(sealed) !== record?.checksum) return undefined;
  const body = unseal(sealed);
  return body === undefined ? undefined : { heads: record.heads, body };
}

/** In the order of their names. */
export async function snapshotNames(store: EventStore): Promise<string[]> {
  const names: string[] = [];
  for await (const batch of store.entries(allSnapshots))
    for (const [key] of batch) names.push(key.slice(snapshotKey('').length));
  return names;
}

/** The furthest head of each node's log that some snapshot stands at. */
export async function verifiedHeads(store: EventStore): Promise<Heads> {
  const furthest: Record<string, Head> = {};
  for await (const batch of store.values(allSnapshots))
    for (const value of batch)
      for (const [node, head] of Object.entries(parseHeads(value)?.heads ?? {})) {
        const other = furthest[node];
        if (other === undefined || comparePositions(other, head) < 0) furthest[node] = head;
      }
  return furthest;
}

function parseHeads(value: string): z.infer<typeof HeadsRecord> | undefined {
  const text = unseal(value);
  return text === undefined ? undefined : HeadsRecord.safeParse(JSON.parse(text)).data;
}
