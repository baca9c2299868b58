import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { EventStore } from '../../journal/event-store.ts';
import { snapshotBodyKey, snapshotKey } from '../../journal/keys.ts';
import {
  readSnapshot,
  snapshotNames,
  snapshotRemoval,
  snapshotWrites,
  verifiedHeads,
} from '../../journal/snapshots.ts';
import { temporaryDirectory } from './support.ts';

const headsAt = (sequence: number) => ({ eve: { incarnation: 1, sequence, hash: 'a'.repeat(64) } });
const one = { heads: headsAt(7), body: '{"percent":10}' };
const two = { heads: headsAt(9), body: '{"percent":20}' };

async function storeOf(): Promise<EventStore> {
  const store = await EventStore.open(join(temporaryDirectory(), 'events'));
  onTestFinished(() => store.close());
  await store.write([...snapshotWrites('one', one), ...snapshotWrites('two', two)]);
  return store;
}

it('a snapshot comes back whole, the furthest heads are told, and it goes whole', async () => {
  const store = await storeOf();
  expect(await readSnapshot(store, 'one')).toEqual(one);
  expect(await verifiedHeads(store)).toEqual(headsAt(9));
  await store.write(snapshotRemoval('two'));
  expect(await snapshotNames(store)).toEqual(['one']);
  expect(await readSnapshot(store, 'two')).toBeUndefined();
});

it.each([
  ['a digit of the body', (body: string) => body.replace('10', '11'), snapshotBodyKey('one')],
  ['its end', (body: string) => body.slice(0, -1), snapshotBodyKey('one')],
  [
    'a digit of the heads',
    (heads: string) => heads.replace('"sequence":7', '"sequence":8'),
    snapshotKey('one'),
  ],
])('with %s damaged it is none', async (_, damage, key) => {
  const store = await storeOf();
  const value = (await store.get(key)) ?? '';
  expect(damage(value)).not.toBe(value);
  await store.write([{ type: 'put', key, value: damage(value) }]);
  expect(await readSnapshot(store, 'one')).toBeUndefined();
  expect(await readSnapshot(store, 'two')).toEqual(two);
});

it('the body of another snapshot is not taken for its own', async () => {
  const store = await storeOf();
  const body = (await store.get(snapshotBodyKey('two'))) ?? '';
  await store.write([{ type: 'put', key: snapshotBodyKey('one'), value: body }]);
  expect(await readSnapshot(store, 'one')).toBeUndefined();
});
