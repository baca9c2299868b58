import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { createCredentials, parseCredentials, publicKeyOf } from '../adapters/bus/credentials.ts';
import { permissionsOf, type Role, roles } from '../adapters/bus/roles.ts';
import { ActorName, ClusterName } from '../adapters/bus/subjects.ts';

/**
 * `mirrorkeeper nats-config`: a nats-server configuration from the one role table. It holds no secret: a user proves
 * himself with a key of which the server knows the public half, or with a password that the server takes from its
 * environment (plain, or bcrypt as `nats server passwd` makes it).
 */

export interface NatsUser {
  readonly name: ActorName;
  readonly role: Role;
  /** Public user key (U…); null: a password from the environment. */
  readonly key: string | null;
}

export interface NatsServerHost {
  readonly name: string;
  readonly host: string;
}

export interface NatsConfiguration {
  readonly cluster: ClusterName;
  /** All servers of the NATS cluster: one, three or five. */
  readonly servers: readonly NatsServerHost[];
  /** The one that this configuration is for. */
  readonly server: NatsServerHost;
  readonly users: readonly NatsUser[];
  readonly store: string;
  readonly port: number;
  readonly routePort: number;
}

const quoted = JSON.stringify;
const list = (subjects: readonly string[], indent: string) =>
  `[\n${[...new Set(subjects)].map((subject) => `${indent}  ${quoted(subject)}\n`).join('')}${indent}]`;

/** MK_PASSWORD_EVE_2 for eve-2: the server refuses to start while it is not set. */
export const passwordVariable = (user: string): string =>
  `MK_PASSWORD_${user.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;

/** The text for one server. Errors: a sentence for whoever called it. */
export function natsConfiguration(config: NatsConfiguration): string {
  checkServers(config.servers);
  checkUsers(config.users);
  const parts = [
    `# nats-server of the mirrorkeeper cluster ${config.cluster}, for the host of ${config.server.name}`,
    ...environmentNotes(config),
    `server_name: ${quoted(config.server.name)}`,
    `port: ${config.port}`,
    `jetstream {\n  store_dir: ${quoted(config.store)}\n}`,
    ...(config.servers.length > 1 ? [clusterBlock(config)] : []),
    `authorization {\n  users: [\n${config.users.map((user) => userEntry(config.cluster, user)).join('')}  ]\n}`,
  ];
  return `${parts.join('\n')}\n`;
}

function checkServers(servers: readonly NatsServerHost[]): void {
  const count = servers.length;
  if (new Set(servers.map(({ name }) => name)).size < count) throw new Error('two servers have one name');
  if (count % 2 === 0) {
    throw new Error(
      `${count} servers are worse than ${count - 1}: JetStream stops when half of them stop; give 1, 3 or 5`,
    );
  }
}

function checkUsers(users: readonly NatsUser[]): void {
  const names = new Set<string>();
  const proofs = new Set<string>();
  for (const { name, key } of users) {
    const proof = key ?? passwordVariable(name);
    if (names.has(name)) throw new Error(`${name} is there twice: nodes and persons share one set of names`);
    if (proofs.has(proof)) throw new Error(`${name} has the key or the password variable of another user`);
    names.add(name);
    proofs.add(proof);
  }
}

function environmentNotes({ servers, users, routePort }: NatsConfiguration): string[] {
  const passwords = users.filter(({ key }) => key === null).map(({ name }) => `${passwordVariable(name)}=…`);
  const urls = servers.map(({ host }) => `"nats-route://route:PASSWORD@${host}:${routePort}"`);
  const ofRoutes = ['MK_ROUTE_PASSWORD=PASSWORD', `MK_ROUTES='[${urls.join(', ')}]'`];
  const all = [...passwords, ...(servers.length > 1 ? ofRoutes : [])];
  if (all.length === 0) return [];
  return [
    '# In the environment of nats-server, the same on every host:',
    ...all.map((line) => `#   ${line}`),
  ];
}

/** Routes are given whole, because their URLs hold the password; a server leaves out the route to itself. */
const clusterBlock = ({ cluster, routePort }: NatsConfiguration): string => `cluster {
  name: ${quoted(`mk-${cluster}`)}
  port: ${routePort}
  authorization { user: "route", password: $MK_ROUTE_PASSWORD }
  routes: $MK_ROUTES
}`;

function userEntry(cluster: ClusterName, { name, role, key }: NatsUser): string {
  const { publish, subscribe, answers } = permissionsOf(role, cluster, name);
  const proof =
    key === null ? `user: ${quoted(name)}, password: $${passwordVariable(name)}` : `nkey: ${quoted(key)}`;
  const lines = [
    `publish: ${list(publish, '          ')}`,
    `subscribe: ${list(subscribe, '          ')}`,
    ...(answers ? ['allow_responses: { max: 1, expires: "1h" }'] : []),
  ];
  return `    { # ${name}: ${role}\n      ${proof}\n      permissions {\n        ${lines.join('\n        ')}\n      }\n    }\n`;
}

