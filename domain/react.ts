import { takeoverOrder, whyNotEligible } from './eligibility.ts';
import type { EndpointOf, VolumeOf } from './events.ts';
import { type MountPoint, mountPoints } from './file-systems.ts';
import { mustRenew } from './promises.ts';
import { replicationPath, scopeInForce, settingOf } from './settings.ts';
import {
  asSeenBy,
  type ClusterState,
  modeOf,
  type Phase,
  type ResourceState,
  reigns,
  replicaNodes,
  sourceOf,
} from './state.ts';
import type { Generation, Mode, NodeName, Tag } from './vocabulary.ts';

/**
 * What a node owes to a state: idempotent orders to its own engine and host, and proposals that its policy makes.
 * They follow from the state alone, so nothing is lost in between: after a restart all of them are due again.
 * None of them undoes a serving source: an agent whose engine serves although another reigns proposes `superseded`.
 */
export type Intent =
  /** Run the engine of this node's replica. */
  | {
      readonly do: 'open';
      readonly tag: Tag;
      readonly resource: string;
      readonly volumes: readonly VolumeOf[];
      readonly bitmap: string | null;
      /** Its volumes are a copy that was made since that generation. */
      readonly adopts: Generation | null;
      readonly replication: EndpointOf;
    }
  | {
      readonly do: 'connect';
      readonly tag: Tag;
      readonly peer: NodeName;
      readonly at: readonly EndpointOf[];
      readonly mode: Mode;
      readonly compress: number;
      readonly asyncLimit: number;
      /** One of the two is a copy that was made since the other's baseline. */
      readonly baseline: boolean;
    }
  /** Settings of this replica's engine that are not a pair's. Milliseconds, bytes per second. */
  | {
      readonly do: 'tune';
      readonly tag: Tag;
      readonly writeTimeoutMs: number;
      readonly resyncMin: number | null;
      readonly resyncMax: number | null;
      readonly resyncChecksums: boolean;
    }
  | { readonly do: 'serve'; readonly tag: Tag; readonly epoch: number }
  /** The devices of this reign are attached and mounted; `make`: the file systems are made first. */
  | {
      readonly do: 'mount';
      readonly tag: Tag;
      readonly epoch: number;
      readonly fstype: string;
      readonly make: boolean;
      readonly mounts: readonly MountPoint[];
    }
  /**
   * Nothing of the resource is mounted or attached here. `orderly`: what is in use stays, and so does the reign; else
   * whatever still uses it loses it. Before the replica may become a target.
   */
  | { readonly do: 'unmount'; readonly tag: Tag; readonly orderly: boolean }
  /** Be a target of that source; first `superseded` where the engine serves. */
  | { readonly do: 'follow'; readonly tag: Tag; readonly source: NodeName; readonly epoch: number }
  /** Nobody serves: keep the replica and serve nothing. */
  | { readonly do: 'stand-by'; readonly tag: Tag }
  | { readonly do: 'pause'; readonly tag: Tag; readonly peer: NodeName; readonly reason: string }
  /** Overrides the generations: an operator ordered everything (rule 13), or chose the victim of a split brain (rule 12). */
  | {
      readonly do: 'resync';
      readonly tag: Tag;
      /** The reign that is told: a renewed one knows nothing of what its predecessor was told. */
      readonly epoch: number;
      readonly peer: NodeName;
      readonly kind: 'partial' | 'full';
      /** The event of a `full-resync`: each is carried out, also where the engine found an earlier one void. */
      readonly ordered: string | null;
    }
  /** `started`: the event that asked for it, so that a later one is another. */
  | { readonly do: 'verify'; readonly tag: Tag; readonly peer: NodeName; readonly started: string }
  /** Switchover, steps 2 to 4. */
  | { readonly do: 'hand-over'; readonly tag: Tag; readonly to: NodeName; readonly epoch: number }
  | { readonly do: 'collect-promises'; readonly tag: Tag; readonly epoch: number; readonly lost: NodeName }
  /** The wait begins anew with each start of the agent (rule 14). */
  | { readonly do: 'await-confirmation'; readonly tag: Tag; readonly seconds: number }
  /** Compare what the reigning replicas wrote, then propose `settle-conflict`. */
  | {
      readonly do: 'compare';
      readonly tag: Tag;
      readonly with: readonly NodeName[];
      readonly wrote: readonly NodeName[];
    }
  | { readonly do: 'recover'; readonly tag: Tag; readonly what: string }
  | { readonly do: 'propose'; readonly tag: Tag; readonly command: 'take-handover' | 'failover' | 'return' }
  /** Say how a command ended that was overtaken (I11). */
  | { readonly do: 'settle'; readonly tag: Tag; readonly command: string }
  /** No replica here any more: stop the engine and forget its metadata. */
  | { readonly do: 'close'; readonly tag: Tag };

