import { describe, expect, it } from 'vitest';
import { deciderOf } from '../../adapters/agent/decider.ts';
import type { ClusterState, ResourceState } from '../../domain/state.ts';
import { NodeName } from '../../domain/vocabulary.ts';

const [eve, adam, sophocles, plato] = ['eve', 'adam', 'sophocles', 'plato'].map((name) =>
  NodeName.parse(name),
);
if (!eve || !adam || !sophocles || !plato) throw new Error('four nodes');

/** eve serves; adam (priority 2) and sophocles (3) are in sync; plato has no replica. */
function cluster(change: Partial<ResourceState> = {}, dead: readonly NodeName[] = []): ClusterState {
  const nodes = [eve, adam, sophocles, plato].map((node) => [
    node,
    { node, alive: !dead.includes(node as NodeName), because: 'x', damaged: false, keys: [] },
  ]);
  const replicas = [eve, adam, sophocles].map((node, index) => [
    node,
    {
      node,
      priority: index + 1,
      data: 'up-to-date',
      away: false,
      failed: null,
      dataCorrupt: null,
      volumes: [],
    },
  ]);
  const mirrors = [adam, sophocles].map((target) => [
    target,
    { source: eve, target, status: 'fully-operational', connected: true, paused: null, resync: null },
  ]);
  const resource = {
    tag: 't1',
    phase: 'in-service',
    reigns: [{ node: eve, epoch: 1 }],
    lastOwner: { node: eve, epoch: 1 },
    replicas: Object.fromEntries(replicas),
    mirrors: Object.fromEntries(mirrors),
    rivals: [],
    confirmation: null,
    ...change,
  };
  const state = {
    nodes: Object.fromEntries(nodes),
    resources: { t1: resource },
    settings: {},
    commands: {},
    newCommands: 0,
  };
  return state as unknown as ClusterState;
}

const out = { phase: 'out-of-service', reigns: [] } as const;
const split = {
  phase: 'split-brain',
  reigns: [
    { node: eve, epoch: 1 },
    { node: adam, epoch: 2 },
  ],
} as const;

describe('who decides (REQUIREMENTS 5, Bus)', () => {
  const decided = (command: string, body: object, state = cluster(), self: NodeName = plato) =>
    deciderOf(state, command, { tag: 't1', ...body }, self);

  it.each(['create', 'force-online', 'failover', 'out-of-service'])('%s NODE: the named node', (command) => {
    expect(decided(command, { node: sophocles })).toBe(sophocles);
  });

  it('settings --node: the named node', () => {
    expect(deciderOf(cluster(), 'settings', { node: adam }, plato)).toBe(adam);
  });

  it('in-service while it is out of service: the named node, else the last owner', () => {
    expect(decided('in-service', { node: adam }, cluster({ ...out, reigns: [] }))).toBe(adam);
    expect(decided('in-service', {}, cluster({ ...out, reigns: [] }))).toBe(eve);
  });

  it('in-service of a serving resource is a switchover: the source', () => {
    expect(decided('in-service', { node: adam })).toBe(eve);
    expect(decided('switchover', { node: adam })).toBe(eve);
  });

  it('confirm-failover: the candidate that waits', () => {
    const confirmation = {
      lost: eve,
      candidate: adam,
      seconds: 600,
      default: 'proceed',
      command: null,
    } as const;
    expect(decided('confirm-failover', {}, cluster({ phase: 'awaiting-confirmation', confirmation }))).toBe(
      adam,
    );
  });

  it('a bare failover: the best eligible node that is alive', () => {
    expect(decided('failover', {}, cluster({}, [eve]))).toBe(adam);
    expect(decided('failover', {}, cluster({}, [eve, adam]))).toBe(sophocles);
  });

  it('resolve-split-brain, and out-of-service of a victim: who is not the victim', () => {
    const state = cluster({ ...split, reigns: [...split.reigns] });
    expect(decided('resolve-split-brain', { victim: eve }, state)).toBe(adam);
    expect(decided('resolve-split-brain', { victim: adam }, state)).toBe(eve);
    expect(decided('out-of-service', { node: adam }, state)).toBe(eve);
  });

  it.each(['extend', 'unextend', 'pause', 'resume', 'full-resync', 'delete'])(
    '%s: the source, else the last owner',
    (command) => {
      expect(decided(command, {})).toBe(eve);
      expect(decided(command, {}, cluster({ ...out, reigns: [] }))).toBe(eve);
    },
  );

  it('a node or a resource that nobody knows is for whoever was asked to refuse', () => {
    expect(decided('create', { node: NodeName.parse('nobody') })).toBe(plato);
    expect(deciderOf(cluster(), 'pause', { tag: 'unknown' }, plato)).toBe(plato);
  });
});
