import type { Command, CommandName, CommandOf } from '../../domain/commands.ts';
import type { Facts, PromiseAnswer } from '../../domain/facts.ts';
import { type ClusterState, highestEpoch, type ResourceState } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import { command, gibibyte, tag } from './given.ts';

/**
 * Everything that anybody can ask on a few nodes, in a given state: each command with the bodies that make a
 * difference, and each body with the facts that do. Finite, and in a fixed order: a walk through it can be repeated.
 */
export interface Asked {
  readonly command: Command;
  readonly facts: Facts;
}

const path = '/srv/data.img';
const paths = { [path]: { exists: true, usedBy: null, byteSize: gibibyte, blank: true } };
const volumes = [{ name: 'data', path }];
const generation = '00000000000000aa';

type Bodies = Partial<Record<CommandName, readonly object[]>>;

/** What can be asked of `self`, which can reach `reachable`. */
export function askable(
  state: ClusterState,
  nodes: readonly NodeName[],
  self: NodeName,
  reachable: readonly NodeName[],
): Asked[] {
  const resource = state.resources[tag];
  const others = nodes.filter((node) => node !== self);
  const bodies = bodiesOf(resource, nodes, self);
  const variants = factsOf(resource, self, others, reachable);
  return (Object.entries(bodies) as [CommandName, readonly object[]][]).flatMap(([name, its]) =>
    its.flatMap((body) =>
      (asksMore.has(name) ? variants : variants.slice(0, 1)).map((facts) => ({
        command: operator(name, body),
        facts,
      })),
    ),
  );
}

/** Commands whose outcome depends on more than who can be reached. */
const asksMore: ReadonlySet<CommandName> = new Set([
  'return',
  'in-service',
  'superseded',
  'promise',
  'settle-conflict',
] as const);

const byPolicy: ReadonlySet<CommandName> = new Set(['failover', 'return', 'promise'] as const);

function operator(name: CommandName, body: object): Command {
  const via = byPolicy.has(name) && !('by' in body) ? 'policy' : 'socket';
  const { by: _by, ...args } = body as { by?: string };
  return command(name, { ...args, actor: { id: 'root', via, verified: false } } as Partial<
    CommandOf<CommandName>
  >);
}

function factsOf(
  resource: ResourceState | undefined,
  self: NodeName,
  others: readonly NodeName[],
  reachable: readonly NodeName[],
): Facts[] {
  const base: Facts = {
    self,
    now: 1_700_000_000_000,
    reachable,
    paths,
    replication: { host: '127.0.0.1', port: 7801 },
    serving: null,
  };
  const epoch = resource ? highestEpoch(resource) + 1 : 1;
  const answered = (answer: PromiseAnswer['answer']) => ({
    epoch,
    answers: others.map((node) => ({ node, answer, outOfSync: false, highestEpoch: 0 })),
  });
  return [
    base,
    { ...base, serving: { node: self, epoch: resource?.epoch ?? 1 } },
    { ...base, promises: answered('promised') },
    { ...base, promises: answered('source-alive') },
    { ...base, promises: answered('unreachable') },
  ];
}

