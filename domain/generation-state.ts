import { z } from 'zod';
import { Generation, NodeName } from './vocabulary.ts';

/**
 * What a replica remembers about the generations of its data, and how that changes: pure transitions.
 *
 * Design note. The record lies beside the replica's data (adapters/block's ReplicaMetadata has these fields
 * under these names, so every transition takes and returns the whole record). The engine makes a transition
 * durable *before* its effect, in this order:
 *
 * - Losing a target B (REQUIREMENTS 2.3): `losePeer` is durable before anything is acknowledged without B. In
 *   the same update, or before the next write, `firstWriteAlone`: no write is issued *or acknowledged* without
 *   B in a generation that B may share. Writes that were in flight when B was lost count, so with any of them
 *   pending both transitions go into one update.
 * - A new generation is stored by the source first. It reaches each connected target in the stream, before the
 *   first write of it; the target stores it (`followGeneration`) before it applies that write, then the source
 *   notes it (`generationConfirmed`). Until then `base` says how far the target is known to be. So a source that
 *   dies in between has not moved without that target (`moved` is false), and no false split brain follows (I4).
 * - End of a resync: the source counts the target as in sync first (`resyncSourceFinished`: from now on nothing
 *   is acknowledged without it), then the target adopts the source's generations (`resyncTargetFinished`). The
 *   other order could promote a target that lacks what the source acknowledged alone in between (I1).
 * - A takeover: `takeover` is durable before the device is served; the first write then calls for a generation.
 * - A switchover: the new source runs `receiveHandOver` after the intent logs are durable on it and before the
 *   old one says "handed over" (rule 6, steps 3 and 4); the generations of the old source do not change.
 *
 * History only grows (I8), newest first, up to `historyMax`.
 */
export const historyMax = 32;

/** `none`: this replica has no bitmap (every resync is full). `invalid`: it had one that cannot be trusted. */
export const IntentLogState = z.enum(['kept', 'none', 'invalid']);
export type IntentLogState = z.infer<typeof IntentLogState>;

export const ResyncKind = z.enum(['partial', 'full']);
export type ResyncKind = z.infer<typeof ResyncKind>;

/** What a replica knows about one other replica of its resource. */
export const PeerGenerations = z.object({
  /** Generation up to which that peer is known to have everything; the intent log for it counts from there. */
  base: Generation.nullable(),
  /** Durable before anything is acknowledged without that peer. */
  outOfSync: z.boolean(),
  /** A generation began since that peer was lost: this side may hold acknowledged writes that it lacks. */
  moved: z.boolean(),
  /** A generation has to begin before the next write, or acknowledgement, without that peer. */
  due: z.boolean(),
  intentLog: IntentLogState,
  /** The node whose intent log was merged into this one when it handed over; null: counted here only. */
  logFrom: NodeName.nullable(),
});
export type PeerGenerations = Readonly<z.infer<typeof PeerGenerations>>;

/** Durable on the target before the first block arrives out of write order, until the resync has completed. */
export const ResyncMark = z.object({
  source: NodeName,
  kind: ResyncKind,
  /** The source's base for this replica: what its intent log counts from. The resync goes on only from there. */
  base: Generation.nullable(),
  /** The source's current generation: what this replica becomes. Follows the source while it runs. */
  generation: Generation,
});
export type ResyncMark = Readonly<z.infer<typeof ResyncMark>>;

export const GenerationSet = z.object({
  /** null: brand-new, never had data. */
  current: Generation.nullable(),
  /** Former generations of this data, newest first. */
  history: z.array(Generation).max(historyMax),
  /** The generation that `force-online` began on bytes that no generation names (FAULTS 23). */
  forced: Generation.nullable(),
  peers: z.record(NodeName, PeerGenerations),
});
export interface GenerationSet {
  readonly current: Generation | null;
  readonly history: readonly Generation[];
  readonly forced: Generation | null;
  readonly peers: Readonly<Record<NodeName, PeerGenerations>>;
}

