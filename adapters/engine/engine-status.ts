import type { EngineStatus, PeerStatus } from './control-protocol.ts';
import type { Mirror } from './mirror.ts';
import type { Node } from './node.ts';
import { corruptFrames, type Peer } from './peer.ts';
import type { EnginePorts } from './ports.ts';

export function statusOf(node: Node | null, pid: number, ports: EnginePorts): EngineStatus {
  if (node === null) {
    return { open: false, pid, replica: null, peers: [], observations: { next: 1, pending: 0 } };
  }
  const { record } = node.replica;
  return {
    open: true,
    pid,
    replica: replicaStatus(node, ports),
    peers: [...node.peers.values()].map((peer) => peerStatus(node, peer, ports.clock.nowMs())),
    observations: { next: record.observations.next, pending: record.observations.pending.length },
  };
}

function replicaStatus(node: Node, ports: EnginePorts): EngineStatus['replica'] {
  const { source } = node;
  const { record, failure } = node.replica;
  const { cluster, tag, resource, volumes, epoch, promised, lastOwner, dataCorrupt } = record;
  const { inSync, consistent, paused, resyncing, handedTo, journalHead } = record;
  const exports = source?.exports ?? [];
  return {
    cluster,
    tag,
    resource,
    node: record.node,
    volumes: volumes.map(({ name, byteSize }) => ({ name, byteSize })),
    role: source === null ? record.role : 'source',
    serving: source !== null,
    exports: exports.map((offered) => ({ volume: offered.volume, uri: ports.exports.uri(offered) })),
    clients: exports.map((offered) => ({
      volume: offered.volume,
      connections: ports.exports.clients(offered),
    })),
    epoch,
    promised,
    lastOwner,
    dataCorrupt,
    inSync,
    consistent,
    paused,
    resyncing: resyncing === null ? null : { source: resyncing.source, kind: resyncing.kind },
    handedTo,
    generation: record.generation.current,
    baseline: record.baseline,
    failed: failure,
    journalHead,
    port: node.port,
    writesInFlight: source?.path.inFlight ?? 0,
  };
}

function peerStatus(node: Node, peer: Peer, nowMs: number): PeerStatus {
  const mirror = node.source?.mirrors.get(peer.node);
  const { theirs, link, settings } = peer;
  const { volumes } = node.replica;
  const queue = mirror?.stream.queue;
  const progress = mirror?.resync.progress ?? null;
  const oldestMs = queue?.oldestMs ?? null;
  const heardMs = peer.heardMsAgo(nowMs);
  return {
    peer: peer.node,
    connected: link.established,
    heardMsAgo: heardMs === null ? null : Math.round(heardMs),
    mode: settings.mode,
    status: mirror === undefined ? null : mirrorStatus(mirror, peer),
    refusal: mirror?.state.refusal ?? null,
    theirs:
      theirs === null
        ? null
        : {
            role: theirs.role,
            epoch: theirs.record.epoch,
            promised: theirs.promised,
            inSync: theirs.record.inSync,
            consistent: theirs.record.consistent,
            paused: theirs.paused,
            generation: theirs.record.current,
          },
    dirtyRegions: node.replica.markedRegions(peer.node),
    regions: volumes.reduce((sum, { regionCount }) => sum + regionCount, 0),
    queuedWrites: queue?.writes ?? 0,
    queuedBytes: queue?.writeBytes ?? 0,
    waitingMs: oldestMs === null ? 0 : Math.max(0, Math.round(nowMs - oldestMs)),
    congested: mirror?.stream.isCongested ?? false,
    percent: progress?.percent ?? null,
    speedBytesPerSecond: progress?.speedBytesPerSecond ?? null,
    etaSeconds: progress?.etaSeconds ?? null,
    corruptFrames: corruptFrames(peer),
    sessions: link.counters.sessions,
  };
}

function mirrorStatus(mirror: Mirror, peer: Peer): NonNullable<PeerStatus['status']> {
  if (mirror.state.refusal === 'split-brain' || peer.trouble === 'split-brain') return 'split-brain';
  switch (mirror.state.phase) {
    case 'in-sync':
      return 'fully-operational';
    case 'copying':
    case 'finishing':
    case 'starting':
      return 'resyncing';
    case 'paused':
      return 'paused';
    case 'absent':
    case 'refused':
      return peer.pauseReason === null ? 'out-of-sync' : 'paused';
    default:
      return mirror.state.phase satisfies never;
  }
}
