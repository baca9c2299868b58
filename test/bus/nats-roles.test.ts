import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection, type NatsError } from 'nats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentBus, BusError } from '../../adapters/bus/bus.ts';
import { authenticatorOf, type Credentials, parseCredentials } from '../../adapters/bus/credentials.ts';
import type { IssuedCommand, JournalRecord, View } from '../../adapters/bus/messages.ts';
import { connectNatsBus } from '../../adapters/bus/nats-bus.ts';
import { streamName } from '../../adapters/bus/subjects.ts';
import { natsConfigCommand } from '../../tools/nats-config.ts';
import { type NatsServer, startNatsServer } from '../../tools/nats-server.ts';
import { type BusUnderTest, busContract } from './bus-contract.ts';
import { Collector } from './collector.ts';
import { actor, cluster, command, heads, node, viewKey } from './names.ts';
import { OwnLog } from './own-journal.ts';
import { statusWhere } from './status.ts';

const boundMs = 10_000;
const nodes = ['eve', 'adam'];
const persons = ['anna:operator', 'ines:auditor', 'wall:dashboard'];

/** What `mirrorkeeper nats-config` prints for them, with a key for each in `folder`. */
async function printedConfiguration(folder: string, ...more: string[]): Promise<string> {
  const printed: string[] = [];
  await natsConfigCommand((text) => printed.push(text)).parseAsync(
    [
      ...['--cluster', cluster, '--keys', folder, ...more],
      ...nodes.flatMap((name) => ['--node', name]),
      ...persons.flatMap((person) => ['--user', person]),
    ],
    { from: 'user' },
  );
  return printed.join('');
}

const credentialsIn = async (folder: string, user: string): Promise<Credentials> =>
  parseCredentials(await readFile(join(folder, `${user}.creds`), 'utf8'));

interface GuardedServer {
  readonly server: NatsServer;
  bus(user: string, as?: string): Promise<AgentBus>;
  plain(user: string): Promise<NatsConnection>;
  end(): Promise<void>;
}

