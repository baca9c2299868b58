import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentBus, BusError } from '../../adapters/bus/bus.ts';
import type {
  CommandReply,
  Heartbeat,
  IssuedCommand,
  JournalRecord,
  View,
} from '../../adapters/bus/messages.ts';
import { Collector } from './collector.ts';
import { command, heads, node, record, viewKey } from './names.ts';

/** One bus to try: `connect` returns a bus that is ready. */
export interface BusUnderTest {
  connect(user: string): Promise<AgentBus>;
  readonly keepsViews: boolean;
  end(): Promise<void>;
}

const boundMs = 10_000;
const ready = async (...buses: AgentBus[]) => {
  for (const bus of buses) expect(await bus.ready(boundMs)).toBe(true);
};
const failure = (request: Promise<unknown>): Promise<BusError> =>
  request.then(
    () => expect.unreachable('the request was answered'),
    (error: BusError) => error,
  );

/** What every bus must do, whatever carries it. */
export function busContract(name: string, factory: () => Promise<BusUnderTest>): void {
  describe(`${name}: commands`, () => {
    const { eve, adam, anna } = buses(factory);

    it('reach exactly one of all agents, with the actor of the subject', async () => {
      const handled = new Collector<{ by: string; issued: IssuedCommand }>();
      const serve = (by: string) => async (issued: IssuedCommand) => {
        handled.push({ by, issued });
        return { ok: true, commandId: issued.body.id, decider: by };
      };
      eve().serveCommands([{ command: command('switchover') }], serve('eve'));
      adam().serveCommands([{ command: command('switchover') }], serve('adam'));
      await ready(eve(), adam());

      const ids = Array.from({ length: 40 }, (_, index) => `c${index}`);
      const replies = await Promise.all(
        ids.map((id) => anna().request(command('switchover'), { id, tag: 'ext3' }, boundMs)),
      );

      expect(replies.map((reply) => reply['commandId'])).toEqual(ids);
      expect(handled.all.map(({ issued }) => issued.body.id).sort()).toEqual([...ids].sort());
      expect(new Set(handled.all.map(({ by }) => by))).toEqual(new Set(['eve', 'adam']));
      expect(handled.all[0]?.issued).toMatchObject({
        command: 'switchover',
        actor: { id: 'anna', via: 'bus' },
        body: { tag: 'ext3' },
      });
    });

    it('that nobody serves fail at once and cannot have happened', async () => {
      const error = await failure(anna().request(command('pause'), { id: 'c' }, boundMs));
      expect(error).toMatchObject({ code: 'no-responders', mayHaveHappened: false });
    });

    it('whose handler breaks down, stays silent or is cut short may have happened', async () => {
      const silent = new Collector<IssuedCommand>();
      const forever = new Promise<CommandReply>(() => undefined);
      eve().serveCommands([{ command: command('pause') }, { command: command('resume') }], (issued) => {
        if (issued.command === 'pause') throw new Error('disk on fire');
        silent.push(issued);
        return forever;
      });
      await ready(eve());
      const broken = await failure(anna().request(command('pause'), { id: 'c1' }, boundMs));
      expect(broken).toMatchObject({ code: 'failed', mayHaveHappened: true, message: 'disk on fire' });
      const late = await failure(anna().request(command('resume'), { id: 'c2' }, 50));
      expect(late).toMatchObject({ code: 'timeout', mayHaveHappened: true });
      const cut = failure(anna().request(command('resume'), { id: 'c3' }, boundMs));
      await silent.count(2);
      await anna().close();
      expect(await cut).toMatchObject({ code: 'closed', mayHaveHappened: true });
    });

    it('without an id are invalid: counted, not handled', async () => {
      const handled = new Collector<IssuedCommand>();
      eve().serveCommands([{ command: command('pause') }], async (issued) => {
        handled.push(issued);
        return { ok: true };
      });
      await ready(eve());
      const error = await failure(anna().request(command('pause'), { id: '' }, boundMs));
      expect(error).toMatchObject({ code: 'invalid', mayHaveHappened: false });
      expect(handled.all).toEqual([]);
      expect(eve().status().malformedMessages).toBe(1);
    });

    it('beyond what an agent can have under way are refused as busy and not taken', async () => {
      const open = new Collector<IssuedCommand>();
      const released = new Collector<true>();
      eve().serveCommands([{ command: command('verify') }], async (issued) => {
        open.push(issued);
        await released.first();
        return { ok: true };
      });
      await ready(eve());
      const taken = Array.from({ length: 256 }, (_, index) =>
        anna().request(command('verify'), { id: `c${index}` }, boundMs),
      );
      await open.count(256);
      const error = await failure(anna().request(command('verify'), { id: 'one more' }, boundMs));
      expect(error).toMatchObject({ code: 'busy', mayHaveHappened: false });
      released.push(true);
      expect(await Promise.all(taken)).toHaveLength(256);
      expect(open.all).toHaveLength(256);
    });

    it('are forwarded to the agent of one node, with their actor', async () => {
      const forwarded = new Collector<{ issued: IssuedCommand; from: string }>();
      adam().serveForwarded(async (issued, from) => {
        forwarded.push({ issued, from });
        return { ok: true, decider: 'adam' };
      });
      eve().serveForwarded(async () => ({ ok: true, decider: 'eve' }));
      await ready(eve(), adam());
      const issued = {
        command: command('create'),
        actor: { id: 'anna', via: 'bus' as const, verified: true },
        body: { id: 'c1', tag: 'ext3' },
      };
      expect(await eve().forward(node('adam'), issued, boundMs)).toEqual({ ok: true, decider: 'adam' });
      expect(forwarded.all).toEqual([{ issued, from: 'eve' }]);
      const error = await failure(eve().forward(node('nobody'), issued, boundMs));
      expect(error.code).toBe('no-responders');
    });

    it('are not served any more once their service has ended', async () => {
      const service = eve().serveCommands([{ command: command('pause') }], async () => ({ ok: true }));
      await ready(eve());
      expect(await anna().request(command('pause'), { id: 'c' }, boundMs)).toEqual({ ok: true });
      service.end();
      await ready(eve());
      const error = await failure(anna().request(command('pause'), { id: 'c' }, boundMs));
      expect(error.code).toBe('no-responders');
    });
  });

  describe(`${name}: journal`, () => {
    const { eve, adam } = buses(factory);

    it('tells everybody else about own events, and drops what is not the sender’s', async () => {
      const atAdam = new Collector<JournalRecord>();
      const atEve = new Collector<JournalRecord>();
      adam().subscribeJournal(atAdam.push);
      eve().subscribeJournal(atEve.push);
      await ready(eve(), adam());
      eve().publishEvents([record('eve', 1, { data: { tag: 'ext3' } }), record('adam', 7), record('eve', 2)]);
      expect(await atAdam.count(2)).toEqual([record('eve', 1, { data: { tag: 'ext3' } }), record('eve', 2)]);
      expect(adam().status().malformedMessages).toBe(1);
      adam().publishEvents([record('adam', 1)]);
      expect(await atEve.count(1)).toEqual([record('adam', 1)]);
    });

    it('gives a long range in as many answers as it takes', async () => {
      const log = Array.from({ length: 30 }, (_, index) =>
        record('sophocles', index + 1, { data: 'x'.repeat(100_000) }),
      );
      eve().serveRanges(async ({ from, to }) => log.slice(from - 1, to));
      await ready(eve());
      const got: JournalRecord[] = [];
      let answers = 0;
      for (let from = 1; from <= 30; from = got.length + 1) {
        const range = { node: node('sophocles'), incarnation: 1, from, to: 30 };
        got.push(...(await adam().requestRange(node('eve'), range, boundMs)));
        answers += 1;
      }
      expect(got).toEqual(log);
      expect(answers).toBeGreaterThan(1);
      const none = { node: node('sophocles'), incarnation: 1, from: 31, to: 40 };
      expect(await adam().requestRange(node('eve'), none, boundMs)).toEqual([]);
    });

    it('does not accept other events than were asked for', async () => {
      eve().serveRanges(async () => [record('sophocles', 4)]);
      await ready(eve());
      const range = { node: node('sophocles'), incarnation: 1, from: 3, to: 5 };
      expect(await failure(adam().requestRange(node('eve'), range, boundMs))).toMatchObject({
        code: 'bad-reply',
      });
    });
  });

  describe(`${name}: between agents`, () => {
    const { eve, adam } = buses(factory);

    it('carries heartbeats to all others', async () => {
      const atAdam = new Collector<Heartbeat>();
      const atEve = new Collector<Heartbeat>();
      adam().subscribeHeartbeats(atAdam.push);
      eve().subscribeHeartbeats(atEve.push);
      await ready(eve(), adam());
      eve().publishHeartbeat({ heads: heads({ eve: 4 }), heard: { adam: 120 }, beat: 17 });
      expect(await atAdam.first()).toEqual({
        node: 'eve',
        heads: heads({ eve: 4 }),
        heard: { adam: 120 },
        beat: 17,
      });
      adam().publishHeartbeat({ heads: {}, heard: {} });
      expect(await atEve.count(1)).toEqual([{ node: 'adam', heads: {}, heard: {} }]);
    });

    it('carries questions and answers', async () => {
      eve().answer(async (question, from) => {
        if (question.question !== 'promise') throw new Error(`no answer to ${question.question}`);
        return { promised: question['epoch'], to: from };
      });
      await ready(eve());
      const promise = adam().ask(node('eve'), { question: 'promise', epoch: 5 }, boundMs);
      expect(await promise).toEqual({ promised: 5, to: 'adam' });
      const error = await failure(adam().ask(node('eve'), { question: 'weather' }, boundMs));
      expect(error).toMatchObject({ code: 'failed', message: 'no answer to weather' });
    });
  });

  describe(`${name}: views`, () => {
    const { eve, adam, anna, keepsViews } = buses(factory);

    it('shows a late watcher the present one first, then each change, and never an older one', async () => {
      const key = viewKey('status.ext3');
      if (!keepsViews()) {
        expect(await eve().putView(key, 'up', heads({ eve: 1 }))).toBe('unavailable');
        expect(eve().status().views).toBe(false);
        return;
      }
      expect(await eve().putView(key, 'first', heads({ eve: 1 }))).toBe('put');
      expect(await eve().putView(key, 'second', heads({ eve: 2, adam: 1 }))).toBe('put');
      expect(await eve().putView(viewKey('node.eve'), 'alive', heads({ eve: 1 }))).toBe('put');
      const seen = new Collector<readonly [string, View]>();
      anna().watchViews('status.', (name, view) => seen.push([name, view]));
      expect(await seen.first()).toEqual([key, { heads: heads({ eve: 2, adam: 1 }), value: 'second' }]);

      expect(await adam().putView(key, 'late', heads({ eve: 1, adam: 1 }))).toBe('older');
      expect(await adam().putView(key, 'second', heads({ eve: 2, adam: 1 }))).toBe('unchanged');
      expect(await adam().putView(key, 'third', heads({ eve: 2, adam: 2 }))).toBe('put');
      expect(await eve().putView(key, null, heads({ eve: 3, adam: 2 }))).toBe('put');
      await seen.count(3);
      expect(seen.all.map(([, view]) => view.value)).toEqual(['second', 'third', null]);
    });

    it('ends with the newest, whoever writes in whatever order', async () => {
      if (!keepsViews()) return;
      const key = viewKey('status.race');
      const seen = new Collector<View>();
      anna().watchViews('status.race', (_, view) => seen.push(view));
      const writers = [eve(), adam()];
      const order = Array.from({ length: 40 }, (_, index) => ((index * 17) % 40) + 1);
      await Promise.all(
        order.map((sequence, index) => writers[index % 2]?.putView(key, sequence, heads({ eve: sequence }))),
      );
      await seen.first((view) => view.value === 40);
      const values = seen.all.map((view) => Number(view.value));
      expect(values).toEqual([...values].sort((a, b) => a - b));
    });
  });
}

/** Three users of a fresh bus for each test: two agents and a person. */
function buses(factory: () => Promise<BusUnderTest>) {
  const connected = new Map<string, AgentBus>();
  let bus: BusUnderTest | undefined;
  beforeEach(async () => {
    bus = await factory();
    for (const user of ['eve', 'adam', 'anna']) connected.set(user, await bus.connect(user));
  });
  afterEach(async () => {
    for (const one of connected.values()) await one.close();
    connected.clear();
    await bus?.end();
  });
  const get = (user: string) => (): AgentBus => connected.get(user) ?? expect.unreachable(user);
  return {
    eve: get('eve'),
    adam: get('adam'),
    anna: get('anna'),
    keepsViews: () => bus?.keepsViews ?? false,
  };
}
