import { describe, expect, it } from 'vitest';
import {
  addPeer,
  adoptBaseline,
  createGeneration,
  firstWriteAlone,
  followGeneration,
  forceTakeover,
  generationConfirmed,
  historyMax,
  isStillGivenUp,
  losePeer,
  markClean,
  markDirty,
  needsGeneration,
  peerOf,
  type ReplicaGenerations,
  receiveHandOver,
  resolveSplitBrain,
  resyncSourceFinished,
  resyncSourceStarted,
  resyncTargetFinished,
  resyncTargetStarted,
  takeover,
} from '../../domain/generation-state.ts';
import { compareGenerations, generationRecord } from '../../domain/generations.ts';
import { Generation, NodeName } from '../../domain/vocabulary.ts';

const g = (n: number): Generation => Generation.parse(n.toString(16).padStart(16, '0'));
const names = ['adam', 'boris', 'clara'].map((name) => NodeName.parse(name));
const [A, B, C] = names as [NodeName, NodeName, NodeName];

const blank = (self: NodeName): ReplicaGenerations =>
  names
    .filter((node) => node !== self)
    .reduce((replica, peer) => addPeer(replica, peer, 'kept'), {
      inSync: false,
      consistent: false,
      resyncing: null,
      generation: { current: null, history: [], forced: null, peers: {} },
    } as ReplicaGenerations);

/** All three hold generation 1 and count each other in. */
function inSync(self: NodeName): ReplicaGenerations {
  const peers = names.filter((node) => node !== self);
  return peers.reduce(resyncSourceFinished, createGeneration(blank(self), g(1)));
}

const verdict = (mine: ReplicaGenerations, theirs: ReplicaGenerations, marked = false) => {
  const situation = { serving: false, crashedSource: false, epoch: 1, marked };
  return compareGenerations(
    generationRecord(mine, B, { node: A, ...situation, serving: true }),
    generationRecord(theirs, A, { node: B, ...situation }),
  );
};

const finish = (source: ReplicaGenerations, node: NodeName) => ({
  node,
  inSync: source.inSync,
  generation: source.generation,
});

describe('a generation begins (I8)', () => {
  it('before the next write after a peer was lost, once', () => {
    const alone = losePeer(inSync(A), B);
    expect([needsGeneration(inSync(A)), needsGeneration(alone)]).toEqual([false, true]);
    const moved = firstWriteAlone(alone, g(2));
    expect(needsGeneration(moved)).toBe(false);
    expect(needsGeneration(losePeer(moved, B))).toBe(false);
    expect(needsGeneration(losePeer(moved, C))).toBe(true);
    expect(moved.generation).toMatchObject({ current: g(2), history: [g(1)] });
    expect(peerOf(moved, B)).toMatchObject({ base: g(1), outOfSync: true, moved: true });
  });

  it('a peer that is there has the former one until it confirms the new one', () => {
    const moved = firstWriteAlone(losePeer(inSync(A), B), g(2));
    expect(peerOf(moved, C)).toMatchObject({ base: g(1), outOfSync: false, moved: false });
    expect(peerOf(generationConfirmed(moved, C, g(2)), C).base).toBeNull();
    expect(generationConfirmed(moved, C, g(1))).toBe(moved);
    expect(generationConfirmed(moved, B, g(2))).toBe(moved);
  });

  it('a later loss keeps the base at which the intent log began to count', () => {
    const twice = firstWriteAlone(losePeer(firstWriteAlone(losePeer(inSync(A), B), g(2)), C), g(3));
    expect(peerOf(twice, B).base).toBe(g(1));
  });

  it('a target follows it, and takes from the source which peers are away', () => {
    const target = followGeneration(losePeer(inSync(C), A), A, g(2), [B]);
    expect(target.generation).toMatchObject({ current: g(2), history: [g(1)] });
    expect(peerOf(target, A)).toMatchObject({ base: null, outOfSync: false, moved: false });
    expect(peerOf(target, B)).toMatchObject({ base: g(1), outOfSync: true, moved: true });
  });

  it('a target in the middle of a resync only changes what it will become', () => {
    const mark = { source: A, kind: 'partial', base: g(1), generation: g(2) } as const;
    const target = followGeneration(resyncTargetStarted(inSync(B), mark), A, g(3), []);
    expect(target.resyncing).toEqual({ ...mark, generation: g(3) });
    expect(target.generation).toEqual(inSync(B).generation);
  });

  it('history only grows, newest first, up to its bound', () => {
    let replica = inSync(A);
    for (let n = 2; n < 60; n++) replica = firstWriteAlone(replica, g(n));
    const newest = Array.from({ length: historyMax }, (_, at) => g(58 - at));
    expect(replica.generation.history).toEqual(newest);
  });

  it('after a takeover, whoever is away: this reign knows only what it was told', () => {
    const known = firstWriteAlone(losePeer(inSync(B), C), g(2));
    expect(needsGeneration(known)).toBe(false);
    expect(needsGeneration(takeover(known, [A]))).toBe(true);
    expect(needsGeneration(takeover(inSync(B), []))).toBe(false);
  });
});