/** The intents that a state newly implies for a node: those of `after` that `before` did not have. */
export function react(before: ClusterState, after: ClusterState, self: NodeName): Intent[] {
  const intents: Intent[] = [];
  for (const tag of tagsOf(before, after)) {
    const was = before.resources[tag];
    const is = after.resources[tag];
    if (was === is && before.nodes === after.nodes && before.settings === after.settings) continue;
    const known = new Set(standing(before, was, self).map((intent) => JSON.stringify(intent)));
    const now = standing(after, is, self);
    intents.push(...now.filter((intent) => !known.has(JSON.stringify(intent))));
    if (hasReplica(was, self) && !hasReplica(is, self))
      intents.push({ do: 'close', tag: (was as ResourceState).tag });
  }
  return intents;
}

function tagsOf(before: ClusterState, after: ClusterState): string[] {
  return [...new Set([...Object.keys(before.resources), ...Object.keys(after.resources)])];
}

function hasReplica(resource: ResourceState | undefined, self: NodeName): boolean {
  if (resource === undefined || resource.phase === 'deleted') return false;
  return asSeenBy(resource, self).replicas[self] !== undefined;
}

/** Everything a node owes to a resource, in the order in which it is done. */
export function standing(state: ClusterState, known: ResourceState | undefined, self: NodeName): Intent[] {
  const resource = known && asSeenBy(known, self);
  if (!resource || !hasReplica(resource, self)) return [];
  return [
    ...opened(state, resource, self),
    ...role(resource, self),
    ...mirrors(resource, self),
    ...transition(state, resource, self),
    ...settled(resource, self),
    ...mounted(resource, self),
  ];
}

function opened(state: ClusterState, resource: ResourceState, self: NodeName): Intent[] {
  const { tag } = resource;
  const replica = resource.replicas[self];
  if (!replica) return [];
  const { volumes, bitmap, adopts, replication } = replica;
  const open: Intent = { do: 'open', tag, resource: resource.id, volumes, bitmap, adopts, replication };
  const peers = replicaNodes(resource).filter((node) => node !== self);
  return [
    open,
    tune(state, tag, self),
    ...peers.flatMap((peer): Intent[] => {
      const recorded = resource.replicas[peer]?.replication;
      const at = replicationPath(state.settings, tag, self, peer) ?? (recorded && [recorded]);
      const compress = compressionOf(state, resource, self, peer);
      const asyncLimit = settingOf(state.settings, { tag, node: self, peer }, 'async-limit') ?? 256;
      return at
        ? [
            {
              do: 'connect',
              tag,
              peer,
              at,
              mode: modeOf(resource, self, peer),
              compress,
              asyncLimit,
              baseline: isCopyOf(resource, self, peer) || isCopyOf(resource, peer, self),
            },
          ]
        : [];
    }),
  ];
}

/** `target` has a copy that was made since the baseline of its source. */
const isCopyOf = ({ replicas, mirrors }: ResourceState, target: NodeName, source: NodeName): boolean =>
  replicas[target]?.adopts != null && mirrors[target]?.source === source;

