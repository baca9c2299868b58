import { describe, expect, it } from 'vitest';
import { frameTypes, headerBytes } from '../../adapters/link/frame-codec.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import {
  adam,
  claim,
  dialer,
  eve,
  eveIdentity,
  forged,
  listener,
  nonce,
  type Side,
  settle,
} from './session-pair.ts';

function meet(left: Side, right: Side): { left: Side; right: Side } {
  left.session.begin();
  settle(left, right);
  return { left, right };
}

describe('the handshake', () => {
  it('proves both sides to each other and gives both the same session', () => {
    const { left, right } = meet(dialer(), listener());
    expect(left.consumer.sessionId).toMatch(/^[0-9a-f]{32}$/);
    expect(right.consumer.sessionId).toBe(left.consumer.sessionId);
    expect([left.session.established, right.session.established]).toEqual([true, true]);
  });

  it('gives another session whenever one of the two nonces differs', () => {
    const ids = [
      meet(dialer(), listener()),
      meet(dialer({ nonce: nonce(3) }), listener()),
      meet(dialer(), listener({ nonce: nonce(3) })),
    ].map(({ left }) => left.consumer.sessionId);
    expect(new Set(ids).size).toBe(3);
  });

  it.each([
    ['wrong-cluster', { ...eveIdentity, cluster: 'hell' }],
    ['wrong-tag', { ...eveIdentity, tag: 'other' as Tag }],
    ['wrong-resource', { ...eveIdentity, resource: 'adam/1/8' }],
    ['wrong-node', { ...eveIdentity, node: 'sophocles' as NodeName }],
  ] as const)('ends as %s on both sides, once the key is proven', (fault, identity) => {
    const { left, right } = meet(dialer(), listener({ identity }));
    expect([left.fault, right.fault]).toEqual([fault, fault]);
    expect([left.consumer.sessionId, right.consumer.sessionId]).toEqual([null, null]);
    expect([left.isDisconnected, right.isDisconnected]).toEqual([true, true]);
  });

  it('tells a peer with the wrong key nothing but that, whatever else is wrong', () => {
    const wrongs = [
      eveIdentity,
      { ...eveIdentity, cluster: 'hell' },
      { ...eveIdentity, tag: 'other' as Tag },
      { ...eveIdentity, node: adam },
    ].map((identity) => meet(dialer({ key: Buffer.alloc(32, 8) }), listener({ identity })));
    expect(wrongs.map(({ left }) => left.fault)).toEqual(wrongs.map(() => 'wrong-key'));
    expect(wrongs.map(({ right }) => right.fault)).toEqual(wrongs.map(() => 'wrong-key'));
    expect(new Set(wrongs.map(({ right }) => right.sentBytes)).size).toBe(1);
  });

  it('does not ask its owner about a claim that is not proven', () => {
    const asked: string[] = [];
    const admit = ({ from }: { from: string }) => {
      asked.push(from);
      return null;
    };
    meet(dialer({ key: Buffer.alloc(32, 8) }), listener({ admit }));
    meet(dialer(), listener({ admit, identity: { ...eveIdentity, cluster: 'hell' } }));
    expect(asked).toEqual([]);
    meet(dialer(), listener({ admit }));
    expect(asked).toEqual([adam]);
  });

  it('passes on what its owner refuses', () => {
    const { left, right } = meet(dialer(), listener({ admit: () => 'old-session' }));
    expect([left.fault, right.fault]).toEqual(['old-session', 'old-session']);
  });

  it('ends as wrong-version where the other side speaks another protocol', () => {
    const left = dialer();
    const right = listener();
    left.session.begin();
    const [hello = Buffer.alloc(0)] = left.outgoing;
    left.outgoing = [
      forged(hello, {}, hello.toString('latin1', headerBytes).replace('"protocol":1', '"protocol":2')),
    ];
    settle(left, right);
    expect([left.fault, right.fault]).toEqual(['wrong-version', 'wrong-version']);
  });

  it('refuses a recorded handshake: the proof was for another nonce', () => {
    const left = dialer();
    const right = listener();
    const recorded: Buffer[] = [];
    left.session.begin();
    while (left.outgoing.length > 0) {
      recorded.push(...left.outgoing);
      for (const bytes of left.outgoing.splice(0)) right.session.receive(bytes, 0);
      for (const bytes of right.outgoing.splice(0)) left.session.receive(bytes, 0);
    }
    expect(right.session.established).toBe(true);

    const fresh = listener({ nonce: nonce(9) });
    for (const bytes of recorded) fresh.session.receive(bytes, 0);
    expect(fresh.fault).toBe('wrong-key');
    expect(fresh.consumer.messages).toEqual([]);
  });

  it('refuses to be answered by its own words: the roles are in the proof', () => {
    const left = dialer({ claim: { ...claim, from: eve, to: eve } });
    left.session.begin();
    const mirror = listener({ identity: { ...eveIdentity }, nonce: nonce(1) });
    for (const bytes of left.outgoing.splice(0)) mirror.session.receive(bytes, 0);
    for (const bytes of mirror.outgoing.splice(0)) left.session.receive(bytes, 0);
    const [proof = Buffer.alloc(0)] = left.outgoing.splice(0);
    left.session.receive(forged(proof, { type: frameTypes.welcome, sequence: 1 }), 0);
    expect(left.fault).toBe('wrong-key');
  });

  it('believes no listener before it has proved: a message in place of the welcome ends it', () => {
    const left = dialer();
    const right = listener();
    left.session.begin();
    for (const bytes of left.outgoing.splice(0)) right.session.receive(bytes, 0);
    for (const bytes of right.outgoing.splice(0)) left.session.receive(bytes, 0);
    const [proof = Buffer.alloc(0)] = left.outgoing.splice(0);
    left.session.receive(forged(proof, { type: 128 }, '{}'), 0);
    expect(left.fault).toBe('not-authenticated');
    expect(left.consumer.messages).toEqual([]);
  });
});
