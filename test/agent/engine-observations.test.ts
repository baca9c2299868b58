import { describe, expect, it } from 'vitest';
import { fromNotice, fromObservation, fromStatus } from '../../adapters/agent/engine-observations.ts';
import type { EngineStatus, Notice, NumberedObservation } from '../../adapters/engine/control-protocol.ts';
import type { ResourceState } from '../../domain/state.ts';
import { NodeName } from '../../domain/vocabulary.ts';

const eve = NodeName.parse('eve');
const adam = NodeName.parse('adam');

/** eve serves at epoch 3, adam is its target. */
const resource = {
  tag: 't1',
  epoch: 3,
  reigns: [{ node: eve, epoch: 3 }],
  replicas: { eve: { node: eve }, adam: { node: adam } },
  mirrors: { adam: { source: eve, target: adam, status: 'fully-operational', connected: true } },
} as unknown as ResourceState;

const observed = (observation: object, self = eve) =>
  fromObservation({ observation: 1, at: 0, ...observation } as NumberedObservation, resource, self, 16, null);

describe('what an engine observed', () => {
  it('a generation began: in the epoch of its own reign', () => {
    const observation = { type: 'generation-started', generation: 'b', before: 'a', absent: [adam] };
    expect(observed(observation)).toMatchObject({
      command: 'generation-started',
      body: { generation: 'b', parent: 'a', epoch: 3, absent: [adam] },
    });
  });

  it.each([
    ['recorded', true],
    ['paused', true],
    ['lost', false],
    ['failed', false],
  ])('a peer is out of sync, %s: it knows so itself = %s (REQUIREMENTS 2.3)', (because, known) => {
    expect(observed({ type: 'peer-out-of-sync', peer: adam, since: 'a', because })).toMatchObject({
      command: 'peer-lost-sync',
      body: { source: eve, target: adam, known },
    });
  });

  it('a new peer is no news', () => {
    expect(observed({ type: 'peer-out-of-sync', peer: adam, since: null, because: 'new' })).toBeUndefined();
  });

  it('a promise, also one that was given over the link only (rule 7)', () => {
    expect(observed({ type: 'promised', to: eve, epoch: 4 }, adam)).toEqual({
      command: 'promised',
      body: { candidate: eve, epoch: 4 },
    });
  });

  it('this replica recorded itself out of sync: it knows', () => {
    expect(observed({ type: 'out-of-sync', source: eve, epoch: 3, because: 'asked' }, adam)).toMatchObject({
      command: 'peer-lost-sync',
      body: { source: eve, target: adam, known: true },
    });
  });

  it('a disk failed', () => {
    const observation = { type: 'disk-failed', volume: 'data', code: 'EIO', during: 'write' };
    expect(observed(observation)).toEqual({
      command: 'disk-failed',
      body: { volume: 'data', error: 'EIO during write' },
    });
  });

  it.each([
    { type: 'served', epoch: 3, forced: false },
    { type: 'left-service', epoch: 3 },
    { type: 'paused', peer: adam, reason: 'x' },
    { type: 'resumed', peer: adam },
  ])('what the agent itself ordered is journaled by the agent: $type', (observation) => {
    expect(observed(observation)).toBeUndefined();
  });
});

describe('what an engine notices', () => {
  const noticed = (notice: object, self = eve) => fromNotice(notice as Notice, resource, self);

  it('a link that broke is told by the source, and by nobody else', () => {
    const notice = { notice: 'disconnected', peer: adam, because: 'timed-out' };
    expect(noticed(notice)).toMatchObject({
      command: 'peer-disconnected',
      body: { source: eve, target: adam },
    });
    expect(noticed({ ...notice, peer: eve }, adam)).toBeUndefined();
  });

  it('corruption on a link is told by both ends', () => {
    const notice = { notice: 'link-corruption', peer: eve, count: 2 };
    expect(noticed(notice, adam)).toEqual({ command: 'link-corruption', body: { peer: eve, count: 2 } });
  });
});

describe('what the engine says of its links, and the history does not', () => {
  const status = (connected: boolean) =>
    ({
      open: true,
      replica: { serving: true },
      peers: [{ peer: adam, connected, status: connected ? 'fully-operational' : 'out-of-sync' }],
      observations: { next: 1, pending: 0 },
    }) as unknown as EngineStatus;
  const known = (connected: boolean) =>
    ({ ...resource, mirrors: { adam: { ...resource.mirrors['adam'], connected } } }) as ResourceState;

  it('is corrected upwards and downwards, and left alone where both agree', () => {
    expect(fromStatus(status(true), known(false), eve)).toMatchObject([{ command: 'peer-connected' }]);
    expect(fromStatus(status(false), known(true), eve)).toEqual([
      {
        command: 'peer-disconnected',
        body: { source: eve, target: adam, why: 'the link is down', away: false },
      },
    ]);
    expect(fromStatus(status(true), known(true), eve)).toEqual([]);
    expect(fromStatus(status(false), known(false), eve)).toEqual([]);
  });
});
