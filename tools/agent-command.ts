import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import pino from 'pino';
import { z } from 'zod';
import { Agent } from '../adapters/agent/agent.ts';
import { EngineProcesses } from '../adapters/agent/engine-processes.ts';
import { serveLocalSocket } from '../adapters/agent/local-socket.ts';
import { parseCredentials } from '../adapters/bus/credentials.ts';
import { connectNatsBus } from '../adapters/bus/nats-bus.ts';
import { ActorName, ClusterName } from '../adapters/bus/subjects.ts';
import { monotonicClock } from '../adapters/engine/real-ports.ts';
import { LinuxFileSystems } from '../adapters/host/file-systems.ts';
import { LinuxHost } from '../adapters/host/host.ts';
import { linuxMachine } from '../adapters/host/machine.ts';
import { serveDashboard } from '../adapters/web/dashboard.ts';
import { Operators } from '../adapters/web/operators.ts';
import { NodeName } from '../domain/vocabulary.ts';
import { openLevelJournal } from '../journal/level-journal.ts';
import { openLevelViews } from '../journal/level-views.ts';
import { Exit, exitCodes, type Output } from './program.ts';

/** Where the build leaves the page: beside its server. */
const pageFolder = new URL('../adapters/web/page/', import.meta.url);

/** `1s`, `500ms`, or a number of seconds. Milliseconds. */
const Duration = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s)?$/, 'a time is a number of seconds, or has "ms" or "s" behind it')
  .transform((text) => (text.endsWith('ms') ? Number.parseFloat(text) : Number.parseFloat(text) * 1000));

/** HOST:FIRST-LAST */
const Replicate = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]+:\d{1,5}-\d{1,5}$/,
    '--replicate is HOST:FIRST-LAST, for example 10.0.0.1:7800-7899',
  )
  .transform((text) => {
    const [host = '', ports = ''] = text.split(':');
    const [first, last] = ports.split('-').map(Number);
    return { host, first: first ?? 0, last: last ?? 0 };
  })
  .refine(
    ({ first, last }) => first >= 1 && first <= last && last <= 65_535,
    '--replicate names ports from FIRST to LAST, FIRST first',
  );

/** HOST:PORT, or [ADDRESS]:PORT for one of IPv6. */
const HttpAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, '--http is HOST:PORT, for example 127.0.0.1:8080')
  .transform((text) => {
    const colon = text.lastIndexOf(':');
    return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
  })
  .refine(({ port }) => port <= 65_535, '--http: a port is at most 65535');

const Options = z.object({
  node: NodeName,
  data: z.string().min(1),
  nats: z.string().regex(/^nats:\/\/\S+$/, '--nats is nats://HOST:PORT, several with commas between them'),
  cluster: ClusterName,
  key: z.string().min(1),
  creds: z.string().optional(),
  replicate: Replicate,
  http: HttpAddress.optional(),
  operators: z.string().min(1).optional(),
  heartbeat: Duration.pipe(z.number().min(50).max(60_000)),
  lostAfter: z.coerce.number().int().min(2).max(1000),
});

/** `mirrorkeeper agent`: one node's agent, until it is told to end. */
export function agentCommand(output: Output): Command {
  return new Command('agent')
    .description('run the agent of this node')
    .requiredOption('--node <name>', 'name of this node in the cluster')
    .requiredOption('--data <dir>', 'where journal, views and sockets lie')
    .option('--nats <url>', 'the bus; several servers with commas between them', 'nats://127.0.0.1:4222')
    .requiredOption('--cluster <name>', 'name of the cluster')
    .requiredOption('--key <file>', "the cluster's link key (mirrorkeeper keygen)")
    .requiredOption(
      '--replicate <host:first-last>',
      'address and ports of the replication links, one port for each replica',
    )
    .option('--creds <file>', 'credentials for the bus')
    .option('--http <host:port>', 'serve dashboard, /metrics, /healthz and /readyz there')
    .option(
      '--operators <file>',
      'who may give commands from the dashboard: lines of NAME TOKEN; without it the dashboard is read-only',
    )
    .option('--heartbeat <time>', 'time between signs of life', '1s')
    .option('--lost-after <count>', 'heartbeats of silence after which a node is lost', '5')
    .addHelpText(
      'after',
      '\nExample:\n  mirrorkeeper agent --node eve --data /var/lib/mirrorkeeper --cluster prod --key /etc/mirrorkeeper/link.key --replicate 10.0.0.1:7800-7899',
    )
    .action(async (options: unknown) => {
      const parsed = Options.safeParse(options);
      if (!parsed.success)
        throw new Exit(exitCodes.usage, z.prettifyError(parsed.error).replaceAll('\n', ' '));
      await run(parsed.data, output);
    });
}

async function run(options: z.infer<typeof Options>, output: Output): Promise<void> {
  const { node, cluster, replicate } = options;
  const dir = resolve(options.data);
  const log = pino({ level: 'info', base: { node } }, pino.destination({ dest: 2, sync: true }));
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const operators =
    options.operators === undefined ? new Operators([]) : await Operators.read(options.operators);
  const engines = new EngineProcesses(dir);
  const journal = await openLevelJournal({ directory: join(dir, 'journal'), node, cluster });
  const views = await openLevelViews(join(dir, 'views'));
  const user = ActorName.parse(node);
  const bus = connectNatsBus({
    cluster,
    user,
    servers: options.nats.split(','),
    journal,
    ...(options.creds === undefined
      ? {}
      : { credentials: parseCredentials(await readFile(options.creds, 'utf8')) }),
  });
  const agent = new Agent(
    {
      cluster,
      node,
      dir,
      keyFile: resolve(options.key),
      replicate,
      heartbeatMs: options.heartbeat,
      lostAfter: options.lostAfter,
    },
    {
      journal,
      bus,
      views,
      engines,
      host: new LinuxHost(),
      fileSystems: new LinuxFileSystems(dir, linuxMachine),
      clock: monotonicClock,
      log,
      wallNow: Date.now,
    },
  );
  await agent.start();
  const socket = join(dir, 'agent.sock');
  const server = await serveLocalSocket(socket, (issued, timeoutMs) => agent.command(issued, timeoutMs));
  const dashboard =
    options.http === undefined
      ? null
      : await serveDashboard(
          { agent, journal, bus },
          { ...options.http, operators, pageFolder: fileURLToPath(pageFolder) },
        );
  const http = dashboard === null ? {} : { http: dashboard.address };
  await output.out(`ready ${JSON.stringify({ node, socket, ...http })}\n`);

  const signal = await new Promise<string>((ended) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => ended(name));
  });
  log.info({ signal }, 'the agent ends; its engines go on');
  dashboard?.close();
  server.close();
  await agent.close();
  await bus.close();
  await views.close();
  await journal.close();
  process.exit(0);
}
