import { describe, expect, it } from 'vitest';
import { backOffMs } from '../../adapters/link/back-off.ts';
import type { LinkEvents, LinkFault } from '../../adapters/link/link.ts';
import { LinkListener } from '../../adapters/link/link-listener.ts';
import { type LinkSettings, LinkSocket } from '../../adapters/link/link-socket.ts';
import type { Connection, ConnectionEvents, Endpoint } from '../../adapters/link/transport.ts';
import { adam, claim, eve, eveIdentity, key, listener, timings } from './session-pair.ts';

class FakeConnection implements Connection {
  isDestroyed = false;
  readonly sent: Buffer[] = [];

  get sentBytes(): number {
    return this.sent.reduce((sum, { length }) => sum + length, 0);
  }
  send(chunks: readonly Uint8Array[]): boolean {
    this.sent.push(Buffer.concat(chunks));
    return true;
  }
  pauseReceiving(): void {}
  resumeReceiving(): void {}
  destroy(): void {
    this.isDestroyed = true;
  }
}

interface Dialled {
  readonly to: Endpoint;
  readonly opened: (connection: Connection) => ConnectionEvents;
  readonly failed: (error: Error) => void;
}

/** A network and a clock that do what the test says, when it says it. */
function surroundings(node = adam) {
  const dialled: Dialled[] = [];
  const timers: { atMs: number; run: (() => void) | null }[] = [];
  let accept: (connection: Connection) => ConnectionEvents = () => expect.fail('nobody listens');
  let nowMs = 0;
  const settings: LinkSettings = {
    identity: { ...eveIdentity, node },
    key,
    timings,
    transport: {
      dial: (to, opened, failed) => dialled.push({ to, opened, failed }),
      listen: (_at, accepted) => {
        accept = accepted;
        return { close: () => {} };
      },
    },
    clock: {
      nowMs: () => nowMs,
      after: (delayMs, run) => {
        const timer: { atMs: number; run: (() => void) | null } = { atMs: nowMs + delayMs, run };
        timers.push(timer);
        return {
          cancel: () => {
            timer.run = null;
          },
        };
      },
    },
    random: (byteCount) => new Uint8Array(byteCount),
  };
  /** Goes to the next moment at which something is due. */
  const next = () => {
    const due = timers.filter(({ run }) => run !== null).sort((a, b) => a.atMs - b.atMs)[0];
    if (due === undefined) return null;
    nowMs = due.atMs;
    const { run } = due;
    due.run = null;
    run?.();
    return nowMs;
  };
  return {
    settings,
    dialled,
    next,
    now: () => nowMs,
    accept: (connection: Connection) => accept(connection),
  };
}

function events(): LinkEvents & { readonly faults: LinkFault[]; readonly refusals: LinkFault[] } {
  const faults: LinkFault[] = [];
  const refusals: LinkFault[] = [];
  return {
    faults,
    refusals,
    established() {},
    received() {},
    drained() {},
    ended: (fault) => faults.push(fault),
    refused: (fault) => refusals.push(fault),
  };
}

const failure = new Error('no way');

describe('attempts of the side that dials', () => {
  const endpoints = [
    { host: 'lan', port: 1 },
    { host: 'wan', port: 2 },
  ];

  it('take the endpoints in turn, at growing distances below the cap', () => {
    const { settings, dialled, next, now } = surroundings();
    const heard = events();
    const link = new LinkSocket(settings, eve, heard);
    link.dialTo(endpoints);
    link.open();
    const gapsMs: number[] = [];
    for (let attempt = 0; attempt < 12; attempt++) {
      const failedAtMs = now();
      dialled[attempt]?.failed(failure);
      next();
      gapsMs.push(now() - failedAtMs);
    }
    expect(dialled.length).toBe(13);
    const hosts = dialled.map(({ to }) => to.host);
    expect(hosts.every((host, index) => host !== hosts[index + 1])).toBe(true);
    expect(gapsMs).toEqual([...gapsMs].sort((a, b) => a - b));
    expect([gapsMs[0], gapsMs.at(-1)]).toEqual([25, 1000]);
    expect(heard.refusals).toEqual(Array(12).fill('connection-lost'));
  });

  it('are spread by chance over half of the distance', () => {
    expect([backOffMs(0, 0), backOffMs(0, 255)]).toEqual([25, 50 * (0.5 + 255 / 512)]);
    expect(backOffMs(1000, 255)).toBeLessThan(2000);
  });

  it('are given up when the network does not answer in time, and what it says later is void', () => {
    const { settings, dialled, next, now } = surroundings();
    const heard = events();
    const link = new LinkSocket(settings, eve, heard);
    link.dialTo(endpoints);
    link.open();
    next();
    expect([now(), heard.refusals]).toEqual([timings.timeoutMs, ['timed-out']]);
    const late = new FakeConnection();
    dialled[0]?.opened(late);
    dialled[0]?.failed(failure);
    expect([late.isDestroyed, late.sentBytes, heard.refusals.length]).toEqual([true, 0, 1]);
    next();
    expect(dialled.length).toBe(2);
  });

  it('end with the link: a connection that comes up after its close is not used', () => {
    const { settings, dialled, next } = surroundings();
    const heard = events();
    const link = new LinkSocket(settings, eve, heard);
    link.dialTo(endpoints);
    link.open();
    link.close();
    const late = new FakeConnection();
    dialled[0]?.opened(late);
    expect([late.isDestroyed, late.sentBytes]).toEqual([true, 0]);
    expect([next(), dialled.length, heard.refusals]).toEqual([null, 1, []]);
  });

  it('are not made without an endpoint, and begin when there is one', () => {
    const { settings, dialled } = surroundings();
    const link = new LinkSocket(settings, eve, events());
    link.open();
    expect(dialled).toEqual([]);
    link.dialTo(endpoints);
    expect(dialled.length).toBe(1);
    link.close();
  });

  it('begin again at once, in the middle of one, where the path is changed', () => {
    const { settings, dialled } = surroundings();
    const link = new LinkSocket(settings, eve, events());
    link.dialTo(endpoints);
    link.open();
    const first = new FakeConnection();
    dialled[0]?.opened(first);
    link.dialTo([{ host: 'new', port: 3 }]);
    expect([first.isDestroyed, dialled.map(({ to }) => to.host).at(-1), dialled.length]).toEqual([
      true,
      'new',
      2,
    ]);
    link.close();
  });
});