async function guardedServer(): Promise<GuardedServer> {
  const folder = await mkdtemp(join(tmpdir(), 'mk-bus-'));
  const configuration = await printedConfiguration(folder);
  const server = await startNatsServer({ folder, jetStream: true, configuration });
  return {
    server,
    bus: async (user, as = user) => {
      const bus = connectNatsBus({
        cluster,
        user: actor(as),
        servers: [server.url],
        credentials: await credentialsIn(folder, user),
        ...(nodes.includes(user) ? { journal: new OwnLog(user) } : {}),
      });
      expect(await bus.ready(boundMs)).toBe(true);
      return bus;
    },
    plain: async (user) =>
      connect({
        servers: server.url,
        authenticator: authenticatorOf(await credentialsIn(folder, user)),
        inboxPrefix: `_INBOX_${user}`,
      }),
    end: async () => {
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}

busContract('NATS with the users of the role table', async (): Promise<BusUnderTest> => {
  const guarded = await guardedServer();
  return {
    keepsViews: true,
    connect: async (user) => {
      const bus = await guarded.bus(user);
      await statusWhere(bus, ({ views }) => views);
      return bus;
    },
    end: () => guarded.end(),
  };
});

const failure = (request: Promise<unknown>): Promise<BusError> =>
  request.then(
    () => expect.unreachable('the request was answered'),
    (error: BusError) => error,
  );

describe('the role table on a real server', () => {
  let guarded: GuardedServer;
  const open: { close(): Promise<void> }[] = [];
  const opened = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
    const one = await opening;
    open.push(one);
    return one;
  };

  beforeEach(async () => {
    guarded = await guardedServer();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    await guarded.end();
  });

  it('an actor is verified, and nobody sends a command in another’s name', async () => {
    const eve = await opened(guarded.bus('eve'));
    const handled = new Collector<IssuedCommand>();
    eve.serveCommands([{ command: command('pause') }], async (issued) => {
      handled.push(issued);
      return { ok: true };
    });
    await eve.ready(boundMs);
    expect(eve.status().actorsVerified).toBe(true);
    const anna = await opened(guarded.bus('anna'));
    await anna.request(command('pause'), { id: 'c1' }, boundMs);
    expect(handled.all.map(({ actor }) => actor)).toEqual([{ id: 'anna', via: 'bus', verified: true }]);

    const plain = await opened(guarded.plain('anna'));
    const asked = plain.request('mk.demo.cmd.bob.pause', '{"id":"c2"}', { timeout: boundMs });
    expect(await asked.catch((error: NatsError) => error.code)).toBe('PERMISSIONS_VIOLATION');
    const asEve = plain.request('mk.demo.cmd.eve.pause', '{"id":"c3"}', { timeout: boundMs });
    expect(await asEve.catch((error: NatsError) => error.code)).toBe('PERMISSIONS_VIOLATION');
    expect(handled.all).toHaveLength(1);
  });

  it('a denied command fails at once and cannot have happened', async () => {
    const eve = await opened(guarded.bus('eve'));
    eve.serveCommands([{ command: command('pause') }, { command: command('status') }], async () => ({
      ok: true,
    }));
    await eve.ready(boundMs);
    const wall = await opened(guarded.bus('wall'));
    expect(await wall.request(command('status'), { id: 'c1' }, boundMs)).toEqual({ ok: true });
    const error = await failure(wall.request(command('pause'), { id: 'c2' }, boundMs));
    expect(error).toMatchObject({ code: 'denied', mayHaveHappened: false });
    await statusWhere(wall, ({ problem }) => problem === 'the bus denies publish of mk.demo.cmd.wall.pause');
  });

  it.each([
    ['adam', 'mk.demo.journal.eve'],
    ['adam', 'mk.demo.agent.eve.heartbeat'],
    ['adam', 'mk.demo.agent.eve.inbox.ask.eve'],
    ['adam', '$JS.API.STREAM.DELETE.mk-demo-journal'],
    ['adam', '$JS.API.STREAM.PURGE.mk-demo-journal'],
    ['anna', 'mk.demo.journal.anna'],
    ['anna', 'mk.demo.agent.eve.inbox.forward.anna'],
    ['anna', '$KV.mk-demo-views.status.ext3'],
    ['anna', '$JS.API.STREAM.CREATE.mk-demo-other'],
    ['anna', '_INBOX_eve.guessed'],
    ['ines', 'mk.demo.cmd.ines.pause'],
    ['wall', 'mk.demo.cmd.wall.pause'],
    ['wall', '$JS.API.STREAM.MSG.GET.mk-demo-journal'],
  ])('%s may not publish %s', async (user, subject) => {
    const plain = await opened(guarded.plain(user));
    const asked = plain.request(subject, '{}', { timeout: boundMs });
    expect(await asked.catch((error: NatsError) => error.code)).toBe('PERMISSIONS_VIOLATION');
  });

  it.each([
    ['anna', 'mk.demo.cmd.*.*'],
    ['anna', '_INBOX_eve.>'],
    ['anna', 'mk.demo.agent.>'],
    ['adam', 'mk.demo.agent.eve.inbox.*.*'],
    ['adam', '_INBOX_anna.>'],
    ['wall', 'mk.demo.journal.*'],
    ['wall', '>'],
  ])('%s may not hear %s', async (user, subject) => {
    const plain = await opened(guarded.plain(user));
    const heard = new Promise<string>((resolve) => {
      plain.subscribe(subject, { callback: (error) => resolve(error?.code ?? 'a message') });
    });
    expect(await heard).toBe('PERMISSIONS_VIOLATION');
  });

  it('a dashboard follows the views, and an auditor reads the stream with a plain client', async () => {
    const eve = await opened(guarded.bus('eve'));
    await statusWhere(eve, ({ views, journalStream }) => views && journalStream);
    await eve.putView(viewKey('status.ext3'), 'up', heads({ eve: 1 }));
    const views = new Collector<View>();
    const wall = await opened(guarded.bus('wall'));
    wall.watchViews('status.', (_, view) => views.push(view));
    expect((await views.first()).value).toBe('up');

    eve.publishEvents(new OwnLog('eve').append(3));
    const ines = await opened(guarded.plain('ines'));
    const consumer = await ines.jetstream().consumers.get(streamName(cluster));
    const sequences: number[] = [];
    for await (const message of await consumer.consume()) {
      sequences.push(message.json<JournalRecord>().sequence);
      if (sequences.length === 3) break;
    }
    expect(sequences).toEqual([1, 2, 3]);
  });

  it('what JetStream is made to send past the permissions is not taken for a request', async () => {
    const eve = await opened(guarded.bus('eve'));
    await statusWhere(eve, ({ journalStream }) => journalStream);
    const asked = new Collector<string>();
    eve.answer(async (_, from) => {
      asked.push(from);
      return {};
    });
    eve.serveCommands([{ command: command('pause') }], async () => ({ ok: true }));
    eve.publishEvents(new OwnLog('eve').append(1));
    await eve.ready(boundMs);

    const ines = await opened(guarded.plain('ines'));
    const jsm = await ines.jetstreamManager();
    const stream = streamName(cluster);
    for (const reply of ['mk.demo.cmd.anna.pause', 'mk.demo.agent.eve.inbox.ask.adam']) {
      ines.publish(`$JS.API.STREAM.MSG.GET.${stream}`, '{"seq":1}', { reply });
    }
    await jsm.streams.getMessage(stream, { seq: 1 });

    const adam = await opened(guarded.bus('adam'));
    expect(await adam.ask(node('eve'), { question: 'promise' }, boundMs)).toEqual({});
    expect(asked.all).toEqual(['adam']);
    expect(eve.status().malformedMessages).toBe(0);
  });
});
