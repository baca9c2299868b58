import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { envelopeType } from '../../domain/envelope.ts';
import { event } from '../../domain/events.ts';
import { type NodeName, Tag } from '../../domain/vocabulary.ts';
import { openLevelJournal } from '../../journal/level-journal.ts';
import { openBaseline, type Spread, spread, timed } from './baseline.ts';
import { nodeNames, ScaleCluster } from './cluster.ts';

export interface ScaleOptions {
  readonly resources: number;
  readonly heartbeatMs: number;
  /** Commands whose latency is measured. */
  readonly commands: number;
  readonly idleMs: number;
  /** Events in the journal of the last restart; 0: without it. */
  readonly events: number;
}

export interface ScaleResult {
  readonly createMs: number;
  readonly creationEvents: number;
  readonly creationBytes: number;
  readonly command: { readonly direct: Spread; readonly forwarded: Spread; readonly bare: Spread };
  readonly roundTrip: Spread;
  readonly append: Spread;
  /** Milliseconds at p50 over what the same hops and one forced append take bare. */
  readonly ratioDirect: number;
  readonly ratioForwarded: number;
  readonly memory: { readonly before: Memory; readonly after: Memory };
  readonly idle: { readonly events: number; readonly bytes: number; readonly cpuShare: number };
  readonly restart: { readonly withCheckpoint: Restart; readonly without: Restart };
  readonly failover: { readonly detectionMs: number; readonly serving: Spread; readonly allMs: number };
  readonly large: {
    readonly events: number;
    readonly withCheckpoint: Restart;
    readonly without: Restart;
  } | null;
  readonly outcome: {
    readonly inService: number;
    readonly failedOver: number;
    readonly headsEqual: boolean;
    readonly errors: readonly string[];
  };
}

interface Memory {
  readonly rssMiB: number;
  readonly heapMiB: number;
}

interface Restart {
  readonly openMs: number;
  readonly startMs: number;
}

const [eve, adam, sophocles] = nodeNames as [NodeName, NodeName, NodeName];
export const tagOf = (number: number): Tag => Tag.parse(`r${String(number).padStart(4, '0')}`);
const settleMs = 120_000;
/** So many operators at once while resources are made. */
const inFlight = 8;

/** Plays it all on one cluster: `eve` is the source of every resource, until she dies. */
export async function measure(options: ScaleOptions, tell: (what: string) => void): Promise<ScaleResult> {
  const cluster = await ScaleCluster.open(options.heartbeatMs);
  try {
    for (const name of nodeNames) await cluster.start(name);
    await cluster.until('three nodes', () => nodesAlive(cluster), settleMs);
    const before = memory();

    tell(`creating ${options.resources} resources with 2 targets each`);
    const eventsBefore = eventCount(cluster);
    const createMs = await timed(() => createAll(cluster, options.resources));
    const inService = fullyMirrored(cluster);
    const created = eventCount(cluster) - eventsBefore;
    const after = memory();

    tell('commands over the bus');
    const latency = await latencies(cluster, options);

    tell(`idle for ${options.idleMs / 1000} s`);
    const idle = await idleGrowth(cluster, options.idleMs);

    tell('restarts');
    const restart = await restarts(cluster, sophocles);
    await cluster.until('heads agree', () => cluster.headsAgree(), settleMs);
    const bytes = directoryBytes(join(cluster.directoryOf(eve), 'journal'));

    tell('the node of all sources dies');
    const failover = await failoverOfAll(cluster, options.resources);
    await cluster.until('heads agree', () => cluster.headsAgree(), settleMs);
    const failedOver = cluster.resources(adam).filter(isServedElsewhere).length;
    const headsEqual = cluster.headsAgree();

    const large = options.events > 0 ? await largeRestarts(cluster, options.events, tell) : null;
    return {
      createMs,
      creationEvents: created / options.resources,
      creationBytes: bytes / options.resources,
      ...latency,
      memory: { before, after },
      idle,
      restart,
      failover,
      large,
      outcome: { inService, failedOver, headsEqual, errors: cluster.errors },
    };
  } finally {
    await cluster.close();
  }
}

const nodesAlive = (cluster: ScaleCluster): boolean =>
  nodeNames.every((name) => {
    const { nodes } = cluster.node(name).agent.history.state;
    return nodeNames.every((other) => nodes[other]?.alive);
  });

/** In three steps: an agent that has not heard of a resource yet refuses to extend it. */
export async function createAll(cluster: ScaleCluster, count: number): Promise<void> {
  const steps = [
    { command: 'create', body: { node: eve, allowAsync: true } },
    { command: 'extend', body: { node: adam } },
    { command: 'extend', body: { node: sophocles, mode: 'async' } },
  ];
  for (const { command, body } of steps) {
    let number = 0;
    const operator = async () => {
      while (number < count) {
        const tag = tagOf(number);
        number += 1;
        await cluster.command(command, {
          tag,
          ...body,
          volumes: [{ name: 'data', path: `/volumes/${tag}` }],
        });
      }
    };
    await Promise.all(Array.from({ length: Math.min(inFlight, count) }, operator));
    await cluster.until('heads agree', () => cluster.headsAgree(), settleMs);
  }
  await cluster.until('all mirrored', () => fullyMirrored(cluster) === count, settleMs);
  await cluster.until('heads agree', () => cluster.headsAgree(), settleMs);
}

/** Resources in service whose two targets are in sync. */
const fullyMirrored = (cluster: ScaleCluster): number =>
  cluster.resources(eve).filter(({ phase, mirrors }) => {
    const statuses = Object.values(mirrors).map(({ status }) => status);
    return (
      phase === 'in-service' && statuses.length === 2 && statuses.every((s) => s === 'fully-operational')
    );
  }).length;