/** The part of a replica's metadata that decides with whom it can be resynced, and how. */
export interface ReplicaGenerations {
  /** false: acknowledged writes exist that this replica may lack. */
  readonly inSync: boolean;
  /** false: the bytes are no state that the application ever wrote (in the middle of a resync). */
  readonly consistent: boolean;
  readonly resyncing: ResyncMark | null;
  readonly generation: GenerationSet;
}

const unknownPeer: PeerGenerations = {
  base: null,
  outOfSync: false,
  moved: false,
  due: false,
  intentLog: 'none',
  logFrom: null,
};

export const peerOf = (replica: ReplicaGenerations, peer: NodeName): PeerGenerations =>
  replica.generation.peers[peer] ?? unknownPeer;

/** The first data of a brand-new replica (`create`). */
export function createGeneration<R extends ReplicaGenerations>(replica: R, generation: Generation): R {
  const { peers } = replica.generation;
  return {
    ...replica,
    inSync: true,
    consistent: true,
    resyncing: null,
    generation: { current: generation, history: [], forced: null, peers },
  };
}

/** The resource is extended to `peer`: it has nothing yet. */
export const addPeer = <R extends ReplicaGenerations>(
  replica: R,
  peer: NodeName,
  intentLog: IntentLogState,
): R => withPeer(replica, peer, { ...unknownPeer, outOfSync: true, moved: true, intentLog });

/** The resource is extended to `peer`, which has a copy made since the baseline, or to which this copy belongs. */
export const addPeerWithCopy = <R extends ReplicaGenerations>(
  replica: R,
  peer: NodeName,
  baseline: Generation,
): R =>
  withPeer(replica, peer, {
    ...unknownPeer,
    base: baseline,
    outOfSync: true,
    moved: replica.generation.current !== baseline,
    intentLog: 'kept',
  });

/** `peer` does not get every write any more; a generation must begin before anything is acknowledged without it. */
export function losePeer<R extends ReplicaGenerations>(replica: R, peer: NodeName): R {
  const known = peerOf(replica, peer);
  return known.outOfSync ? replica : withPeer(replica, peer, { ...known, outOfSync: true, due: true });
}

/** Must a generation begin before the next write is issued, or a pending one acknowledged? */
export const needsGeneration = (replica: ReplicaGenerations): boolean =>
  Object.values(replica.generation.peers).some(({ outOfSync, due }) => outOfSync && due);

/**
 * A generation begins (I8): the former one goes into history and becomes the base of every peer that has none,
 * connected ones included, until they confirm that they have the new one.
 */
export function firstWriteAlone<R extends ReplicaGenerations>(replica: R, generation: Generation): R {
  const { current, history } = replica.generation;
  if (current === generation) return replica;
  const rotated = withPeers(replica, (peer) => ({
    ...peer,
    base: peer.base ?? current,
    moved: peer.outOfSync,
    due: false,
  }));
  return {
    ...rotated,
    generation: {
      ...rotated.generation,
      current: generation,
      history: current === null ? history : remembered(current, history),
    },
  };
}

/** `peer` has stored this generation. */
export function generationConfirmed<R extends ReplicaGenerations>(
  replica: R,
  peer: NodeName,
  generation: Generation,
): R {
  const known = peerOf(replica, peer);
  if (replica.generation.current !== generation || known.outOfSync || known.base === null) return replica;
  return withPeer(replica, peer, { ...known, base: null });
}

/** A target hears of its source's new generation, and which peers are away in it, before the first write of it. */
export function followGeneration<R extends ReplicaGenerations>(
  replica: R,
  source: NodeName,
  generation: Generation,
  away: readonly NodeName[],
): R {
  if (replica.resyncing !== null) return { ...replica, resyncing: { ...replica.resyncing, generation } };
  const told = withPeers(replica, (peer, node) => ({ ...peer, outOfSync: away.includes(node) }));
  return generationConfirmed(firstWriteAlone(told, generation), source, generation);
}

