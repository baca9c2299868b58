import type { CommandName } from '../../domain/commands.ts';
import type { ResourceState } from '../../domain/state.ts';
import { reigns, sourceOf } from '../../domain/state.ts';
import type { NodeName } from '../../domain/vocabulary.ts';
import type { EngineStatus, Notice, NumberedObservation } from '../engine/control-protocol.ts';

/** A command that an observation amounts to; the agent adds id, actor and tag. */
export interface Observed {
  readonly command: CommandName;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What an engine's numbered observation means for the history; undefined where the agent itself ordered it and journals that. */
export function fromObservation(
  observation: NumberedObservation,
  resource: ResourceState,
  self: NodeName,
  regionCount: number,
  status: EngineStatus | null,
): Observed | undefined {
  switch (observation.type) {
    case 'generation-started':
      return {
        command: 'generation-started',
        body: {
          generation: observation.generation,
          parent: observation.before,
          epoch: resource.reigns.find(({ node }) => node === self)?.epoch ?? resource.epoch,
          absent: observation.absent,
        },
      };
    case 'peer-out-of-sync': {
      if (observation.because === 'new') return undefined;
      const known = observation.because === 'recorded' || observation.because === 'paused';
      return {
        command: 'peer-lost-sync',
        body: {
          source: self,
          target: observation.peer,
          generation: observation.since,
          why: observation.because,
          known,
        },
      };
    }
    case 'out-of-sync': {
      const source = observation.source ?? sourceOf(resource);
      if (source === null || source === self) return undefined;
      return {
        command: 'peer-lost-sync',
        body: { source, target: self, generation: null, why: observation.because, known: true },
      };
    }
    case 'resync-started':
      return {
        command: 'resync-started',
        body: {
          source: self,
          target: observation.peer,
          kind: observation.kind,
          bytes: observation.bytes,
          regions: regionCount,
          dirtyRegions: Math.ceil(observation.bytes / 65_536),
        },
      };
    case 'resync-interrupted':
      return {
        command: 'resync-interrupted',
        body: { source: self, target: observation.peer, why: `${observation.bytesLeft} bytes were left` },
      };
    case 'resync-completed':
      return {
        command: 'resync-completed',
        body: {
          source: self,
          target: observation.peer,
          kind: observation.kind,
          bytes: observation.bytes,
          generation: status?.replica?.generation ?? null,
        },
      };
    case 'verify-interrupted':
      return {
        command: 'verify-interrupted',
        body: { source: self, target: observation.peer, why: `at ${observation.percent}%` },
      };
    case 'verify-completed': {
      const { peer: target, bytes, differing, ranges } = observation;
      return { command: 'verify-completed', body: { source: self, target, bytes, differing, ranges } };
    }
    case 'split-brain':
      // Targets see it too, on the links that they keep with each other: only those who serve are its sides.
      return sidesOf(status, observation.peer)
        ? {
            command: 'split-brain-seen',
            body: { reigns: reignsWith(resource, self, observation.peer, status) },
          }
        : undefined;
    case 'unrelated-data':
    case 'target-too-small':
      if (!reigns(resource, self)) return undefined;
      return {
        command: 'peer-disconnected',
        body: { source: self, target: observation.peer, why: observation.type, away: false },
      };
    case 'disk-failed':
      return {
        command: 'disk-failed',
        body: { volume: observation.volume, error: `${observation.code} during ${observation.during}` },
      };
    case 'intent-log-invalid':
      return { command: 'bitmap-invalidated', body: { peer: observation.peer, why: observation.because } };
    case 'promised':
      return { command: 'promised', body: { candidate: observation.to, epoch: observation.epoch } };
    case 'served':
    case 'left-service':
    case 'handed-over':
    case 'paused':
    case 'resumed':
    case 'epoch-conflict':
    case 'marked-clean':
    case 'marked-dirty':
    case 'collapsed':
      return undefined;
    default:
      return observation satisfies never;
  }
}

function sidesOf(status: EngineStatus | null, peer: NodeName): boolean {
  const other = status?.peers.find((known) => known.peer === peer);
  return status?.replica?.serving === true && other?.theirs?.role === 'source';
}

/** Both sides of a split brain, with the epochs at which they serve. */
function reignsWith(resource: ResourceState, self: NodeName, peer: NodeName, status: EngineStatus | null) {
  const theirs = status?.peers.find((known) => known.peer === peer)?.theirs?.epoch;
  const known = (node: NodeName) => resource.reigns.find((reign) => reign.node === node)?.epoch;
  return [
    { node: self, epoch: known(self) ?? status?.replica?.epoch ?? resource.epoch },
    { node: peer, epoch: known(peer) ?? theirs ?? resource.epoch },
  ];
}

/** What a notice means; progress of a resync and congestion only of the own mirrors. */
export function fromNotice(notice: Notice, resource: ResourceState, self: NodeName): Observed | undefined {
  const pair = { source: self, target: notice.peer };
  if (notice.notice === 'link-corruption')
    return { command: 'link-corruption', body: { peer: notice.peer, count: Math.max(1, notice.count) } };
  if (!reigns(resource, self) || !resource.mirrors[notice.peer]) return undefined;
  switch (notice.notice) {
    case 'disconnected':
      return { command: 'peer-disconnected', body: { ...pair, why: notice.because, away: false } };
    case 'congested':
      return { command: 'congestion', body: { ...pair, congested: notice.congested } };
    case 'verify-progressed':
      return { command: 'verify-progressed', body: { ...pair, percent: notice.percent } };
    case 'resync-progressed':
      return {
        command: 'resync-progressed',
        body: {
          ...pair,
          percent: notice.percent,
          speedBytesPerSecond: notice.speedBytesPerSecond,
          etaSeconds: notice.etaSeconds,
          dirtyRegions: Math.ceil(notice.bytesLeft / 65_536),
        },
      };
    case 'connected':
    case 'stalled':
      return undefined;
    default:
      return notice satisfies never;
  }
}

/** Mirrors of which the engine says something else than the history: what has to be journaled about their links. */
export function fromStatus(status: EngineStatus, resource: ResourceState, self: NodeName): Observed[] {
  // What the engine is about to tell by itself is not told twice, nor before its turn.
  if (!status.replica?.serving || status.observations.pending > 0) return [];
  return status.peers.flatMap((peer): Observed[] => {
    const mirror = resource.mirrors[peer.peer];
    if (!mirror || mirror.source !== self || peer.status === null) return [];
    const pair = { source: self, target: peer.peer };
    if (!peer.connected) {
      return mirror.connected
        ? [{ command: 'peer-disconnected', body: { ...pair, why: 'the link is down', away: false } }]
        : [];
    }
    const inSync = peer.connected && peer.status === 'fully-operational';
    const stale = inSync
      ? mirror.status !== 'fully-operational' || !mirror.connected
      : peer.connected && !mirror.connected;
    return stale && mirror.status !== 'resyncing'
      ? [{ command: 'peer-connected', body: { ...pair, inSync } }]
      : [];
  });
}
