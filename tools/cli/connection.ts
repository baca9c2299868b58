import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { type Credentials, parseCredentials } from '../../adapters/bus/credentials.ts';
import { ActorName, ClusterName } from '../../adapters/bus/subjects.ts';
import { Exit, exitCodes, shortened } from '../program.ts';
import type { Client } from './client.ts';
import { readLabContext } from './lab-context.ts';
import { connectNats } from './nats-client.ts';
import { parseSeconds } from './quantities.ts';
import { connectSocket } from './socket-client.ts';

/** How to reach the cluster, in every command alike (REQUIREMENTS 5, CLI). */
export interface ConnectionOptions {
  readonly json?: true;
  readonly socket?: string;
  readonly nats?: string;
  readonly cluster?: string;
  readonly creds?: string;
  /** Seconds. */
  readonly timeout?: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const defaultServer = 'nats://127.0.0.1:4222';
const connectMs = 3000;
/** A switchover drains; what takes longer is asked after by its id. */
const defaultTimeoutMs = 60_000;

export const withConnection = (command: Command): Command =>
  command
    .option('--json', 'the answer as JSON')
    .option('--socket <path>', "an agent's DIR/agent.sock (MIRRORKEEPER_SOCKET)")
    .option('--nats <url>', 'the bus, several servers with commas between them (MIRRORKEEPER_NATS)')
    .option('--cluster <name>', 'name of the cluster (MIRRORKEEPER_CLUSTER)')
    .option('--creds <file>', 'credentials for the bus')
    .option('--timeout <seconds>', 'how long to wait for the answer', parseSeconds);

export const timeoutMsOf = ({ timeout }: ConnectionOptions): number =>
  timeout === undefined ? defaultTimeoutMs : timeout * 1000;

/**
 * Options before environment before the lab of this folder before the default; a socket before the bus.
 * Errors: `Exit` with `usage` or `unreachable`.
 */
export async function connectClient(
  options: ConnectionOptions,
  environment: Environment = process.env,
): Promise<Client> {
  const user = userInfo().username;
  if (options.socket !== undefined) return connectSocket(options.socket, user);
  const socket = environment['MIRRORKEEPER_SOCKET'];
  if (options.nats === undefined && socket) return connectSocket(socket, user);
  const named = options.nats ?? environment['MIRRORKEEPER_NATS'];
  const lab = named ? null : await readLabContext();
  const cluster = options.cluster ?? environment['MIRRORKEEPER_CLUSTER'] ?? lab?.cluster;
  const credentials = options.creds === undefined ? undefined : await readCredentials(options.creds);
  return connectNats({
    servers: (named || lab?.nats || defaultServer).split(','),
    cluster: clusterName(cluster),
    user: credentials?.user ?? actorName(user),
    ...(credentials === undefined ? {} : { credentials }),
    connectMs: Math.min(connectMs, timeoutMsOf(options)),
  });
}

function clusterName(name: string | undefined): ClusterName {
  if (name === undefined)
    throw new Exit(
      exitCodes.usage,
      'no cluster is named: give --cluster NAME (or MIRRORKEEPER_CLUSTER), or --socket PATH, or stand in the folder of a lab',
    );
  const parsed = ClusterName.safeParse(name);
  if (!parsed.success) throw new Exit(exitCodes.usage, `"${shortened(name)}" is no name of a cluster`);
  return parsed.data;
}

/** The operating system's user name as a token of a subject; nobody vouches for it (REQUIREMENTS 5). */
function actorName(user: string): ActorName {
  const token = user.replaceAll(/[^A-Za-z0-9_-]/g, '-').replace(/^[_-]+/, '');
  return ActorName.parse(token === '' ? 'user' : token.slice(0, 63));
}

async function readCredentials(file: string): Promise<Credentials> {
  try {
    return parseCredentials(await readFile(file, 'utf8'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Exit(exitCodes.usage, `--creds ${shortened(file)}: ${shortened(why)}`);
  }
}
