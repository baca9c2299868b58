import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { AgentLog } from '../agent/ports.ts';
import { isOwnHost, isOwnOrigin, securityHeaders } from './guard.ts';
import type { PageFile } from './page-files.ts';
import { HttpError, sendJson } from './requests.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

/** By method and path, e.g. `GET /metrics`. */
export type Routes = Readonly<Record<string, Handler>>;

export interface WebOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly routes: Routes;
  /** What monitoring asks for: it may call the node by any name. */
  readonly forMonitoring: readonly string[];
  readonly files: ReadonlyMap<string, PageFile>;
  readonly log: AgentLog;
}

const connectionsMax = 512;

export interface WebServer {
  /** HOST:PORT */
  readonly address: string;
  close(): void;
}

/** HTTP for people and monitoring. Resolves when it listens. Errors: of `listen`. */
export function listenForWeb(options: WebOptions): Promise<WebServer> {
  const ownNames = ['localhost', hostname().toLowerCase(), options.host.toLowerCase()];
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    answer(options, ownNames, request, response).catch((error: unknown) =>
      failed(options.log, response, error),
    );
  });
  server.maxConnections = connectionsMax;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      server.on('error', (error) => options.log.error({ error: String(error) }, 'the web server failed'));
      resolve({ address: addressOf(server, options.host), close: () => close(server) });
    });
  });
}

async function answer(
  { routes, forMonitoring, files }: WebOptions,
  ownNames: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://agent');
  const isForMonitoring = forMonitoring.includes(url.pathname);
  if (!isForMonitoring && !isOwnHost(request, ownNames))
    throw new HttpError(421, 'this server is not called that: use an address, or the name in --http');
  if (request.method !== 'GET' && request.method !== 'HEAD' && !isOwnOrigin(request))
    throw new HttpError(403, 'only the page of this very server may ask for that');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const file = method === 'GET' ? files.get(url.pathname) : undefined;
  if (file !== undefined) {
    sendFile(response, file);
    return;
  }
  const handler = routes[`${method} ${url.pathname}`];
  if (handler === undefined) throw new HttpError(404, 'there is nothing of that name here');
  await handler(request, response, url);
}

function sendFile(response: ServerResponse, { content, type, isForGood }: PageFile): void {
  response.writeHead(200, {
    'content-type': type,
    'cache-control': isForGood ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-length': content.length,
  });
  response.end(content);
}

function failed(log: AgentLog, response: ServerResponse, error: unknown): void {
  if (error instanceof HttpError && !response.headersSent) {
    sendJson(response, error.status, { error: error.message });
    return;
  }
  log.error({ error: String(error) }, 'a web request failed');
  if (response.headersSent) response.destroy();
  else sendJson(response, 500, { error: 'it failed; the log of the agent says why' });
}

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}