describe('a resync', () => {
  it('of a replica that counted makes the next write begin a generation', () => {
    expect(needsGeneration(resyncSourceStarted(inSync(A), B))).toBe(true);
    const lost = firstWriteAlone(losePeer(inSync(A), B), g(2));
    expect(needsGeneration(resyncSourceStarted(lost, B))).toBe(false);
  });

  it('at its end the target’s set is the source’s (I8)', () => {
    const source = firstWriteAlone(losePeer(losePeer(inSync(A), B), C), g(2));
    const mark = { source: A, kind: 'partial', base: g(1), generation: g(2) } as const;
    const target = resyncTargetStarted(inSync(B), mark);
    expect(target).toMatchObject({ inSync: false, consistent: false });
    const done = resyncTargetFinished(target, finish(resyncSourceFinished(source, B), A), B, [C]);
    expect(done).toMatchObject({ inSync: true, consistent: true, resyncing: null });
    expect(done.generation).toMatchObject({ current: g(2), history: [g(1)] });
    expect(peerOf(done, A)).toMatchObject({ base: null, outOfSync: false, moved: false });
    expect(peerOf(done, C)).toMatchObject({ base: g(1), moved: true, intentLog: 'kept', logFrom: A });
  });

  it('without the source’s intent log for a third replica, the next one with that is full', () => {
    const source = firstWriteAlone(losePeer(losePeer(inSync(A), B), C), g(2));
    const done = resyncTargetFinished(inSync(B), finish(source, A), B, []);
    expect(peerOf(done, C).intentLog).toBe('invalid');
    const none = resyncTargetFinished(addPeer(inSync(B), C, 'none'), finish(source, A), B, [C]);
    expect(peerOf(none, C).intentLog).toBe('none');
  });

  it('a third replica that the source counts in needs no log handed over', () => {
    const done = resyncTargetFinished(inSync(B), finish(losePeer(inSync(A), B), A), B, []);
    expect(peerOf(done, C)).toMatchObject({ intentLog: 'kept', base: null, logFrom: null });
  });
});

describe('a hand-over', () => {
  it('takes over what the old source counts for the others, where its intent log came with it', () => {
    const source = firstWriteAlone(losePeer(inSync(A), C), g(2));
    const target = followGeneration(inSync(B), A, g(2), [C]);
    const ready = receiveHandOver(target, { node: A, generation: source.generation }, [C]);
    expect(peerOf(ready, C)).toMatchObject({ base: g(1), intentLog: 'kept', logFrom: A });
    expect(receiveHandOver(target, { node: A, generation: source.generation }, [])).toEqual(target);
  });
});

describe('what an operator does', () => {
  it('mark clean starts a baseline: a shipped copy of that moment is resynced partially', () => {
    const baseline = markClean(addPeer(createGeneration(blank(A), g(1)), B, 'kept'), B);
    const written = firstWriteAlone(takeover(baseline, [B]), g(2));
    const shipped = adoptBaseline(addPeer(blank(B), A, 'kept'), g(1));
    expect(verdict(written, shipped)).toEqual({
      verdict: 'resync',
      source: 'mine',
      kind: 'partial',
      row: 'o',
    });
  });

  it('mark clean of a replica that is behind keeps the base: only what is written later differs', () => {
    const alone = firstWriteAlone(losePeer(inSync(A), B), g(2));
    expect(peerOf(markClean(alone, B), B)).toMatchObject({ base: g(1), intentLog: 'kept' });
  });

  it('mark dirty makes the next resync full', () => {
    expect(verdict(inSync(A), inSync(B))).toMatchObject({ verdict: 'in-sync' });
    expect(verdict(markDirty(inSync(A), B), inSync(B))).toEqual({
      verdict: 'resync',
      source: 'mine',
      kind: 'full',
      row: 'n',
    });
  });

  it('force-online of an inconsistent replica is a split brain, also with one that never wrote alone (FAULTS 23)', () => {
    const mark = { source: A, kind: 'partial', base: g(1), generation: g(1) } as const;
    const forced = forceTakeover(resyncTargetStarted(inSync(B), mark), [A], g(5));
    expect(forced).toMatchObject({ inSync: true, consistent: true, resyncing: null });
    expect(verdict(inSync(A), forced)).toEqual({ verdict: 'split-brain', since: 'forced', row: 'w' });
    expect(verdict(resolveSplitBrain(inSync(A), g(5)), forced)).toMatchObject({ source: 'mine' });
    expect(verdict(inSync(A), resolveSplitBrain(forced, g(1)))).toMatchObject({ source: 'theirs' });
  });

  it('resolving a split brain puts the victim behind: a partial resync of both intent logs', () => {
    const mine = firstWriteAlone(losePeer(inSync(A), B), g(2));
    const theirs = firstWriteAlone(takeover(inSync(B), [A]), g(3));
    expect(verdict(mine, theirs)).toEqual({ verdict: 'split-brain', since: 'common-parent', row: 'u' });
    const kept = resolveSplitBrain(mine, g(3));
    expect(verdict(kept, theirs)).toEqual({ verdict: 'resync', source: 'mine', kind: 'partial', row: 'q' });
    expect(resolveSplitBrain(kept, g(3))).toEqual(kept);
  });

  it('an order to overwrite speaks of what the other held then, not of what it got elsewhere since', () => {
    const mine = firstWriteAlone(losePeer(inSync(A), B), g(2));
    expect(isStillGivenUp(mine, null, null)).toBe(true);
    expect(isStillGivenUp(mine, g(5), g(5))).toBe(true);
    expect(isStillGivenUp(mine, null, g(1))).toBe(true);
    expect(isStillGivenUp(mine, null, g(2))).toBe(true);
    expect(isStillGivenUp(mine, null, g(5))).toBe(false);
    expect(isStillGivenUp(mine, g(1), g(5))).toBe(false);
  });
});
