import { z } from 'zod';
import { isOperatorCommand } from '../../domain/commands.ts';
import { Tag } from '../../domain/vocabulary.ts';
import type { Journal } from '../../journal/journal.ts';
import type { Agent } from '../agent/agent.ts';
import type { QueryName } from '../agent/queries.ts';
import type { Bus } from '../bus/bus.ts';
import { CommandBody } from '../bus/messages.ts';
import { CommandToken } from '../bus/subjects.ts';
import { branchesIn } from './branches.ts';
import { Feed } from './feed.ts';
import { LiveWatch } from './live-watch.ts';
import { Metrics } from './metrics.ts';
import type { Operators } from './operators.ts';
import { readPageFiles } from './page-files.ts';
import { Past } from './past.ts';
import { checked, HttpError, readJson, sendJson, sendText } from './requests.ts';
import { Streams } from './stream.ts';
import { type Handler, listenForWeb, type Routes, type WebServer } from './web-server.ts';

export interface DashboardOptions {
  readonly host: string;
  readonly port: number;
  /** Nobody where there is no file of them: the page is read-only then. */
  readonly operators: Operators;
  /** Where the build left the page. */
  readonly pageFolder: string;
}

export interface DashboardPorts {
  readonly agent: Agent;
  readonly journal: Journal;
  readonly bus: Bus;
}

const place = z.coerce.number().int().min(0);
const word = z.string().min(1).max(128);
const PictureQuery = z.union([z.strictObject({ place }), z.strictObject({ time: z.iso.datetime() })]);
const TimelineQuery = z.strictObject({
  before: place.optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  tag: Tag.optional(),
  type: word.optional(),
  actor: word.optional(),
  text: word.optional(),
});
const BranchesQuery = z.strictObject({ tag: Tag, place: place.optional() });
const CommandRequest = z.strictObject({
  command: CommandToken,
  body: CommandBody,
  timeoutMs: z.int().min(100).max(120_000).default(60_000),
});
/** Another node may be asked for its intent log: so long. */
const patienceMs = 2000;

/** The dashboard and what monitoring reads, served by this agent (REQUIREMENTS 5, Web). Resolves when it listens. */
export async function serveDashboard(
  { agent, journal, bus }: DashboardPorts,
  { host, port, operators, pageFolder }: DashboardOptions,
): Promise<WebServer> {
  const { options, clock, log, wallNow } = agent.context;
  const identity = { node: options.node, cluster: options.cluster };
  const feed = new Feed({ history: agent.history, clock, ...identity });
  const past = new Past(agent.history, agent.past, identity);
  const live = new LiveWatch(agent);
  const streams = new Streams({ feed, live, clock, wallNow });
  const metrics = new Metrics({ agent, journal, bus, openPages: () => streams.count });
  const stopWatching = agent.onChange((change) => {
    feed.changed(change);
    past.changedFrom(change.isRefolded ? 0 : agent.history.length - change.events.length);
    metrics.changed(change);
  });

  const asOperator =
    (handle: (actor: string, ...args: Parameters<Handler>) => void | Promise<void>): Handler =>
    (request, response, url) => {
      const name = operators.nameOf(request.headers.authorization);
      if (name === null) {
        response.setHeader('www-authenticate', 'Bearer');
        throw new HttpError(401, 'only an operator may do that, and this is not the token of one');
      }
      return handle(name, request, response, url);
    };

  /** What anybody may ask, checked and answered as on the bus. */
  const query =
    (name: QueryName): Handler =>
    async (_request, response, url) => {
      const body = { id: 'page', ...Object.fromEntries(url.searchParams) };
      const asked = { command: CommandToken.parse(name), actor: onlooker, body };
      sendJson(response, 200, await agent.command(asked, patienceMs));
    };

  const routes: Routes = {
    'GET /healthz': (_request, response) => sendText(response, 200, 'text/plain', 'ok\n'),
    'GET /readyz': (_request, response) => {
      const problems = problemsOf(journal, bus);
      sendJson(response, problems.length === 0 ? 200 : 503, { ready: problems.length === 0, problems });
    },
    'GET /metrics': async (_request, response) =>
      sendText(response, 200, metrics.contentType, await metrics.text()),
    'GET /events': (request, response, url) => {
      const header = request.headers['last-event-id'];
      streams.open(request, response, String(header ?? url.searchParams.get('position') ?? '') || undefined);
    },
    'GET /api/picture': async (_request, response, url) => {
      const query = checked(PictureQuery, Object.fromEntries(url.searchParams));
      const at = 'place' in query ? query.place : await past.placeAt(Date.parse(query.time));
      sendJson(response, 200, await past.pictureAt(at));
    },
    'GET /api/timeline': async (_request, response, url) =>
      sendJson(response, 200, await past.find(checked(TimelineQuery, Object.fromEntries(url.searchParams)))),
    'GET /api/branches': async (_request, response, url) => {
      const query = checked(BranchesQuery, Object.fromEntries(url.searchParams));
      const until = query.place ?? agent.history.length;
      const { state } = query.place === undefined ? agent.history : await past.standingAt(query.place);
      const branches = branchesIn(await agent.past.order(), state.resources[query.tag], until);
      if (branches === null) throw new HttpError(404, `${query.tag} is not split`);
      sendJson(response, 200, branches);
    },
    'GET /api/bitmap': query('bitmap-examine'),
    'GET /api/explain': query('explain'),
    'GET /api/explain-refusal': query('explain-refusal'),
    'GET /api/operator': asOperator((name, _request, response) => sendJson(response, 200, { name })),
    'POST /api/command': asOperator(async (name, request, response) => {
      const { command, body, timeoutMs } = await readJson(request, CommandRequest);
      if (!isOperatorCommand(command)) throw new HttpError(400, `there is no command ${command}`);
      const actor = { id: name, via: 'web', verified: true } as const;
      sendJson(response, 200, await agent.command({ command, actor, body }, timeoutMs));
    }),
  };

  const forMonitoring = ['/healthz', '/readyz', '/metrics'];
  const files = readPageFiles(pageFolder);
  if (files.size === 0) log.warn({ pageFolder }, 'the dashboard has no page: npm run build makes it');
  const server = await listenForWeb({ host, port, routes, forMonitoring, files, log });
  return {
    address: server.address,
    close: () => {
      stopWatching();
      streams.close();
      live.watched(false);
      feed.close();
      server.close();
    },
  };
}

const onlooker = { id: 'dashboard', via: 'web', verified: false } as const;

function problemsOf(journal: Journal, bus: Bus): string[] {
  const status = bus.status();
  return [
    ...journal.damage().map(({ message }) => `the journal is damaged: ${message}`),
    ...(status.connected ? [] : [`the bus is away: ${status.problem ?? 'not connected'}`]),
  ];
}
