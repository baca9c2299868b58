import { expect, test } from 'vitest';
import { measure } from './measurements.ts';

test('a cluster of three agents takes ten resources in service, restarts, and takes all of them over when their node dies', async () => {
  const { outcome, idle } = await measure(
    { resources: 10, heartbeatMs: 600, commands: 20, idleMs: 1000, events: 2000 },
    () => undefined,
  );
  expect(outcome).toEqual({ inService: 10, failedOver: 10, headsEqual: true, errors: [] });
  expect(idle.events, 'events of a cluster to which nothing happens').toBe(0);
}, 60_000);
