import { describe, expect, it } from 'vitest';
import type { BusError } from '../../adapters/bus/bus.ts';
import { type HubMessage, type HubOptions, InProcessHub } from '../../adapters/bus/in-process-bus.ts';
import type { IssuedCommand, JournalRecord, View } from '../../adapters/bus/messages.ts';
import type { Clock } from '../../adapters/engine/clock.ts';
import { Collector } from './collector.ts';
import { actor, cluster, command, heads, node, record, viewKey } from './names.ts';

/** Virtual time: what is due runs in order of time, then of asking; what it sets off may settle in between. */
class ManualClock implements Clock {
  #now = 0;
  #asked = 0;
  #due: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];

  nowMs(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void) {
    this.#asked += 1;
    const entry = { at: this.#now + delayMs, order: this.#asked, run };
    this.#due.push(entry);
    return {
      cancel: () => {
        this.#due = this.#due.filter((other) => other !== entry);
      },
    };
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      for (let settling = 0; settling < 20; settling += 1) await Promise.resolve();
      const [next] = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.order - b.order);
      if (next === undefined) break;
      this.#due = this.#due.filter((other) => other !== next);
      this.#now = next.at;
      next.run();
    }
    this.#now = end;
  }
}

function world(options: Omit<HubOptions, 'clock'> = {}) {
  const clock = new ManualClock();
  const hub = new InProcessHub({ clock, ...options });
  const connect = (user: string) => hub.connect(cluster, actor(user));
  return { clock, hub, eve: connect('eve'), adam: connect('adam'), anna: connect('anna') };
}

const settled = (request: Promise<unknown>) => {
  const outcomes = new Collector<unknown>();
  request.then(outcomes.push, (error: BusError) => outcomes.push(error.code));
  return outcomes.all;
};

