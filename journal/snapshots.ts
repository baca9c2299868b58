import { z } from 'zod';
import { comparePositions, type Head, type Heads } from '../domain/envelope.ts';
import type { EventStore, StoreWrite } from './event-store.ts';
import type { Snapshot } from './journal.ts';
import { allSnapshots, snapshotKey } from './keys.ts';
import { seal, unseal } from './record.ts';

/**
 * A snapshot in the database: one line with its heads and one with its body, each sealed, in one value, so
 * that a body never stands with heads that are not its own.
 */
const HeadsSchema = z.record(
  z.string(),
  z.object({ incarnation: z.int().min(1), sequence: z.int().min(1), hash: z.string() }),
);

export const snapshotWrite = (name: string, { heads, body }: Snapshot): StoreWrite => ({
  type: 'put',
  key: snapshotKey(name),
  value: `${seal(JSON.stringify(heads))}\n${seal(body)}`,
});

/** Undefined when there is none, or it does not verify. */
export async function readSnapshot(store: EventStore, name: string): Promise<Snapshot | undefined> {
  const value = await store.get(snapshotKey(name)).catch(() => undefined);
  return value === undefined ? undefined : parseSnapshot(value);
}

/** The furthest head of each node's log that some snapshot stands at. */
export async function verifiedHeads(store: EventStore): Promise<Heads> {
  const furthest: Record<string, Head> = {};
  for await (const batch of store.values(allSnapshots))
    for (const value of batch)
      for (const [node, head] of Object.entries(parseSnapshot(value)?.heads ?? {})) {
        const other = furthest[node];
        if (other === undefined || comparePositions(other, head) < 0) furthest[node] = head;
      }
  return furthest;
}

function parseSnapshot(value: string): Snapshot | undefined {
  const end = value.indexOf('\n');
  const heads = end < 0 ? undefined : unseal(value.slice(0, end));
  const body = unseal(value.slice(end + 1));
  if (heads === undefined || body === undefined) return undefined;
  const parsed = HeadsSchema.safeParse(JSON.parse(heads));
  return parsed.success ? { heads: parsed.data, body } : undefined;
}
