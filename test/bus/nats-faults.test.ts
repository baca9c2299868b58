import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from 'nats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentBus, BusError } from '../../adapters/bus/bus.ts';
import type { IssuedCommand, JournalRecord, View } from '../../adapters/bus/messages.ts';
import { connectNatsBus } from '../../adapters/bus/nats-bus.ts';
import { bucketStreamName, journalSubject, streamName } from '../../adapters/bus/subjects.ts';
import { type NatsServer, startNatsServer } from '../../tools/nats-server.ts';
import { Collector } from './collector.ts';
import { actor, cluster, command, heads, node, viewKey } from './names.ts';
import { OwnLog } from './own-journal.ts';
import { statusWhere } from './status.ts';

const boundMs = 10_000;
let folder: string;
let server: NatsServer;
const open: AgentBus[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mk-bus-'));
  server = await startNatsServer({ folder, jetStream: true });
});

afterEach(async () => {
  for (const bus of open.splice(0)) await bus.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

async function restart(): Promise<void> {
  server = await startNatsServer({ folder, jetStream: true, port: server.port });
}

function agent(user: string, journal = new OwnLog(user)): AgentBus {
  const bus = connectNatsBus({ cluster, user: actor(user), servers: [server.url], journal });
  open.push(bus);
  return bus;
}

function person(user: string): AgentBus {
  const bus = connectNatsBus({ cluster, user: actor(user), servers: [server.url] });
  open.push(bus);
  return bus;
}

/** Everything that JetStream would keep is there. */
const complete = (bus: AgentBus) => statusWhere(bus, ({ views, journalStream }) => views && journalStream);
const failure = (request: Promise<unknown>): Promise<BusError> =>
  request.then(
    () => expect.unreachable('the request was answered'),
    (error: BusError) => error,
  );

async function withPlainClient<T>(use: (nats: NatsConnection) => Promise<T>): Promise<T> {
  const nats = await connect({ servers: server.url });
  return use(nats).finally(() => nats.close());
}

/** The sequences that the stream holds of a node's log, in the stream's order. */
const captured = (name: string) =>
  withPlainClient(async (nats) => {
    const jsm = await nats.jetstreamManager();
    const { state } = await jsm.streams.info(streamName(cluster));
    const sequences: number[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
      const message = await jsm.streams.getMessage(streamName(cluster), { seq });
      const record = message.json<JournalRecord>();
      if (message.subject === journalSubject(cluster, node(name))) sequences.push(record.sequence);
    }
    return sequences;
  });

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('NATS faults (FAULTS 22, 24, 25)', () => {
  it('a bus that was made before there is a server works once there is one', async () => {
    await server.stop();
    const eve = agent('eve');
    const anna = person('anna');
    const handled = new Collector<IssuedCommand>();
    eve.serveCommands([{ command: command('pause') }], async (issued) => {
      handled.push(issued);
      return { ok: true };
    });
    expect(await anna.ready(1)).toBe(false);
    expect(anna.status()).toMatchObject({ connected: false, server: null });
    const error = await failure(anna.request(command('pause'), { id: 'c1' }, boundMs));
    expect(error).toMatchObject({ code: 'disconnected', mayHaveHappened: false });
    await restart();
    expect(await eve.ready(boundMs)).toBe(true);
    expect(await anna.ready(boundMs)).toBe(true);
    expect(await anna.request(command('pause'), { id: 'c2' }, boundMs)).toEqual({ ok: true });
    expect(handled.all.map(({ body }) => body.id)).toEqual(['c2']);
  });

  it('after a killed server everything that was served, subscribed and watched goes on', async () => {
    const log = new OwnLog('eve');
    const eve = agent('eve', log);
    const adam = agent('adam');
    const events = new Collector<JournalRecord>();
    const views = new Collector<View>();
    const handled = new Collector<IssuedCommand>();
    adam.subscribeJournal(events.push);
    adam.watchViews('status.', (_, view) => views.push(view));
    eve.serveCommands([{ command: command('pause') }], async (issued) => {
      handled.push(issued);
      return { ok: true };
    });
    await complete(eve);
    await complete(adam);
    await eve.putView(viewKey('status.ext3'), 'before', heads({ eve: 1 }));
    await views.count(1);

    const wentAway = [eve, adam].map((bus) => statusWhere(bus, ({ connected }) => !connected));
    await server.stop();
    await Promise.all(wentAway);
    expect((await failure(adam.request(command('pause'), { id: 'c1' }, boundMs))).code).toBe('disconnected');
    expect(await eve.putView(viewKey('status.ext3'), 'meanwhile', heads({ eve: 2 }))).toBe('unavailable');
    eve.publishEvents(log.append(3));
    expect(eve.status().droppedMessages).toBe(3);

    await restart();
    await complete(eve);
    await complete(adam);
    expect(await adam.ready(boundMs)).toBe(true);
    expect(await adam.request(command('pause'), { id: 'c2' }, boundMs)).toEqual({ ok: true });
    expect(handled.all.map(({ body }) => body.id)).toEqual(['c2']);
    await views.count(2);
    expect(views.all.map(({ value }) => value)).toEqual(['before', 'meanwhile']);
    eve.publishEvents(log.append(1));
    await events.first(({ sequence }) => sequence === 4);
    expect(eve.status().reconnects).toBe(1);
    expect(await captured('eve')).toEqual([1, 2, 3, 4]);
  });

  it('a frozen server is noticed in seconds, holds a bounded backlog, and repeats no command', async () => {
    const eve = agent('eve');
    const adam = agent('adam');
    const handled = new Collector<IssuedCommand>();
    eve.serveCommands([{ command: command('pause') }], async (issued) => {
      handled.push(issued);
      return { ok: true };
    });
    await eve.ready(boundMs);
    await adam.ready(boundMs);

    const wentAway = [eve, adam].map((bus) => statusWhere(bus, ({ connected }) => !connected));
    process.kill(server.pid, 'SIGSTOP');
    const lateReply = failure(adam.request(command('pause'), { id: 'frozen' }, 100));
    for (const beat of upTo(200)) {
      adam.publishHeartbeat({ heads: {}, heard: {}, beat, ballast: 'x'.repeat(100_000) });
    }
    expect(adam.status().droppedMessages).toBeGreaterThan(100);
    expect((await failure(adam.request(command('pause'), { id: 'choked' }, 100))).code).toMatch(
      /overloaded|timeout/,
    );
    expect(await lateReply).toMatchObject({ code: 'timeout', mayHaveHappened: true });
    await Promise.all(wentAway);
    expect(adam.status().problem).not.toBeNull();

    const back = [eve, adam].map((bus) => statusWhere(bus, ({ connected }) => connected));
    process.kill(server.pid, 'SIGCONT');
    await Promise.all(back);
    await eve.ready(boundMs);
    await adam.ready(boundMs);
    expect(await adam.request(command('pause'), { id: 'thawed' }, boundMs)).toEqual({ ok: true });
    const ids = handled.all.map(({ body }) => body.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('thawed');
  });

  it('a server that comes back with an emptied store gets journal and views again, nobody an older view', async () => {
    const log = new OwnLog('eve');
    const eve = agent('eve', log);
    await complete(eve);
    eve.publishEvents(log.append(20));
    await eve.putView(viewKey('status.ext3'), 'old', heads({ eve: 19 }));
    await eve.putView(viewKey('status.ext3'), 'present', heads({ eve: 20 }));
    await eve.putView(viewKey('node.eve'), 'alive', heads({ eve: 20 }));
    const watched = new Collector<View>();
    person('anna').watchViews('status.', (_, view) => watched.push(view));
    await watched.count(1);

    const wentAway = statusWhere(eve, ({ connected }) => !connected);
    await server.stop();
    await wentAway;
    await rm(join(folder, 'store'), { recursive: true });
    await restart();
    await complete(eve);
    expect(await captured('eve')).toEqual(upTo(20));

    const late = new Collector<View>();
    const keys = new Collector<string>();
    person('late').watchViews('', (key, view) => {
      keys.push(key);
      late.push(view);
    });
    await late.count(2);
    expect([...keys.all].sort()).toEqual(['node.eve', 'status.ext3']);
    expect(late.all.map(({ value }) => value).sort()).toEqual(['alive', 'present']);
    await eve.putView(viewKey('status.ext3'), 'next', heads({ eve: 21 }));
    await watched.count(2);
    expect(watched.all.map(({ value }) => value)).toEqual(['present', 'next']);
  });

  it('a listener that breaks down is reported, and the bus goes on', async () => {
    const eve = agent('eve');
    const adam = agent('adam');
    const heard = new Collector<number>();
    adam.subscribeJournal(({ sequence }) => {
      if (sequence === 1) throw new Error('no room');
      heard.push(sequence);
    });
    await eve.ready(boundMs);
    await adam.ready(boundMs);
    eve.publishEvents(new OwnLog('eve').append(2));
    expect(await heard.first()).toBe(2);
    expect(adam.status().problem).toBe('a listener of mk.demo.journal.eve broke down: no room');
  });

  it('a view that JetStream refuses does no harm to the others', async () => {
    const eve = agent('eve');
    await complete(eve);
    const tooLong = await eve.putView(viewKey('status.long'), 'x'.repeat(1024 * 1024), heads({ eve: 1 }));
    expect(tooLong).toBe('unavailable');
    await statusWhere(eve, ({ problem }) => problem?.startsWith('a view was refused') === true);
    expect(eve.status().views).toBe(true);
    expect(await eve.putView(viewKey('status.ext3'), 'up', heads({ eve: 1 }))).toBe('put');
  });

  it('stream and bucket that somebody deletes are made and filled again', async () => {
    const log = new OwnLog('eve');
    const eve = agent('eve', log);
    await complete(eve);
    eve.publishEvents(log.append(5));
    await eve.putView(viewKey('status.ext3'), 'present', heads({ eve: 5 }));
    await eve.putView(viewKey('node.eve'), 'alive', heads({ eve: 5 }));
    const watched = new Collector<View>();
    person('anna').watchViews('status.', (_, view) => watched.push(view));
    await watched.count(1);
    await withPlainClient(async (nats) => {
      const jsm = await nats.jetstreamManager();
      await jsm.streams.delete(streamName(cluster));
      await jsm.streams.delete(bucketStreamName(cluster));
      const again = new Collector<number>();
      nats.subscribe(journalSubject(cluster, node('eve')), {
        callback: (_, message) => again.push(message.json<JournalRecord>().sequence),
      });
      await nats.flush();
      eve.publishEvents(log.append(1));
      await again.first((sequence) => sequence === 5);
    });
    await eve.putView(viewKey('status.ext3'), 'next', heads({ eve: 6 }));
    await watched.count(2);
    expect(watched.all.map(({ value }) => value)).toEqual(['present', 'next']);
    const late = new Collector<string>();
    person('late').watchViews('', late.push);
    await late.count(2);
    expect([...late.all].sort()).toEqual(['node.eve', 'status.ext3']);
  });
});

describe('the micro service', () => {
  it('is discovered by $SRV, with the schema of each command', async () => {
    const schema = '{"type":"object"}';
    for (const user of ['eve', 'adam']) {
      const bus = agent(user);
      bus.serveCommands(
        [{ command: command('pause'), schema }, { command: command('resume') }],
        async () => ({
          ok: true,
        }),
      );
      await bus.ready(boundMs);
    }
    await withPlainClient(async (nats) => {
      const client = nats.services.client();
      const pings = [];
      for await (const ping of await client.ping('mirrorkeeper')) pings.push(ping.metadata?.['node']);
      expect(pings.sort()).toEqual(['adam', 'eve']);
      for await (const { endpoints } of await client.info('mirrorkeeper')) {
        expect(endpoints).toMatchObject([
          {
            name: 'pause',
            subject: 'mk.demo.cmd.*.pause',
            metadata: { schema },
            queue_group: 'mirrorkeeper-agents',
          },
          { name: 'resume', subject: 'mk.demo.cmd.*.resume', queue_group: 'mirrorkeeper-agents' },
        ]);
      }
    });
  });

  it('serves a plain client: JSON in, JSON out, errors as the framework tells them', async () => {
    const eve = agent('eve');
    eve.serveCommands([{ command: command('pause') }], async ({ actor, body }) => ({
      ok: true,
      commandId: body.id,
      decider: 'eve',
      events: [],
      actor,
    }));
    await eve.ready(boundMs);
    await withPlainClient(async (nats) => {
      const reply = await nats.request('mk.demo.cmd.joe.pause', '{"id":"c1","tag":"ext3"}', {
        timeout: boundMs,
      });
      expect(reply.json()).toEqual({
        ok: true,
        commandId: 'c1',
        decider: 'eve',
        events: [],
        actor: { id: 'joe', via: 'bus', verified: false },
      });
      const bad = await nats.request('mk.demo.cmd.joe.pause', 'no json', { timeout: boundMs });
      expect(bad.headers?.get('Nats-Service-Error-Code')).toBe('400');
      expect(bad.json()).toMatchObject({ ok: false, error: { code: 'invalid' } });
    });
  });
});