function bodiesOf(resource: ResourceState | undefined, nodes: readonly NodeName[], self: NodeName): Bodies {
  const epoch = resource?.epoch ?? 1;
  const next = resource ? highestEpoch(resource) + 1 : 2;
  const mirrors = Object.values(resource?.mirrors ?? {});
  const pairs = mirrors.map(({ source, target }) => ({ source, target }));
  const reigns = resource?.reigns ?? [];
  const each = nodes.map((node) => ({ node }));
  const resync = { kind: 'partial', bytes: 65_536, regions: 16, dirtyRegions: 1 };
  return {
    create: [{ node: self, volumes, content: 'raw', allowAsync: true, priority: 1 }],
    extend: each.map((one) => ({ ...one, volumes, mode: 'async', compress: 0, pair: {}, fullSync: true })),
    unextend: each,
    delete: [{}],
    'in-service': [{}, ...each],
    'out-of-service': [{}, ...each],
    switchover: each,
    failover: [{}, { by: 'operator' }, ...each.map((one) => ({ ...one, by: 'operator' }))],
    'confirm-failover': [{ block: false }, { block: true }],
    'force-online': each,
    'resolve-split-brain': nodes.map((victim) => ({ victim })),
    pause: [{}],
    resume: [{}],
    'full-resync': [{}],
    verify: [{}],
    settings: [
      { tag: undefined, key: 'compress', value: 1 },
      { key: 'confirm-failover', value: 0 },
      { key: 'confirm-failover', value: 60 },
      { key: 'confirm-failover-default', value: 'block' },
      { key: 'block-resource-failover', value: true },
      { key: 'auto-pause', value: 60 },
    ],
    'bitmap-mark-clean': [{ node: self }],
    'bitmap-mark-dirty': nodes.map((peer) => ({ node: self, peer })),
    promise: nodes.map((candidate) => ({ candidate, epoch: next })),
    promised: nodes.map((candidate) => ({ candidate, epoch: next })),
    'take-handover': [{}],
    return: [{}],
    'settle-conflict': [
      { wrote: [], related: true },
      { wrote: reigns.map(({ node }) => node), related: true },
      { wrote: reigns.slice(0, 1).map(({ node }) => node), related: true },
      { wrote: reigns.slice(1).map(({ node }) => node), related: true },
    ],
    'auto-pause': pairs,
    'auto-resume': pairs,
    'promises-collected': (['promised', 'source-alive', 'promised-other'] as const).map((answer) => ({
      epoch: resource?.takeover?.epoch ?? next,
      answers: nodes
        .filter((node) => node !== self)
        .map((node) => ({ node, answer, outOfSync: false, highestEpoch: 0 })),
    })),
    'confirmation-timed-out': [{}],
    'switchover-stopped': [{ step: 2, why: 'busy' }],
    'handed-over': [{ to: resource?.switchover?.to ?? self, epoch: resource?.switchover?.epoch ?? next }],
    served: [{ epoch, device: [{ volume: 'data', uri: `nbd://x/data@${epoch}` }] }],
    'serve-failed': [{ epoch, why: 'EIO' }],
    superseded: [{}],
    'peer-connected': pairs.flatMap((pair) => [
      { ...pair, inSync: true },
      { ...pair, inSync: false },
    ]),
    'peer-disconnected': pairs.flatMap((pair) => [
      { ...pair, why: 'timed-out', away: false },
      { ...pair, why: 'restarted', away: true },
    ]),
    'peer-lost-sync': pairs.map((pair) => ({ ...pair, generation: null, why: 'lost', known: true })),
    congestion: pairs.map((pair) => ({ ...pair, congested: true })),
    'generation-started': [
      { generation, parent: null, epoch, absent: nodes.filter((node) => node !== self) },
    ],
    'resync-started': pairs.map((pair) => ({ ...pair, ...resync })),
    'resync-progressed': pairs.map((pair) => ({
      ...pair,
      percent: 50,
      speedBytesPerSecond: 1,
      etaSeconds: 1,
      dirtyRegions: 1,
    })),
    'resync-interrupted': pairs.map((pair) => ({ ...pair, why: 'link' })),
    'resync-completed': pairs.map((pair) => ({ ...pair, kind: 'partial', bytes: 65_536, generation })),
    'split-brain-seen': [{ reigns: nodes.slice(0, 2).map((node) => ({ node, epoch })) }],
    'bitmap-invalidated': [{ peer: null, why: 'torn' }],
    'link-corruption': [{ peer: nodes[0], count: 1 }],
    'disk-failed': [{ volume: null, error: 'EIO' }],
    'local-failure': [{ what: 'the engine died' }],
    'local-recovery-ended': [
      { what: 'engine', ok: true },
      { what: 'engine', ok: false },
    ],
    'node-heard': each.map((one) => ({ ...one, restarted: false })),
    'node-silent': each.map((one) => ({ ...one, silentMs: 5000 })),
  };
}
