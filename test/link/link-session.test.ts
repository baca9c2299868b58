import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bulkMessageCost, headerBytes } from '../../adapters/link/frame-codec.ts';
import { bulkPayloadBytesMax, type OutgoingMessage } from '../../adapters/link/link.ts';
import {
  carry,
  dialer,
  establishedPair,
  forged,
  listener,
  message,
  nonce,
  Recorder,
  settle,
  timings,
} from './session-pair.ts';

const anyMessage: fc.Arbitrary<OutgoingMessage> = fc.record({
  type: fc.integer({ min: 16, max: 255 }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  volume: fc.integer({ min: 0, max: 0xffff }),
  epoch: fc.maxSafeNat(),
  number: fc.maxSafeNat(),
  offset: fc.maxSafeNat(),
  byteCount: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.option(fc.uint8Array({ minLength: 1, maxLength: 3000 })),
});

/** A received message as its sender gave it. */
const asSent = ({ type, flags, volume, epoch, number, offset, byteCount }: OutgoingMessage) => ({
  type,
  flags,
  volume,
  epoch,
  number,
  offset,
  byteCount,
});

const latin1 = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString('latin1');

describe('an established session', () => {
  it('delivers every message once, in order, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1 }),
        (messages, cuts) => {
          const { adam, eve } = establishedPair();
          let next = 0;
          for (const each of messages) adam.session.outgoing.send(each);
          settle(adam, eve, 0, () => cuts[next++ % cuts.length] ?? 1);
          expect(eve.consumer.messages.map(asSent)).toEqual(messages.map(asSent));
          expect(eve.consumer.payloads).toEqual(messages.map(({ payload }) => latin1(payload)));
          expect(eve.session.messagesReceived).toBe(messages.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('never delivers anything else than what was sent, whichever bit flips on the way', () => {
    const payload = Buffer.from('the only good copy');
    const { adam, eve } = establishedPair();
    adam.session.outgoing.cork();
    adam.session.outgoing.send(message({ number: 1, payload }));
    adam.session.outgoing.send(message({ type: 200, number: 2, payload }));
    adam.session.outgoing.uncork();
    const bytes = Buffer.concat(adam.outgoing.splice(0));
    settle(adam, eve);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const fresh = establishedPair();
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      fresh.eve.session.receive(flipped, 0);
      const isInSecond = bit >= (bytes.length / 2) * 8;
      expect(fresh.eve.consumer.messages.map(({ number }) => number)).toEqual(isInSecond ? [1] : []);
      expect(fresh.eve.consumer.fault).toBe('bad-checksum');
      expect(fresh.eve.isDisconnected).toBe(true);
    }
  });

  it('ends at a gap and at a repetition', () => {
    const sent = ['a', 'b'].map((text, index) => message({ number: index, payload: Buffer.from(text) }));
    for (const order of [[1], [0, 0]]) {
      const { adam, eve } = establishedPair();
      for (const each of sent) adam.session.outgoing.send(each);
      const frames = adam.outgoing.splice(0);
      for (const index of order) eve.session.receive(frames[index] ?? Buffer.alloc(0), 0);
      expect(eve.consumer.fault).toBe('bad-sequence');
      expect(eve.consumer.payloads).toEqual(order.length === 1 ? [] : ['a']);
    }
  });

  it('refuses the frames of another session between the same two (FAULTS 27)', () => {
    const old = establishedPair({ nonce: nonce(5) });
    const { adam, eve } = establishedPair();
    old.adam.session.outgoing.send(message({ payload: Buffer.from('late') }));
    for (const bytes of old.adam.outgoing) eve.session.receive(bytes, 0);
    expect(eve.consumer.fault).toBe('wrong-session');
    expect(adam.consumer.messages).toEqual([]);
  });

  it('refuses its own frames sent back: each direction has its own fold', () => {
    const { adam } = establishedPair();
    adam.session.outgoing.send(message({ payload: Buffer.from('echo') }));
    const [frame = Buffer.alloc(0)] = adam.outgoing.splice(0);
    adam.session.receive(frame, 0);
    expect(adam.consumer.fault).toBe('wrong-session');
  });

  it('ends at a frame of the handshake and at a type that is nobody’s', () => {
    for (const type of [1, 4, 9, 15]) {
      const { adam, eve } = establishedPair();
      adam.session.outgoing.send(message());
      const [frame = Buffer.alloc(0)] = adam.outgoing.splice(0);
      eve.session.receive(forged(frame, { type }), 0);
      expect(eve.consumer.fault).toBe('bad-frame');
      expect(eve.consumer.messages).toEqual([]);
    }
  });

  it('looks at nothing after its end, and sends nothing', () => {
    const { adam, eve } = establishedPair();
    adam.session.outgoing.send(message({ payload: Buffer.from('too late') }));
    eve.session.end('dropped');
    settle(adam, eve);
    expect(eve.session.outgoing.send(message())).toBe(false);
    eve.session.tick(1e9);
    expect([eve.consumer.messages.length, eve.outgoing.length, eve.consumer.fault]).toEqual([
      0,
      0,
      'dropped',
    ]);
  });

  it('stops in the middle of a chunk where its consumer ends it', () => {
    const { adam, eve } = establishedPair();
    adam.session.outgoing.cork();
    for (const number of [1, 2, 3]) adam.session.outgoing.send(message({ number }));
    adam.session.outgoing.uncork();
    eve.consumer.onReceived = ({ number }) => {
      if (number === 2) eve.session.end('dropped');
    };
    settle(adam, eve);
    expect(eve.consumer.messages.map(({ number }) => number)).toEqual([1, 2]);
  });

  it('sends a checksum that it was given, and does not vouch for it', () => {
    const { adam, eve } = establishedPair();
    adam.session.outgoing.send(message({ payload: Buffer.from('x'), payloadChecksum: 1 }));
    settle(adam, eve);
    expect(eve.consumer.fault).toBe('bad-checksum');
  });

  it('puts what is corked into one piece', () => {
    const { adam, eve } = establishedPair();
    adam.session.outgoing.cork();
    for (let number = 0; number < 100; number++) adam.session.outgoing.send(message({ type: 200, number }));
    expect(adam.outgoing).toEqual([]);
    adam.session.outgoing.uncork();
    expect(adam.outgoing.map(({ length }) => length)).toEqual([100 * headerBytes]);
    settle(adam, eve);
    expect(eve.consumer.messages.length).toBe(100);
  });

  it('answers all messages of one chunk in one piece', () => {
    const { adam, eve } = establishedPair();
    eve.consumer.onReceived = ({ number }) => eve.session.outgoing.send(message({ type: 200, number }));
    adam.session.outgoing.cork();
    for (let number = 0; number < 32; number++) adam.session.outgoing.send(message({ number }));
    adam.session.outgoing.uncork();
    carry(adam, eve, 0, () => 1 << 20);
    expect(eve.outgoing.length).toBe(1);
    settle(adam, eve);
    expect(adam.consumer.messages.length).toBe(32);
  });
});

describe('pings', () => {
  it('keep a session alive in which nothing else is said', () => {
    const { adam, eve } = establishedPair();
    for (let nowMs = 0; nowMs <= 60_000; nowMs += timings.pingIntervalMs / 2) {
      adam.session.tick(nowMs);
      eve.session.tick(nowMs);
      settle(adam, eve, nowMs);
    }
    expect([adam.session.established, eve.session.established]).toEqual([true, true]);
    expect([adam.session.lastHeardMs, eve.session.lastHeardMs]).toEqual([60_000, 60_000]);
  });

  it('end a session as timed-out when the other side is silent for the timeout, not before', () => {
    const { adam } = establishedPair();
    for (let nowMs = 0; nowMs < timings.timeoutMs; nowMs += 500) adam.session.tick(nowMs);
    expect(adam.session.established).toBe(true);
    adam.session.tick(timings.timeoutMs);
    expect(adam.consumer.fault).toBe('timed-out');
  });

  it('are not needed to end a handshake that does not go on', () => {
    const [left, right] = [dialer(), listener()];
    left.session.begin();
    for (const nowMs of [1000, 2000, 3000, 4000]) {
      left.session.tick(nowMs);
      right.session.tick(nowMs);
    }
    expect([left.fault, right.fault]).toEqual([null, null]);
    left.session.tick(5000);
    right.session.tick(5000);
    expect([left.fault, right.fault]).toEqual(['timed-out', 'timed-out']);
  });

  it('do not hold a pause of this very process against the peer', () => {
    const { adam, eve } = establishedPair();
    adam.session.tick(500);
    adam.session.tick(600_000);
    expect(adam.session.established).toBe(true);
    expect(adam.session.lastHeardMs).toBeGreaterThan(600_000 - timings.timeoutMs);
    settle(adam, eve, 600_000);
    for (let nowMs = 600_500; nowMs <= 606_000; nowMs += 500) adam.session.tick(nowMs);
    expect(adam.consumer.fault).toBe('timed-out');
  });

  it('do not put what was heard into the future after a pause', () => {
    const { adam, eve } = establishedPair();
    adam.session.tick(500);
    eve.session.outgoing.ping(1);
    carry(eve, adam, 600_000, () => 1 << 20);
    for (let nowMs = 600_001; nowMs <= 600_001 + timings.timeoutMs; nowMs += 500) adam.session.tick(nowMs);
    expect(adam.consumer.fault).toBe('timed-out');
  });

  it('are answered while the consumer holds everything that the window allows', () => {
    const { adam, eve } = establishedPair({}, { consumer: new Recorder(1 << 16, 1 << 14) });
    eve.consumer.releases = false;
    const payload = Buffer.alloc(4096);
    for (let number = 0; number < 200; number++) adam.session.outgoing.send(message({ number, payload }));
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 500) {
      adam.session.tick(nowMs);
      eve.session.tick(nowMs);
      settle(adam, eve, nowMs);
    }
    expect(adam.session.lastHeardMs).toBe(60_000);
    expect(eve.consumer.messages.length).toBeLessThan(200);
  });

  it('do not pile up before a peer that does not read', () => {
    const { adam, eve } = establishedPair();
    adam.socketBytes = 1;
    adam.session.outgoing.send(message({ type: 200 }));
    const before = adam.outgoing.length;
    for (let ping = 0; ping < 1000; ping++) {
      eve.session.outgoing.ping(ping);
      carry(eve, adam, 0, () => 1 << 20);
    }
    adam.session.tick(1000);
    adam.session.tick(2000);
    expect(adam.outgoing.length).toBe(before);
    carry(adam, eve, 0, () => 1 << 20);
    expect(adam.outgoing.length).toBe(1);
  });
});

describe('the window', () => {
  const windowBytes = 1 << 18;
  const slabBytes = 1 << 15;
  const small = () => establishedPair({}, { consumer: new Recorder(windowBytes, slabBytes) });
  const payload = Buffer.alloc(4096, 5);

  it('holds bulk messages back, in order, and lets urgent ones pass', () => {
    const { adam, eve } = small();
    eve.consumer.releases = false;
    let accepted = 0;
    for (let number = 0; number < 1000; number++) {
      if (adam.session.outgoing.send(message({ number, payload }))) accepted++;
    }
    settle(adam, eve);
    expect(accepted).toBeLessThan(windowBytes / payload.length);
    expect(adam.session.outgoing.queuedBytes).toBeGreaterThan(0);
    adam.session.outgoing.send(message({ type: 200, number: 5000 }));
    settle(adam, eve);
    const held = eve.consumer.messages.splice(0);
    expect(held.at(-1)?.number).toBe(5000);
    expect(eve.consumer.pool.room).toBeLessThan(windowBytes / 4);

    eve.consumer.releases = true;
    for (const each of held) each.release();
    settle(adam, eve);
    const rest = eve.consumer.messages.map(({ number }) => number);
    expect([...held.slice(0, -1).map(({ number }) => number), ...rest]).toEqual([...Array(1000).keys()]);
    expect(adam.session.outgoing.queuedBytes).toBe(0);
    expect(adam.consumer.drains).toBe(1);
  });

  it('bounds what is held, whatever is released when', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.nat(20_000)), { minLength: 50, maxLength: 400 }),
        (steps) => {
          const { adam, eve } = small();
          eve.consumer.releases = false;
          const held = eve.consumer.messages;
          let number = 0;
          for (const [what, size] of steps) {
            if (what > 0) {
              adam.session.outgoing.send(message({ number: number++, payload: Buffer.alloc(size) }));
            } else {
              for (const each of held.splice(size % (held.length + 1), 1 + (size % 7))) each.release();
            }
            settle(adam, eve);
            const bytes = held.reduce((sum, each) => sum + each.payload.length + bulkMessageCost, 0);
            expect(bytes).toBeLessThanOrEqual(windowBytes);
          }
          const before = held.length;
          for (const each of held.splice(0)) each.release();
          eve.consumer.releases = true;
          settle(adam, eve);
          expect(adam.session.outgoing.queuedBytes).toBe(0);
          expect(eve.consumer.payloads.length).toBe(number);
          expect(before).toBeLessThanOrEqual(number);
          expect(eve.consumer.pool.room).toBe(windowBytes);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps a held payload as it was until it is released, over the end of its session', () => {
    const { adam, eve } = small();
    eve.consumer.releases = false;
    for (let number = 0; number < 40; number++) {
      adam.session.outgoing.send(message({ number, payload: Buffer.alloc(4096, number) }));
      settle(adam, eve);
    }
    eve.session.end('dropped');
    const next = establishedPair({ nonce: nonce(7) }, { consumer: eve.consumer });
    next.adam.session.outgoing.send(message({ number: 99, payload: Buffer.alloc(4096, 99) }));
    settle(next.adam, next.eve);
    for (const held of eve.consumer.messages) {
      expect(held.payload.every((byte) => byte === held.number)).toBe(true);
    }
    for (const held of eve.consumer.messages.splice(0)) held.release();
    settle(next.adam, next.eve);
    expect(next.eve.consumer.payloads.length).toBe(41);
  });

  it('pins no more memory when sessions come and go before a consumer that never releases', () => {
    const consumer = new Recorder(windowBytes, slabBytes);
    consumer.releases = false;
    for (let session = 0; session < 50; session++) {
      const { adam, eve } = establishedPair({ nonce: nonce(session) }, { consumer });
      for (let number = 0; number < 100; number++) adam.session.outgoing.send(message({ number, payload }));
      settle(adam, eve);
      eve.session.end('dropped');
    }
    const slabs = new Set(consumer.messages.map((held) => held.payload.buffer));
    expect(slabs.size * slabBytes).toBeLessThanOrEqual(2 * windowBytes);
  });

  it('ends a session whose sender ignores it', () => {
    const { adam, eve } = small();
    eve.consumer.releases = false;
    for (let number = 0; number < 1000; number++) adam.session.outgoing.send(message({ number, payload }));
    carry(adam, eve, 0, () => 1 << 20);
    const last = eve.consumer.messages.length;
    const sequence = 3 + last;
    adam.session.outgoing.ping(0);
    const [ping = Buffer.alloc(0)] = adam.outgoing.splice(0);
    for (let more = 0; eve.consumer.fault === null && more < 100; more++) {
      eve.session.receive(forged(ping, { type: 16, sequence: sequence + more }, 'x'.repeat(4096)), 0);
    }
    expect(eve.consumer.fault).toBe('window-exceeded');
  });

  it('has room for the largest message', () => {
    const { adam, eve } = establishedPair();
    const largest = Buffer.alloc(bulkPayloadBytesMax, 3);
    for (let number = 0; number < 40; number++) {
      expect(adam.session.outgoing.send(message({ number, payload: largest }))).toBe(true);
      settle(adam, eve, 0, () => 65_536);
    }
    expect(eve.consumer.payloads.every((each) => each.length === bulkPayloadBytesMax)).toBe(true);
  });

  it('waits for a full socket too, and says when there is room again', () => {
    const { adam, eve } = establishedPair();
    adam.socketBytes = 10_000;
    const answers = [1, 2, 3, 4].map((number) => adam.session.outgoing.send(message({ number, payload })));
    expect(answers).toEqual([true, true, false, false]);
    expect(adam.session.outgoing.queuedBytes).toBe(payload.length + bulkMessageCost);
    settle(adam, eve);
    expect([adam.consumer.drains, eve.consumer.messages.length]).toEqual([1, 4]);
  });
});