/** The source asked, over any path, that this replica remember that it is behind (REQUIREMENTS 2.3). */
export const recordOutOfSync = <R extends ReplicaGenerations>(replica: R): R => ({
  ...replica,
  inSync: false,
});

/**
 * This replica becomes the source without `absent`; a consistent one only (else `forceTakeover`). What it knew about
 * others as a target may be old (one may have come in sync since), so this reign begins a generation of its own
 * before its first write without anyone.
 */
export function takeover<R extends ReplicaGenerations>(replica: R, absent: readonly NodeName[]): R {
  const alone = withPeers(replica, (peer, node) => ({
    ...peer,
    outOfSync: peer.outOfSync || absent.includes(node),
    due: true,
  }));
  return { ...alone, inSync: true };
}

/**
 * `force-online` of an inconsistent replica: whatever it holds is the data from now on. No generation names those
 * bytes, so a new one begins at once, and whoever has not adopted it has split from it: nobody is silently
 * overwritten (FAULTS 23).
 */
export function forceTakeover<R extends ReplicaGenerations>(
  replica: R,
  absent: readonly NodeName[],
  generation: Generation,
): R {
  const alone = { ...takeover(replica, absent), consistent: true, resyncing: null };
  const forced = firstWriteAlone(alone, generation);
  return { ...forced, generation: { ...forced.generation, forced: generation } };
}

/**
 * Source, before the target is told to start. For a full resync the whole intent log is marked first. The target
 * does not count until the end; if it did before, the next write begins a generation, as after a loss.
 */
export function resyncSourceStarted<R extends ReplicaGenerations>(replica: R, target: NodeName): R {
  const known = peerOf(replica, target);
  const base = known.base ?? replica.generation.current;
  return withPeer(replica, target, { ...known, base, outOfSync: true, due: known.due || !known.outOfSync });
}

/** Target, durable before the first block arrives. */
export const resyncTargetStarted = <R extends ReplicaGenerations>(replica: R, mark: ResyncMark): R => ({
  ...replica,
  inSync: false,
  consistent: false,
  resyncing: mark,
});

/** Source: all blocks are on the target's stable storage. Nothing is acknowledged without it any more. */
export const resyncSourceFinished = <R extends ReplicaGenerations>(replica: R, target: NodeName): R =>
  withPeer(replica, target, inSyncWith(peerOf(replica, target)));

/**
 * Target, after the source counts it as in sync: its generations become the source's (I8). What the source knows
 * about a third replica is taken over only with the source's intent log for it (`receivedLogs`: merged here, and
 * durable); without that a later resync with that replica is full.
 */
export function resyncTargetFinished<R extends ReplicaGenerations>(
  replica: R,
  source: { readonly node: NodeName; readonly inSync: boolean; readonly generation: GenerationSet },
  self: NodeName,
  receivedLogs: readonly NodeName[],
): R {
  const { current, history, forced, peers } = source.generation;
  const others = Object.entries(peers).filter(([node]) => node !== self && node !== source.node);
  const adopted = others.map(([node, theirs]) => {
    const known = adoptPeer(replica, source.node, node as NodeName, theirs, receivedLogs);
    return [node, known];
  });
  return {
    ...replica,
    inSync: source.inSync,
    consistent: true,
    resyncing: null,
    generation: {
      current,
      history,
      forced,
      peers: {
        ...replica.generation.peers,
        ...Object.fromEntries(adopted),
        [source.node]: inSyncWith(peerOf(replica, source.node)),
      },
    },
  };
}

/** The new source of a switchover takes over what the old one knows about the others (rule 6, step 3). */
export function receiveHandOver<R extends ReplicaGenerations>(
  replica: R,
  source: { readonly node: NodeName; readonly generation: GenerationSet },
  receivedLogs: readonly NodeName[],
): R {
  return receivedLogs.reduce((changed, node) => {
    const theirs = source.generation.peers[node];
    if (theirs === undefined) return changed;
    return withPeer(changed, node, adoptPeer(changed, source.node, node, theirs, receivedLogs));
  }, replica);
}