/** A setting of a resource: decided by its source's agent, one durable event, the reply. */
async function latencies(cluster: ScaleCluster, { commands, resources }: ScaleOptions) {
  const baseline = await openBaseline(cluster.server.url, cluster.folder);
  const direct: number[] = [];
  const forwarded: number[] = [];
  const roundTrips: number[] = [];
  const appends: number[] = [];
  const recordBytes = 1000;
  try {
    for (let number = 0; number < commands; number += 1) {
      const body = { tag: tagOf(number % resources), key: 'resync-min', value: number };
      const began = performance.now();
      const { id } = await cluster.command('settings', body);
      (cluster.forwarded.has(String(id)) ? forwarded : direct).push(performance.now() - began);
      roundTrips.push(await baseline.roundTrip());
      appends.push(baseline.append(recordBytes));
    }
  } finally {
    await baseline.close();
  }
  const roundTrip = spread(roundTrips);
  const append = spread(appends);
  const bare = spread(roundTrips.map((ms, at) => ms + (appends[at] ?? 0)));
  const command = { direct: spread(direct), forwarded: spread(forwarded), bare };
  return {
    command,
    roundTrip,
    append,
    ratioDirect: command.direct.p50 / bare.p50,
    ratioForwarded: command.forwarded.p50 / (bare.p50 + roundTrip.p50),
  };
}

async function idleGrowth(cluster: ScaleCluster, idleMs: number): Promise<ScaleResult['idle']> {
  const journal = join(cluster.directoryOf(eve), 'journal');
  const events = eventCount(cluster);
  const bytes = directoryBytes(journal);
  const cpu = process.cpuUsage();
  await cluster.idle(idleMs);
  const { user, system } = process.cpuUsage(cpu);
  return {
    events: eventCount(cluster) - events,
    bytes: directoryBytes(journal) - bytes,
    cpuShare: (user + system) / 1000 / idleMs,
  };
}

async function restarts(cluster: ScaleCluster, name: NodeName) {
  await cluster.stop(name);
  const withCheckpoint = await cluster.start(name);
  await cluster.stop(name);
  rmSync(join(cluster.directoryOf(name), 'views'), { recursive: true });
  const without = await cluster.start(name);
  return { withCheckpoint, without };
}

async function failoverOfAll(cluster: ScaleCluster, count: number): Promise<ScaleResult['failover']> {
  let lostAt = 0;
  const servingAt: number[] = [];
  const stopWatching = cluster.watch(adam, ({ type }) => {
    const now = performance.now();
    if (type === envelopeType('node.lost', 1)) lostAt ||= now;
    if (type.startsWith('mirrorkeeper.resource.entered-service.')) servingAt.push(now);
  });
  const killedAt = performance.now();
  await cluster.kill(eve);
  const allServed = () => cluster.resources(adam).filter(isServedElsewhere).length === count;
  await cluster.until('all failed over', allServed, settleMs);
  stopWatching();
  return {
    detectionMs: lostAt - killedAt,
    serving: spread(servingAt.map((at) => at - lostAt)),
    allMs: Math.max(...servingAt) - killedAt,
  };
}

const isServedElsewhere = ({ phase, reigns }: { phase: string; reigns: readonly { node: NodeName }[] }) =>
  phase === 'in-service' && reigns.length === 1 && reigns[0]?.node !== eve;

/** One agent, the others down, on a journal of that many events: most of them tell of resyncs. */
async function largeRestarts(cluster: ScaleCluster, count: number, tell: (what: string) => void) {
  for (const name of [...cluster.running.keys()]) await cluster.stop(name);
  tell(`a journal of ${count} events`);
  await appendProgress(cluster.directoryOf(adam), count);
  tell('restarts on it');
  const first = await cluster.start(adam);
  await cluster.stop(adam);
  const withCheckpoint = await cluster.start(adam);
  return { events: count, without: first, withCheckpoint };
}

async function appendProgress(directory: string, count: number): Promise<void> {
  const journal = await openLevelJournal({
    directory: join(directory, 'journal'),
    node: adam,
    cluster: 'scale',
  });
  const batch = 1000;
  for (let number = 0; number < count; number += batch)
    await journal.append(
      Array.from({ length: Math.min(batch, count - number) }, (_, at) => progress(number + at)),
    );
  await journal.close();
}

function progress(number: number) {
  const { data } = event('resync.progressed', tagOf(0), {
    source: adam,
    target: sophocles,
    percent: number % 100,
    speedBytesPerSecond: 48_000_000,
    etaSeconds: 192,
    dirtyRegions: 1000 - (number % 1000),
  });
  return {
    type: envelopeType('resync.progressed', 1),
    subject: tagOf(0),
    actor: { id: adam, via: 'engine' as const, verified: true },
    command: `engine/${adam}/synthetic-${number}`,
    data,
  };
}

const eventCount = (cluster: ScaleCluster): number =>
  Object.values(cluster.node(eve).journal.heads()).reduce((sum, { sequence }) => sum + sequence, 0);

function memory(): Memory {
  const { rss, heapUsed } = process.memoryUsage();
  return { rssMiB: rss / 2 ** 20, heapMiB: heapUsed / 2 ** 20 };
}

/** Of all files below, as they are now: LevelDB takes some away while they are counted. */
function directoryBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(directory, name), { throwIfNoEntry: false }))
    .reduce((sum, stat) => sum + (stat?.isFile() ? stat.size : 0), 0);
}