/** Of the pair, whichever of them is the source: as somebody set it, else as it was extended. */
function compressionOf(
  state: ClusterState,
  { tag, replicas }: ResourceState,
  self: NodeName,
  peer: NodeName,
) {
  const scope = { tag, node: self, peer };
  return scopeInForce(state.settings, scope, 'compress') === undefined
    ? Math.max(replicas[self]?.compress ?? 0, replicas[peer]?.compress ?? 0)
    : (settingOf(state.settings, scope, 'compress') ?? 0);
}

function tune(state: ClusterState, tag: Tag, self: NodeName): Intent {
  const scope = { tag, node: self };
  return {
    do: 'tune',
    tag,
    writeTimeoutMs: 1000 * (settingOf(state.settings, scope, 'write-timeout') ?? 30),
    resyncMin: settingOf(state.settings, scope, 'resync-min') ?? null,
    resyncMax: settingOf(state.settings, scope, 'resync-max') ?? null,
    resyncChecksums: settingOf(state.settings, scope, 'resync-checksums') === true,
  };
}

function role(resource: ResourceState, self: NodeName): Intent[] {
  const { tag } = resource;
  const mine = resource.reigns.find(({ node }) => node === self);
  if (mine) return [{ do: 'serve', tag, epoch: mine.epoch }];
  const [first, ...others] = resource.reigns;
  // Who was taken out of service by an operator has all the time that its applications take.
  const unmounted = unmount(resource, self, resource.left?.why === 'out-of-service');
  if (!first || others.length > 0) return [...unmounted, { do: 'stand-by', tag }];
  return [...unmounted, { do: 'follow', tag, source: first.node, epoch: first.epoch }];
}

/** Who hands over does not mount any more; in a conflict nothing is mounted anew, as that would write. */
const mountsIn: ReadonlySet<Phase> = new Set<Phase>([
  'in-service',
  'awaiting-confirmation',
  'failing-over',
  'blocked',
]);

function mounted(resource: ResourceState, self: NodeName): Intent[] {
  const { tag, phase, fstype, hasFileSystem } = resource;
  const replica = resource.replicas[self];
  const mounts = replica ? mountPoints(replica) : [];
  const mine = resource.reigns.find(({ node }) => node === self);
  if (!mine || mounts.length === 0 || fstype === null || !mountsIn.has(phase)) return [];
  return [{ do: 'mount', tag, epoch: mine.epoch, fstype, make: !hasFileSystem, mounts }];
}

function unmount(resource: ResourceState, self: NodeName, orderly: boolean): Intent[] {
  return resource.replicas[self]?.mount == null ? [] : [{ do: 'unmount', tag: resource.tag, orderly }];
}

function mirrors(resource: ResourceState, self: NodeName): Intent[] {
  const { tag } = resource;
  const epoch = resource.reigns.find(({ node }) => node === self)?.epoch ?? resource.epoch;
  return Object.values(resource.mirrors)
    .filter(({ source }) => source === self)
    .flatMap(({ target: peer, paused, fullResyncOrdered, verify }): Intent[] => {
      if (paused) return [{ do: 'pause', tag, peer, reason: paused.reason }];
      if (fullResyncOrdered !== null)
        return [{ do: 'resync', tag, epoch, peer, kind: 'full', ordered: fullResyncOrdered }];
      const isVictim = resource.replicas[peer]?.victimOf === self;
      if (isVictim) return [{ do: 'resync', tag, epoch, peer, kind: 'partial', ordered: null }];
      return verify ? [{ do: 'verify', tag, peer, started: verify.started }] : [];
    });
}