/** The operator swears that the copies are equal; also starts a baseline: changes count from here. */
export function markClean<R extends ReplicaGenerations>(replica: R, peer: NodeName): R {
  const known = peerOf(replica, peer);
  const base = known.base ?? replica.generation.current;
  return withPeer(replica, peer, { ...known, base, intentLog: 'kept', logFrom: null });
}

/** `extend --no-full-sync`: the copy that was shipped is the state at which the baseline began. */
export const adoptBaseline = <R extends ReplicaGenerations>(replica: R, baseline: Generation): R => ({
  ...createGeneration(replica, baseline),
  inSync: false,
});

/** The next resync with `peer` is full. */
export const markDirty = <R extends ReplicaGenerations>(replica: R, peer: NodeName): R =>
  withPeer(replica, peer, { ...peerOf(replica, peer), outOfSync: true, moved: true, intentLog: 'invalid' });

/**
 * The operator gives up a victim that stands at the generation `givenUp`. The victim leaves service and has
 * `recordOutOfSync` durable *first* (so that, were it ever forced to serve again, it would begin a generation that
 * nobody has given up); then this is applied on every replica that stands at the generation that is kept. From now
 * on the victim is behind, and its intent log and the keeper's together cover the difference.
 */
export function resolveSplitBrain<R extends ReplicaGenerations>(replica: R, givenUp: Generation): R {
  const { current, history } = replica.generation;
  const known = current === givenUp || history.includes(givenUp);
  return {
    ...replica,
    generation: {
      ...replica.generation,
      history: known ? history : remembered(givenUp, history),
      forced: null,
    },
  };
}

/**
 * An operator who has a replica overwritten gives up what it held at that moment (`ordered`). What it got from
 * elsewhere since, nobody has given up (rule 12): only this replica's own generations may have come in between.
 */
export function isStillGivenUp(
  { generation: { current, history } }: ReplicaGenerations,
  ordered: Generation | null,
  now: Generation | null,
): boolean {
  return now === ordered || now === current || (now !== null && history.includes(now));
}

function withPeer<R extends ReplicaGenerations>(replica: R, peer: NodeName, known: PeerGenerations): R {
  const peers = { ...replica.generation.peers, [peer]: known };
  return { ...replica, generation: { ...replica.generation, peers } };
}

function withPeers<R extends ReplicaGenerations>(
  replica: R,
  change: (peer: PeerGenerations, node: NodeName) => PeerGenerations,
): R {
  const changed = Object.entries(replica.generation.peers).map(([node, peer]) => [
    node,
    change(peer, node as NodeName),
  ]);
  return { ...replica, generation: { ...replica.generation, peers: Object.fromEntries(changed) } };
}

const inSyncWith = ({ intentLog }: PeerGenerations): PeerGenerations => ({
  base: null,
  outOfSync: false,
  moved: false,
  due: false,
  intentLog: intentLog === 'none' ? 'none' : 'kept',
  logFrom: null,
});

/** What the source knows about a third replica, in this replica's words: its own bitmap, the source's counting. */
function adoptPeer(
  replica: ReplicaGenerations,
  source: NodeName,
  node: NodeName,
  theirs: PeerGenerations,
  receivedLogs: readonly NodeName[],
): PeerGenerations {
  const own = peerOf(replica, node).intentLog;
  const away = theirs.outOfSync || theirs.base !== null;
  if (!away) return { ...theirs, intentLog: own, logFrom: null };
  const merged = receivedLogs.includes(node) && theirs.intentLog === 'kept';
  const intentLog = own === 'kept' && !merged ? 'invalid' : own;
  return { ...theirs, intentLog, logFrom: source };
}

const remembered = (generation: Generation, history: readonly Generation[]): readonly Generation[] =>
  [generation, ...history].slice(0, historyMax);
