import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, usernamePasswordAuthenticator } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentBus } from '../../adapters/bus/bus.ts';
import type { View } from '../../adapters/bus/messages.ts';
import { connectNatsBus } from '../../adapters/bus/nats-bus.ts';
import { bucketStreamName, streamName } from '../../adapters/bus/subjects.ts';
import { natsConfigCommand } from '../../tools/nats-config.ts';
import { type NatsServer, startNatsServer } from '../../tools/nats-server.ts';
import { Collector } from './collector.ts';
import { actor, cluster, command, heads, viewKey } from './names.ts';
import { OwnLog } from './own-journal.ts';
import { statusWhere } from './status.ts';

const boundMs = 10_000;
/** `s3cret`, as `nats server passwd` would print it. */
const bcrypted = '$2a$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG';
const names = ['a', 'b', 'c'];

/** A port that was free a moment ago. */
const freePort = () =>
  new Promise<number>((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });

async function printed(name: string, routePort: number): Promise<string> {
  const texts: string[] = [];
  const servers = names.flatMap((server) => ['--server', `${server}=127.0.0.1`]);
  const users = ['--node', 'eve', '--node', 'adam', '--user', 'anna:operator'];
  await natsConfigCommand((text) => texts.push(text)).parseAsync(
    ['--cluster', cluster, '--this', name, ...servers, ...users, '--route-port', `${routePort}`],
    { from: 'user' },
  );
  return texts.join('').replace('cluster {', 'cluster {\n  host: "127.0.0.1"');
}

describe('a NATS cluster of three servers as nats-config prints it', () => {
  let folder: string;
  const servers: NatsServer[] = [];
  const agents: AgentBus[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mk-bus-'));
    const routePorts = await Promise.all(names.map(freePort));
    const environment = {
      MK_PASSWORD_EVE: 'plain',
      MK_PASSWORD_ADAM: 'text',
      MK_PASSWORD_ANNA: bcrypted,
      MK_ROUTE_PASSWORD: 'between',
      MK_ROUTES: JSON.stringify(routePorts.map((port) => `nats-route://route:between@127.0.0.1:${port}`)),
    };
    const start = async (name: string, index: number) =>
      startNatsServer({
        folder: join(folder, name),
        jetStream: true,
        environment,
        configuration: await printed(name, routePorts[index] ?? 0),
      });
    servers.push(...(await Promise.all(names.map(start))));
  });

  afterAll(async () => {
    await Promise.all(agents.map((bus) => bus.close()));
    await Promise.all(servers.map((server) => server.stop()));
    await rm(folder, { recursive: true });
  });

  it('keeps three copies, and goes on with two servers', async () => {
    const log = new OwnLog('eve');
    const to = { cluster, servers: servers.map(({ url }) => url) };
    const eve = connectNatsBus({
      ...to,
      user: actor('eve'),
      credentials: { user: actor('eve'), password: 'plain' },
      journal: log,
    });
    const adam = connectNatsBus({
      ...to,
      user: actor('adam'),
      credentials: { user: actor('adam'), password: 'text' },
      journal: new OwnLog('adam'),
    });
    const anna = connectNatsBus({
      ...to,
      user: actor('anna'),
      credentials: { user: actor('anna'), password: 's3cret' },
    });
    agents.push(eve, adam, anna);
    for (const bus of [eve, adam]) {
      bus.serveCommands([{ command: command('pause') }], async ({ actor: { verified } }) => ({
        ok: verified,
      }));
      await statusWhere(bus, ({ views, journalStream }) => views && journalStream);
    }
    await anna.ready(boundMs);
    expect(await anna.request(command('pause'), { id: 'c1' }, boundMs)).toEqual({ ok: true });
    expect(await eve.putView(viewKey('status.ext3'), 'all', heads({ eve: 1 }))).toBe('put');

    const [first, ...others] = servers;
    const asEve = usernamePasswordAuthenticator('eve', 'plain');
    const plain = await connect({
      servers: others[0]?.url ?? '',
      authenticator: asEve,
      inboxPrefix: '_INBOX_eve',
    });
    const jsm = await plain.jetstreamManager();
    for (const stream of [streamName(cluster), bucketStreamName(cluster)]) {
      expect((await jsm.streams.info(stream)).config.num_replicas).toBe(3);
    }
    await plain.close();

    await first?.stop();
    await statusWhere(eve, ({ server }) => server !== null && server !== first?.url.slice('nats://'.length));
    for (const bus of [eve, adam])
      await statusWhere(bus, ({ views, journalStream }) => views && journalStream);
    await anna.ready(boundMs);
    expect(await anna.request(command('pause'), { id: 'c2' }, boundMs)).toEqual({ ok: true });
    const views = new Collector<View>();
    anna.watchViews('status.', (_, view) => views.push(view));
    await eve.putView(viewKey('status.ext3'), 'two', heads({ eve: 2 }));
    await views.first(({ value }) => value === 'two');
  }, 90_000);
});