interface Options {
  readonly cluster: ClusterName;
  readonly server?: readonly NatsServerHost[];
  readonly this?: string;
  readonly node?: readonly NatsUser[];
  readonly user?: readonly NatsUser[];
  readonly keys?: string;
  readonly store: string;
  readonly port: number;
  readonly routePort: number;
}

const example = `
Example, a cluster of three servers with a key for each user:
  mirrorkeeper nats-config --cluster prod --keys ./keys \\
    --server a=10.0.0.1 --server b=10.0.0.2 --server c=10.0.0.3 --this a \\
    --node eve --node adam --node sophocles --user anna:operator --user wall:dashboard > nats-server.conf
Each user gets his own file of ./keys (eve.creds, …) and no other; agents and the CLI take it with --creds.`;

export function natsConfigCommand(print: (text: string) => void = console.log): Command {
  return new Command('nats-config')
    .description('print a nats-server configuration: one user per node and person, with just its subjects')
    .requiredOption('--cluster <name>', 'the mirrorkeeper cluster', parsed(ClusterName))
    .option('--server <name=host>', 'a server of the NATS cluster (repeat: 1, 3 or 5)', collect(parseServer))
    .option('--this <name>', 'the server to print for; default the first')
    .option('--node <name[=key]>', 'a node, with its public key (repeat)', collect(parseNode))
    .option(
      '--user <name:role[=key]>',
      `a person: ${roles.slice(1).join(', ')} (repeat)`,
      collect(parsePerson),
    )
    .option('--keys <folder>', 'use the keys of this folder; make those that are missing')
    .option('--store <folder>', 'where JetStream keeps its data', '/var/lib/nats')
    .option('--port <number>', 'port for clients', parsePort, 4222)
    .option('--route-port <number>', 'port between the servers', parsePort, 6222)
    .addHelpText('after', example)
    .action(async (options: Options, command: Command) => {
      try {
        print(natsConfiguration(await configurationOf(options)));
      } catch (error) {
        command.error(`error: ${error instanceof Error ? error.message : error}`, { exitCode: 2 });
      }
    });
}

async function configurationOf(options: Options): Promise<NatsConfiguration> {
  const servers = options.server ?? [{ name: 'nats', host: 'localhost' }];
  const server = servers.find(({ name }) => name === (options.this ?? servers[0]?.name));
  if (server === undefined) throw new Error(`--this ${options.this} is none of the servers`);
  const users = [...(options.node ?? []), ...(options.user ?? [])];
  if (users.length === 0) throw new Error('no --node and no --user: nobody could connect');
  const { cluster, store, port, routePort, keys } = options;
  const proven = keys === undefined ? users : await Promise.all(users.map((user) => withKey(user, keys)));
  return { cluster, servers, server, users: proven, store, port, routePort };
}

/** The public key of FOLDER/NAME.creds, which is made where it is missing, for its owner's eyes only. */
async function withKey(user: NatsUser, folder: string): Promise<NatsUser> {
  if (user.key !== null) return user;
  const file = join(folder, `${user.name}.creds`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const made = createCredentials(user.name);
  await writeFile(file, `${JSON.stringify(made)}\n`, { mode: 0o600, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  const kept = parseCredentials(await readFile(file, 'utf8'));
  if (kept.user !== user.name) throw new Error(`${file} belongs to ${kept.user}`);
  if (!('seed' in kept)) throw new Error(`${file} holds a password, not a key`);
  return { ...user, key: publicKeyOf(kept) };
}

const parsed =
  <T>(schema: { parse(value: string): T }) =>
  (value: string): T => {
    try {
      return schema.parse(value);
    } catch {
      throw new InvalidArgumentError('1 to 63 letters, digits, "_" or "-", the first a letter or digit.');
    }
  };

const collect =
  <T>(parse: (value: string) => T) =>
  (value: string, before: readonly T[] = []): readonly T[] => [...before, parse(value)];

function parseServer(value: string): NatsServerHost {
  const match = /^([^=]+)=([A-Za-z0-9.:[\]-]+)$/.exec(value);
  if (match === null) throw new InvalidArgumentError('NAME=HOST is expected.');
  return { name: parsed(ActorName)(match[1] ?? ''), host: match[2] ?? '' };
}

function parseNode(value: string): NatsUser {
  const [name = '', key] = value.split('=', 2);
  return { name: parsed(ActorName)(name), role: 'agent', key: parseKey(key) };
}

function parsePerson(value: string): NatsUser {
  const [, name = '', role, key] = /^([^:=]+):([a-z]+)(?:=(.*))?$/.exec(value) ?? [];
  const found = roles.find((one) => one === role && one !== 'agent');
  if (found === undefined) {
    throw new InvalidArgumentError(`NAME:ROLE is expected, the role one of ${roles.slice(1).join(', ')}.`);
  }
  return { name: parsed(ActorName)(name), role: found, key: parseKey(key) };
}

function parseKey(key: string | undefined): string | null {
  if (key === undefined) return null;
  if (!/^U[A-Z2-7]{55}$/.test(key))
    throw new InvalidArgumentError('A public user key begins with U, 56 characters.');
  return key;
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('A port is 1 to 65535.');
  return port;
}