describe('the hub of the in-process bus', () => {
  it('delays, repeats, reorders and loses what its route says', async () => {
    const delays: Record<number, readonly number[]> = { 1: [30], 2: [10, 20], 3: [] };
    const { clock, eve, adam } = world({
      route: ({ payload }) => delays[sequenceOf(payload)] ?? [0],
    });
    const received = new Collector<JournalRecord>();
    adam.subscribeJournal(received.push);
    eve.publishEvents([record('eve', 1), record('eve', 2), record('eve', 3), record('eve', 4)]);
    await clock.advance(9);
    expect(received.all.map(({ sequence }) => sequence)).toEqual([4]);
    await clock.advance(100);
    expect(received.all.map(({ sequence }) => sequence)).toEqual([4, 2, 2, 1]);
  });

  it('a lost request and a lost reply look the same, a repeated request is handled twice', async () => {
    let lose: HubMessage['kind'] | undefined;
    const { clock, eve, anna } = world({
      route: ({ kind }) => (kind === lose ? [] : kind === 'request' ? [1, 2] : [1]),
    });
    const handled = new Collector<IssuedCommand>();
    eve.serveCommands([{ command: command('pause') }], async (issued) => {
      handled.push(issued);
      return { ok: true };
    });
    const send = (id: string) => settled(anna.request(command('pause'), { id }, 50));
    const twice = send('twice');
    await clock.advance(50);
    expect([twice, handled.all.length]).toEqual([[{ ok: true }], 2]);
    lose = 'request';
    const lostRequest = send('lost request');
    await clock.advance(50);
    expect([lostRequest, handled.all.length]).toEqual([['timeout'], 2]);
    lose = 'reply';
    const lostReply = send('lost reply');
    await clock.advance(50);
    expect([lostReply, handled.all.length]).toEqual([['timeout'], 4]);
  });

  it('a partition is a route that loses what crosses it', async () => {
    const left = new Set(['eve', 'anna']);
    const { clock, eve, adam, anna } = world({
      route: ({ from, to }) => (left.has(from) === left.has(to) ? [0] : []),
    });
    for (const bus of [eve, adam]) bus.answer(async () => ({ here: bus.user }));
    const question = { question: 'heard' };
    const within = settled(anna.ask(node('eve'), question, 100));
    const across = settled(anna.ask(node('adam'), question, 100));
    await clock.advance(100);
    expect([within, across]).toEqual([[{ here: 'eve' }], ['timeout']]);
  });

  it('who is cut off sends nothing, serves nothing, and gets the present views when he is back', async () => {
    const { clock, hub, eve, adam, anna } = world();
    const views = new Collector<View>();
    adam.watchViews('status.', (_, view) => views.push(view));
    adam.serveCommands([{ command: command('pause') }], async () => ({ ok: true }));
    hub.setConnected(actor('adam'), false);
    expect(adam.status()).toMatchObject({ connected: false, views: false });
    const refused = settled(adam.request(command('pause'), { id: 'c' }, 50));
    const unserved = settled(anna.request(command('pause'), { id: 'c' }, 50));
    adam.publishEvents([record('adam', 1)]);
    const put = adam.putView(viewKey('node.adam'), 'alive', heads({ adam: 1 }));
    expect(await put).toBe('unavailable');
    await eve.putView(viewKey('status.ext3'), 'up', heads({ eve: 1 }));
    const back = settled(adam.ready(1000));
    await clock.advance(10);
    expect([refused, unserved, views.all, back]).toEqual([['disconnected'], ['no-responders'], [], []]);
    expect(adam.status().droppedMessages).toBe(1);

    const nodes = new Collector<View>();
    anna.watchViews('node.', (_, view) => nodes.push(view));
    hub.setConnected(actor('adam'), true);
    const served = settled(anna.request(command('pause'), { id: 'c' }, 50));
    await clock.advance(10);
    expect([served, back]).toEqual([[{ ok: true }], [true]]);
    expect(views.all.map(({ value }) => value)).toEqual(['up']);
    expect(nodes.all.map(({ value }) => value)).toEqual(['alive']);
    expect(adam.status().reconnects).toBe(1);
  });

  it('views come back into an emptied store, each from who put it last', async () => {
    const { clock, hub, eve, adam, anna } = world();
    await eve.putView(viewKey('status.ext3'), 'older', heads({ eve: 1 }));
    await adam.putView(viewKey('status.ext3'), 'newer', heads({ eve: 2 }));
    hub.emptyStore();
    await clock.advance(10);
    const views = new Collector<View>();
    anna.watchViews('', (_, view) => views.push(view));
    await clock.advance(10);
    expect(views.all.map(({ value }) => value)).toEqual(['newer']);
  });

  it('lets the test choose who of several serves a command', async () => {
    const { clock, eve, adam, anna } = world({ choose: (_, servers) => servers.indexOf(actor('adam')) });
    for (const bus of [eve, adam]) {
      bus.serveCommands([{ command: command('pause') }], async () => ({ ok: true, decider: bus.user }));
    }
    const replies = [1, 2, 3].map((n) => settled(anna.request(command('pause'), { id: `c${n}` }, 50)));
    await clock.advance(10);
    expect(replies.flat()).toEqual(Array(3).fill({ ok: true, decider: 'adam' }));
  });

  it('two runs with the same route are the same run (I18)', async () => {
    const run = async () => {
      const trace: string[] = [];
      let turn = 0;
      const route = ({ kind, from, to, subject }: HubMessage) => {
        trace.push(`${kind} ${from} ${to} ${subject}`);
        turn += 7;
        return turn % 5 === 0 ? [] : [turn % 11, turn % 3];
      };
      const { clock, eve, adam, anna } = world({ route });
      for (const bus of [eve, adam]) {
        bus.subscribeJournal(({ node, sequence }) => trace.push(`${bus.user} got ${node} ${sequence}`));
        bus.serveCommands([{ command: command('pause') }], async ({ body }) => ({ ok: true, id: body.id }));
      }
      for (let beat = 1; beat <= 20; beat += 1) {
        eve.publishEvents([record('eve', beat)]);
        adam.publishEvents([record('adam', beat)]);
        settled(anna.request(command('pause'), { id: `c${beat}` }, 50));
        await clock.advance(4);
      }
      return trace;
    };
    expect(await run()).toEqual(await run());
  });
});

function sequenceOf(payload: string): number {
  return (JSON.parse(payload) as JournalRecord).sequence;
}