function transition(state: ClusterState, resource: ResourceState, self: NodeName): Intent[] {
  const { tag, phase } = resource;
  switch (phase) {
    case 'switching-over': {
      const { switchover, left } = resource;
      if (switchover?.from === self && reigns(resource, self))
        return [
          ...unmount(resource, self, true),
          { do: 'hand-over', tag, to: switchover.to, epoch: switchover.epoch },
        ];
      if (left?.handedTo?.node === self) return [{ do: 'propose', tag, command: 'take-handover' }];
      return left === null && lostSource(state, resource) ? failover(state, resource, self) : [];
    }
    case 'failing-over': {
      const { takeover } = resource;
      return takeover?.candidate === self
        ? [{ do: 'collect-promises', tag, epoch: takeover.epoch, lost: takeover.lost }]
        : failoverAfter(state, resource, takeover?.candidate, self);
    }
    case 'awaiting-confirmation': {
      const { confirmation } = resource;
      return confirmation?.candidate === self
        ? [{ do: 'await-confirmation', tag, seconds: confirmation.seconds }]
        : failoverAfter(state, resource, confirmation?.candidate, self);
    }
    case 'conflicted':
      return reigns(resource, self) && resource.rivals.length === 0 ? [compare(resource, self)] : [];
    case 'in-service':
      if (mustRenew(resource, self)) return [{ do: 'propose', tag, command: 'return' }];
      return lostSource(state, resource) ? failover(state, resource, self) : recovery(resource, self);
    case 'out-of-service': {
      const why = resource.left?.why;
      const comesBack =
        why === 'cannot-tell' || why === 'never-served' || resource.replicas[self]?.dataCorrupt;
      if (resource.lastOwner?.node === self && comesBack) return [{ do: 'propose', tag, command: 'return' }];
      const moves = why === 'local-failure' || (why === 'never-served' && isLastOwnerLost(state, resource));
      return moves ? failover(state, resource, self) : recovery(resource, self);
    }
    case 'blocked':
    case 'split-brain':
    case 'deleted':
      return [];
    default:
      return phase satisfies never;
  }
}

function settled({ tag, unsettled }: ResourceState, self: NodeName): Intent[] {
  return Object.entries(unsettled).flatMap(([command, owner]): Intent[] =>
    owner === self ? [{ do: 'settle', tag, command }] : [],
  );
}

function failover(state: ClusterState, resource: ResourceState, self: NodeName): Intent[] {
  return isNextInLine(state, resource, self)
    ? [{ do: 'propose', tag: resource.tag, command: 'failover' }]
    : [];
}

/** The next one takes over where the one that had begun to is lost too (rule 7, cascading). */
function failoverAfter(
  state: ClusterState,
  resource: ResourceState,
  candidate: NodeName | undefined,
  self: NodeName,
): Intent[] {
  return candidate !== undefined && state.nodes[candidate]?.alive === false
    ? failover(state, resource, self)
    : [];
}

function compare(resource: ResourceState, self: NodeName): Intent {
  const others = resource.reigns.flatMap(({ node }) => (node === self ? [] : [node]));
  return { do: 'compare', tag: resource.tag, with: others, wrote: wroteInConflict(resource) };
}

/** Of those that reign at once the ones that wrote without another of them (rule 12). */
export function wroteInConflict({ reigns: all, replicas }: ResourceState): NodeName[] {
  const nodes = all.map(({ node }) => node);
  return nodes.filter((node) => replicas[node]?.wroteWithout.some((other) => nodes.includes(other)));
}

function recovery(resource: ResourceState, self: NodeName): Intent[] {
  const what = resource.replicas[self]?.failed;
  return what == null ? [] : [{ do: 'recover', tag: resource.tag, what }];
}

function lostSource(state: ClusterState, resource: ResourceState): boolean {
  const source = sourceOf(resource);
  return source !== null && state.nodes[source]?.alive === false;
}

function isLastOwnerLost(state: ClusterState, { lastOwner }: ResourceState): boolean {
  return lastOwner !== null && state.nodes[lastOwner.node]?.alive === false;
}

/** The best target that the history holds for eligible and alive; the rules check it again against the facts. */
function isNextInLine(state: ClusterState, resource: ResourceState, self: NodeName): boolean {
  const alive = takeoverOrder(resource).filter((node) => node === self || state.nodes[node]?.alive);
  return alive.find((node) => whyNotEligible(resource, node) === undefined) === self;
}
