import type { ClusterState } from '../domain/state.ts';
import type { NodeName } from '../domain/vocabulary.ts';
import { isoTime } from './iso-time.ts';
import { type Projection, resourcesIn } from './projection.ts';
import { roleOf } from './status.ts';

/** A node as the history knows it. `heardMsAgo` is measured: the agent that answers `nodes` puts it in. */
export interface NodeView {
  readonly node: string;
  readonly alive: boolean;
  readonly heardMsAgo: number | null;
  /** Since when it is alive or lost, and the event that says so. */
  readonly since: string | null;
  readonly because: string | null;
  readonly host: string | null;
  readonly journalDamaged: boolean;
  /** By how much its clock was ahead when it was last noticed; null where it never was. */
  readonly clockAheadMs: number | null;
  readonly resources: readonly { readonly tag: string; readonly role: 'source' | 'target' | 'none' }[];
}

interface Remembered {
  since: number | null;
  host: string | null;
  clockAheadMs: number | null;
}
type Memory = Record<string, Remembered>;

const about = (memory: Memory, node: string): Remembered => {
  memory[node] ??= { since: null, host: null, clockAheadMs: null };
  return memory[node];
};

export const nodes: Projection<Memory> = {
  name: 'node',
  version: 1,
  initial: () => ({}),
  remembers: {
    'node.joined': (memory, { data, time }) => {
      const node = about(memory, data.node);
      node.since = time;
      node.host = data.host;
    },
    'node.lost': (memory, { data, time }) => {
      about(memory, data.node).since = time;
    },
    'node.returned': (memory, { data, time }) => {
      about(memory, data.node).since = time;
    },
    'node.clock-skewed': (memory, { data }) => {
      about(memory, data.node).clockAheadMs = data.aheadMs;
    },
  },
  views: (memory, state) =>
    nodeNames(state).map((node) => [`node.${node}`, nodeOf(state, node, memory[node])]),
};

/** Nodes that joined, and nodes that have a replica. */
const nodeNames = (state: ClusterState): string[] => {
  const names = new Set(Object.keys(state.nodes));
  for (const { replicas } of resourcesIn(state, '*'))
    for (const node of Object.keys(replicas)) names.add(node);
  return [...names].sort();
};

function nodeOf(state: ClusterState, node: string, remembered: Remembered | undefined): NodeView {
  const known = state.nodes[node];
  const resources = resourcesIn(state, '*').flatMap((resource) => {
    const hasReplica = resource.replicas[node] !== undefined;
    return hasReplica ? [{ tag: resource.tag, role: roleOf(resource, node as NodeName) }] : [];
  });
  return {
    node,
    alive: known?.alive ?? true,
    heardMsAgo: null,
    since: remembered?.since == null ? null : isoTime(remembered.since),
    because: known?.because ?? null,
    host: remembered?.host ?? null,
    journalDamaged: known?.damaged ?? false,
    clockAheadMs: remembered?.clockAheadMs ?? null,
    resources,
  };
}
