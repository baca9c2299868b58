import { describe, expect, it } from 'vitest';
import { getNextSnapshot } from 'xstate';
import type { AnyEvent } from '../../domain/events.ts';
import { evolve } from '../../domain/evolve.ts';
import { violations } from '../../domain/invariants.ts';
import { type MirrorEvent, mirrorMachine } from '../../domain/mirror-machine.ts';
import { type ClusterState, mirrorStatuses } from '../../domain/state.ts';
import { adam, eve, fold, mirrored, past, resyncStarted, tag } from './given.ts';

const pair = { source: eve, target: adam };
const reigns = [eve, adam].map((node) => ({ node, epoch: 1 }));

/** Every journal event that the mirror machine knows, as its source (or target) writes it. */
const asked: readonly AnyEvent[] = [
  past('mirror.paused', { ...pair, by: 'operator', reason: 'backup' }),
  past('mirror.resumed', { ...pair, by: 'operator' }),
  past('mirror.connected', { ...pair, inSync: true }),
  past('mirror.connected', { ...pair, inSync: false }),
  past('mirror.disconnected', { ...pair, why: 'timed-out', away: false }),
  past('mirror.lost-sync', { ...pair, generation: null, why: 'lost', known: true }),
  past('bitmap.marked-dirty', { node: eve, peer: adam }),
  resyncStarted(eve, adam, 'partial'),
  past('resync.progressed', { ...pair, percent: 5, speedBytesPerSecond: 1, etaSeconds: 1, dirtyRegions: 1 }),
  past('resync.interrupted', { ...pair, why: 'link' }),
  past('resync.completed', { ...pair, kind: 'partial', bytes: 1, generation: null }),
  past('split-brain.detected', { reigns }),
  past('disk.failed', { node: adam, volume: null, error: 'EIO' }, { node: adam }),
  past('resource.left-service', { node: eve, epoch: 1, why: 'out-of-service', handedTo: null }),
];

const statusOf = (state: ClusterState) => state.resources[tag]?.mirrors[adam]?.status;

function machineStatus(from: string, event: AnyEvent): string {
  const snapshot = mirrorMachine.resolveState({ value: from });
  const inSync = event.type === 'mirror.connected' && event.data.inSync;
  const asMachineEvent = { type: event.type, inSync } as MirrorEvent;
  expect(snapshot.can(asMachineEvent), `${from} ${event.type}`).toBe(true);
  return String(getNextSnapshot(mirrorMachine, snapshot, asMachineEvent).value);
}

describe('the mirror machine and the fold', () => {
  it('go the same way from every status on every event, and every edge is taken', () => {
    const begin = fold(mirrored(adam));
    const queue: ClusterState[] = [begin];
    const seen = new Set<string | undefined>([statusOf(begin)]);
    const taken = new Set<string>();
    for (const state of queue) {
      const from = statusOf(state) ?? '';
      for (const [index, event] of asked.entries()) {
        const after = evolve(state, {
          ...event,
          id: `eve/1/${1000 + queue.length * 100 + index}`,
        } as AnyEvent);
        const to = statusOf(after) ?? '';
        expect(`${from} ${event.type} ${to}`).toBe(`${from} ${event.type} ${machineStatus(from, event)}`);
        expect(violations(after)).toEqual([]);
        taken.add(`${from} ${event.type} ${to}`);
        if (seen.has(to)) continue;
        seen.add(to);
        queue.push(after);
      }
    }
    expect([...seen].sort()).toEqual([...mirrorStatuses].sort());
    const edges = Object.values(mirrorMachine.states).flatMap((node) =>
      [...node.transitions].flatMap(([event, transitions]) =>
        transitions.map(({ target }) => `${node.key} ${event} ${target?.[0]?.key}`),
      ),
    );
    expect(edges.filter((edge) => !taken.has(edge))).toEqual([]);
  });
});
