import type { NodeState } from '../domain/state.ts';
import { isoTime } from './iso-time.ts';
import { type Projection, sortedEntries } from './projection.ts';

/** A node as the history knows it. `heardMsAgo` is measured: the agent that answers `nodes` puts it in. */
export interface NodeView {
  readonly node: string;
  readonly alive: boolean;
  readonly heardMsAgo: number | null;
  /** Since when it is alive or lost, and the event that says so. */
  readonly since: string | null;
  readonly because: string;
  readonly host: string | null;
  readonly journalDamaged: boolean;
  /** By how much its clock was ahead when it was last noticed; null where it never was. */
  readonly clockAheadMs: number | null;
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
  // Nothing that is about one resource changes what is known of a node.
  views: (memory, state, scope) =>
    scope === '*'
      ? sortedEntries(state.nodes).map(([node, known]) => [`node.${node}`, nodeOf(known, memory[node])])
      : [],
};

function nodeOf({ node, alive, because, damaged }: NodeState, remembered: Remembered | undefined): NodeView {
  return {
    node,
    alive,
    heardMsAgo: null,
    since: remembered?.since == null ? null : isoTime(remembered.since),
    because,
    host: remembered?.host ?? null,
    journalDamaged: damaged,
    clockAheadMs: remembered?.clockAheadMs ?? null,
  };
}
