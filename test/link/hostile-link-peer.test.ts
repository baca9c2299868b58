import { describe, expect, it } from 'vitest';
import { bulkMessageCost, headerBytes } from '../../adapters/link/frame-codec.ts';
import {
  dialer,
  establishedPair,
  forged,
  listener,
  message,
  Recorder,
  type Side,
  settle,
} from './session-pair.ts';

const inputs = 120_000;

/** A small seeded generator (mulberry32): the same inputs in every run. */
function dice(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => next() % limit;
  return {
    next,
    below,
    bytes: (count: number) => Buffer.from(Array.from({ length: count }, () => below(256))),
  };
}
type Dice = ReturnType<typeof dice>;

/** A whole valid handshake as each side said it, to be bent. */
function recordedHandshake() {
  const [left, right] = [dialer(), listener()];
  const said = { dialer: [] as Buffer[], listener: [] as Buffer[] };
  left.session.begin();
  while (left.outgoing.length + right.outgoing.length > 0) {
    for (const bytes of left.outgoing.splice(0)) {
      said.dialer.push(bytes);
      right.session.receive(bytes, 0);
    }
    for (const bytes of right.outgoing.splice(0)) {
      said.listener.push(bytes);
      left.session.receive(bytes, 0);
    }
  }
  return said;
}

const texts = [
  '',
  '{}',
  'null',
  '[]',
  `{"protocol":2,"nonce":"${'0'.repeat(64)}"}`,
  '{"nonce":"00"}',
  '{"fault":"wrong-key"}',
  '{"__proto__":{}}',
];

/** A frame bent in one or more ways, mostly with checksums that fit, as an attacker would make them. */
function bent(frame: Buffer, { below, next, bytes }: Dice): Buffer {
  const whole = frame.subarray(0, headerBytes + frame.readUInt32BE(8));
  switch (below(9)) {
    case 0:
      return bytes(1 + below(300));
    case 1: {
      const copy = Buffer.from(whole);
      copy.writeUInt8(below(256), below(copy.length));
      return copy;
    }
    case 2:
      return forged(whole, { type: below(256) });
    case 3:
      return forged(whole, { payloadBytes: next() });
    case 4:
      return forged(whole, {}, texts[below(texts.length)]);
    case 5:
      return forged(whole, {}, bytes(below(2500)).toString('latin1'));
    case 6:
      return forged(whole, { type: below(16), sequence: below(4), fold: below(2) * next() });
    case 7:
      return Buffer.concat([whole.subarray(0, below(whole.length)), bytes(below(80))]);
    default:
      return Buffer.concat([whole, whole]);
  }
}

function feed(side: Side, input: Buffer, { below }: Dice): void {
  const cut = below(input.length + 1);
  side.session.receive(input.subarray(0, cut), 0);
  side.session.receive(input.subarray(cut), 0);
}

describe('a hostile peer', () => {
  const said = recordedHandshake();

  it('gets nothing delivered and nothing kept before it has proved the key', () => {
    const random = dice(1);
    const ends = new Map<string, number>();
    for (let input = 0; input < inputs / 2; input++) {
      const isListener = input % 2 === 0;
      const side = isListener ? listener({ nonce: '5'.repeat(64) }) : dialer({ nonce: '5'.repeat(64) });
      side.session.begin();
      const script = isListener ? said.dialer : said.listener;
      const honest = random.below(3);
      for (const [index, frame] of script.slice(0, 3).entries()) {
        feed(side, index < honest ? frame : bent(frame, random), random);
      }
      const gotSomething =
        side.consumer.messages.length > 0 || side.session.established || side.sentBytes >= 2048;
      if (gotSomething) expect.fail(`input ${input} got something`);
      const end = side.fault ?? 'waits';
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
    expect([...ends.keys()].sort()).toEqual([
      'bad-checksum',
      'bad-frame',
      'bad-length',
      'bad-sequence',
      'not-authenticated',
      'waits',
      'wrong-key',
      'wrong-session',
      'wrong-version',
    ]);
  }, 60_000);

  it('that knows the key can end its session, and neither crash it nor make it grow', () => {
    const random = dice(2);
    const windowBytes = 1 << 17;
    const consumer = new Recorder(windowBytes, 1 << 14);
    consumer.releases = false;
    const ends = new Map<string, number>();
    let pair = establishedPair({}, { consumer });
    let frames = 0;
    for (let input = 0; input < inputs / 2; input++) {
      const { adam, eve } = pair;
      adam.session.outgoing.cork();
      const payload = random.bytes(random.below(64));
      adam.session.outgoing.send(message({ type: 16 + random.below(240), number: frames++, payload }));
      adam.session.outgoing.uncork();
      const [frame] = adam.outgoing.splice(0);
      if (frame !== undefined) feed(eve, random.below(4) === 0 ? bent(frame, random) : frame, random);
      const released = random.below(3) === 0 ? consumer.messages.splice(random.below(50)) : [];
      for (const each of released) each.release();
      const held = consumer.messages.reduce((sum, each) => sum + each.payload.length + bulkMessageCost, 0);
      if (held > windowBytes) expect.fail(`input ${input} made the receiver hold ${held} bytes`);
      eve.outgoing = eve.outgoing.filter((_, index) => index < 0);
      if (consumer.fault !== null) {
        ends.set(consumer.fault, (ends.get(consumer.fault) ?? 0) + 1);
        consumer.fault = null;
        pair = establishedPair({}, { consumer });
      }
    }
    expect([...ends.keys()]).toEqual(
      expect.arrayContaining(['bad-checksum', 'bad-frame', 'bad-length', 'bad-sequence', 'wrong-session']),
    );
  }, 60_000);

  it('that only pings gets one answer per ping that it reads, and no more than one that it does not', () => {
    const { adam, eve } = establishedPair();
    eve.socketBytes = 1;
    for (let ping = 0; ping < 10_000; ping++) {
      adam.session.outgoing.ping(ping);
      for (const bytes of adam.outgoing.splice(0)) eve.session.receive(bytes, 0);
    }
    expect(eve.outgoing.length).toBe(1);
    settle(adam, eve);
  });
});