describe('a session that has lasted', () => {
  /** Lets a real listener's session answer the attempt under way. */
  function answer({ dialled, now }: ReturnType<typeof surroundings>, number: number) {
    const peer = listener({ nowMs: now() });
    const connection = new FakeConnection();
    const owner = dialled[number]?.opened(connection);
    for (let round = 0; round < 2; round++) {
      for (const bytes of connection.sent.splice(0)) peer.session.receive(bytes, now());
      for (const bytes of peer.outgoing.splice(0)) owner?.received(bytes);
    }
    return { owner, peer };
  }

  function gapAfter(lastsMs: number): number {
    const around = surroundings();
    const { settings, dialled, next, now } = around;
    const link = new LinkSocket(settings, eve, events());
    link.dialTo([{ host: 'eve', port: 7 }]);
    link.open();
    for (let attempt = 0; attempt < 8; attempt++) {
      dialled[attempt]?.failed(failure);
      next();
    }
    const { owner, peer } = answer(around, 8);
    expect(link.established).toBe(true);
    const establishedAtMs = now();
    while (now() < establishedAtMs + lastsMs) {
      next();
      peer.session.outgoing.ping(0);
      for (const bytes of peer.outgoing.splice(0)) owner?.received(bytes);
    }
    owner?.closed(null);
    const endedAtMs = now();
    while (dialled.length === 9) next();
    link.close();
    return now() - endedAtMs;
  }

  it('makes the next attempt come at once; one that is torn down again and again does not', () => {
    expect(gapAfter(timings.timeoutMs)).toBe(25);
    expect(gapAfter(0)).toBe(1000);
  });
});

describe('the side that listens', () => {
  it('admits of one instance only what is newer, of another anything', () => {
    const link = new LinkSocket(surroundings(eve).settings, adam, events());
    link.open();
    const answers = [5, 5, 4, 6].map((number) => link.admit({ ...claim, number }));
    expect(answers.map((answer) => typeof answer)).toEqual(['object', 'string', 'string', 'object']);
    expect(answers[1]).toBe('old-session');
    expect(link.admit({ ...claim, instance: 'f'.repeat(16), number: 1 })).toBeTypeOf('object');
  });

  it('admits nobody while it is closed', () => {
    const link = new LinkSocket(surroundings(eve).settings, adam, events());
    expect(link.admit(claim)).toBe('link-closed');
  });

  it('bears so many strangers and no more: the oldest goes', () => {
    const { settings, accept } = surroundings(eve);
    const refusals: LinkFault[] = [];
    const at = { host: 'eve', port: 7 };
    const listener = new LinkListener(settings, at, { ready() {}, refused: (fault) => refusals.push(fault) });
    const strangers = Array.from({ length: 70 }, () => new FakeConnection());
    for (const stranger of strangers) accept(stranger);
    expect(strangers.map(({ isDestroyed }) => isDestroyed)).toEqual(
      [...Array(70).keys()].map((index) => index < 6),
    );
    listener.close();
    expect(strangers.every(({ isDestroyed }) => isDestroyed)).toBe(true);
    expect(refusals).toEqual(Array(70).fill('dropped'));
  });

  it('lets strangers stay for the time of a handshake only', () => {
    const { settings, accept, next } = surroundings(eve);
    const refusals: LinkFault[] = [];
    const at = { host: 'eve', port: 7 };
    new LinkListener(settings, at, { ready() {}, refused: (fault) => refusals.push(fault) });
    accept(new FakeConnection());
    while (next() !== null);
    expect(refusals).toEqual(['timed-out']);
  });
});
