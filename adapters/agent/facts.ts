import { z } from 'zod';
import type { Command, CommandOf } from '../../domain/commands.ts';
import type { Facts, PathFact, ReplicaFact } from '../../domain/facts.ts';
import { mountOfSource, mountPoints } from '../../domain/file-systems.ts';
import { highestEpoch, type ResourceState, replicaNodes } from '../../domain/state.ts';
import { AbsolutePath, type NodeName, regionSize, Tag, type VolumeName } from '../../domain/vocabulary.ts';
import type { EngineStatus } from '../engine/control-protocol.ts';
import { ask } from './asking.ts';
import { type AgentContext, silenceMs } from './context.ts';
import { collectPromises } from './promises.ts';

/** What other agents are asked for a decision; each answers from its own host and engine. */
export const InspectQuestion = z.object({
  question: z.literal('inspect'),
  tag: Tag,
  paths: z.array(AbsolutePath).max(16),
  mountPoints: z.array(AbsolutePath).max(16).default([]),
});
export const ReplicaQuestion = z.object({ question: z.literal('replica'), tag: Tag });

const PathFactSchema = z.object({
  exists: z.boolean(),
  usedBy: z.string().nullable(),
  mountedAt: z.string().nullable(),
  fstype: z.string().nullable(),
  byteSize: z.int().min(0),
  blank: z.boolean(),
});
export const InspectAnswer = z.object({
  paths: z.record(z.string(), PathFactSchema),
  replication: z.object({ host: z.string(), port: z.int().min(1).max(65_535) }),
  mountPointUsedBy: z.string().nullable().default(null),
});
export type InspectAnswer = z.infer<typeof InspectAnswer>;

const ReplicaFactSchema = z.object({
  epoch: z.int().min(0),
  promised: z.int().min(0),
  inSync: z.boolean(),
  consistent: z.boolean(),
  paused: z.boolean(),
  rewound: z.boolean(),
  related: z.boolean(),
  behind: z.object({ writes: z.number(), bytes: z.number(), ms: z.number() }).nullable(),
  dirtyBytes: z.record(z.string(), z.number().nullable()),
});

/** Everything that the rules of this command ask for, and no more (DESIGN 2: facts are asked for and recorded). */
export async function gatherFacts(context: AgentContext, command: Command): Promise<Facts> {
  const { options, clock, liveness, engines } = context;
  const silence = silenceMs(options);
  const nowMs = clock.nowMs();
  const resource =
    'tag' in command && command.tag !== undefined ? context.state().resources[command.tag] : undefined;
  const others = resource ? replicaNodes(resource).filter((node) => node !== options.node) : [];
  // Of one that was not listened to for long enough, this node itself cannot say that it is lost.
  const witnesses = (node: NodeName) =>
    liveness.isInDoubt(node, nowMs, silence) ? [options.node] : liveness.heardBy(node, nowMs, silence).sort();
  const base: Facts = {
    self: options.node,
    now: context.wallNow(),
    reachable: liveness.reachable(nowMs, silence).sort(),
    heardBy: Object.fromEntries(others.map((node) => [node, witnesses(node)])),
    ...(resource ? servingFact(engines.lastStatus(resource.tag), options.node) : {}),
  };
  const patience = { heartbeatMs: options.heartbeatMs, lostAfter: options.lostAfter };
  const silent = liveness.silent(nowMs, silence);
  switch (command.command) {
    case 'alarms-ack':
      return { ...base, alarm: context.alarm(command.alarm) };
    case 'create':
      return { ...base, ...(await toCreate(context, command)) };
    case 'extend': {
      const points = pointsOf(command, command.mount ?? (resource && mountOfSource(resource)));
      const baseline = engines.lastStatus(command.tag)?.replica?.baseline ?? null;
      return {
        ...base,
        ...(command.fullSync ? {} : { baseline }),
        ...(await inspectThere(context, command.node, command.tag, pathsOf(command), points)),
      };
    }
    case 'node-silent':
      return { ...base, patience };
    case 'failover':
      return {
        ...base,
        patience,
        ...(resource ? { replicas: await askReplicas(context, resource, silent) } : {}),
      };
    case 'force-online':
    case 'resolve-split-brain':
    case 'resume':
      return {
        ...base,
        ...(resource ? { replicas: await askReplicas(context, resource, silent) } : {}),
      };
    case 'switchover':
    case 'out-of-service':
      return {
        ...base,
        deviceInUse: await heldHere(context, resource),
        ...(resource ? { replicas: await askReplicas(context, resource, silent) } : {}),
      };
    case 'delete':
      return {
        ...base,
        deviceInUse:
          (await mountedHere(context, resource)) ??
          openBy(resource ? await engines.status(resource.tag).catch(() => null) : null),
      };
    case 'in-service':
      return {
        ...base,
        deviceInUse: await heldHere(context, resource),
        ...(resource ? await toGoInService(context, resource, command.node) : {}),
      };
    case 'return':
      return { ...base, ...(resource ? await toGoInService(context, resource, options.node) : {}) };
    default:
      return base;
  }
}

const isMountable = ({ options }: AgentContext, resource: ResourceState | undefined) =>
  resource?.replicas[options.node]?.mount != null;

/** Who uses what is mounted here. Whatever this cannot see stops the unmounting itself. */
async function heldHere(context: AgentContext, resource: ResourceState | undefined): Promise<string | null> {
  return resource && isMountable(context, resource) ? context.fileSystems.heldBy(resource.tag) : null;
}

async function mountedHere(
  context: AgentContext,
  resource: ResourceState | undefined,
): Promise<string | null> {
  return resource && isMountable(context, resource) ? context.fileSystems.mountedAt(resource.tag) : null;
}

/** An existing file system is where it is mounted: nothing else may be there, and nobody may use it. */
async function toCreate(context: AgentContext, command: CommandOf<'create'>): Promise<Partial<Facts>> {
  const { tag, content, mount } = command;
  const facts = await inspectHere(context, tag, pathsOf(command));
  const own = Object.values(facts.paths ?? {}).flatMap(({ mountedAt }) => mountedAt ?? []);
  const points = pointsOf(command, mount).filter((folder) => !own.includes(folder));
  const users =
    content === 'existing-filesystem'
      ? await Promise.all(own.map((folder) => context.fileSystems.usersOf(folder)))
      : [];
  return {
    ...facts,
    mountPointUsedBy: await context.fileSystems.usedMountPoint(points),
    deviceInUse: users.find((user) => user !== null) ?? null,
  };
}

function pointsOf(
  { volumes }: { volumes: readonly { name: VolumeName }[] },
  mount: string | undefined,
): string[] {
  return mountPoints({ volumes, mount: mount ?? null }).map(({ at }) => at);
}

const pathsOf = ({ volumes }: { volumes: readonly { path: string }[] }) => volumes.map(({ path }) => path);

function servingFact(status: EngineStatus | null, node: NodeName): Pick<Facts, 'serving'> {
  const replica = status?.replica;
  return { serving: replica?.serving ? { node, epoch: replica.epoch } : null };
}

/**
 * Who has the device open, in words (rule 3). A switchover is not stopped by that: step 2 freezes, and the clients are
 * refused from then on by their epoch.
 */
export function openBy(status: EngineStatus | null): string | null {
  const open = (status?.replica?.clients ?? []).filter(({ connections }) => connections > 0);
  if (open.length === 0) return null;
  return `open (${open.map(({ volume, connections }) => `${volume}: ${connections} NBD connections`).join(', ')})`;
}

/** Whoever goes in service while nobody serves needs the promises of the other replicas' nodes first (rules 7 and 9). */
async function toGoInService(
  context: AgentContext,
  resource: ResourceState,
  node: NodeName | undefined,
): Promise<Partial<Facts>> {
  const replicas = await askReplicas(context, resource, []);
  const owner = resource.lastOwner?.node;
  if (resource.phase === 'in-service' && owner !== context.options.node) return { replicas };
  if ((node ?? owner) !== context.options.node) return { replicas };
  const epoch = epochToAskFor(resource, replicas, context.options.node);
  return { replicas, promises: { epoch, answers: await collectPromises(context, resource, epoch) } };
}

/**
 * One above all that is known; but what was promised to this node already, and not used, is asked for again: else
 * each attempt while a node is missing would leave its promises in every journal.
 */
function epochToAskFor(
  resource: ResourceState,
  replicas: Readonly<Record<string, ReplicaFact>>,
  self: NodeName,
): number {
  const records = Object.entries(replicas);
  const highest = Math.max(
    highestEpoch(resource),
    ...records.flatMap(([, { epoch, promised }]) => [epoch, promised]),
  );
  const isOwn = (node: string) => {
    const given = resource.promises[node];
    return given?.epoch === highest && given.candidate === self;
  };
  const givers = [
    ...Object.entries(resource.promises).flatMap(([node, { epoch }]) => (epoch === highest ? [node] : [])),
    ...records.flatMap(([node, { promised }]) => (promised === highest ? [node] : [])),
  ];
  const isServed = resource.epoch === highest || records.some(([, { epoch }]) => epoch === highest);
  return !isServed && givers.length > 0 && givers.every(isOwn) ? highest : 1 + highest;
}

export async function inspectHere(
  context: AgentContext,
  tag: Tag,
  paths: readonly string[],
  points: readonly string[] = [],
): Promise<Partial<Facts>> {
  const taken = await protectedPaths(context, tag);
  const entries = await Promise.all(
    paths.map(async (path): Promise<[string, PathFact]> => [path, await context.host.inspect(path, taken)]),
  );
  const port = context.replicationPorts.portFor(tag, context.state());
  const inspected = {
    paths: Object.fromEntries(entries),
    mountPointUsedBy: await context.fileSystems.usedMountPoint(points),
  };
  if (port === undefined) return inspected;
  return { ...inspected, replication: { host: context.options.replicate.host, port } };
}

async function inspectThere(
  context: AgentContext,
  node: NodeName,
  tag: Tag,
  paths: readonly string[],
  points: readonly string[],
): Promise<Partial<Facts>> {
  if (node === context.options.node) return inspectHere(context, tag, paths, points);
  try {
    const answer = await ask(
      context,
      node,
      { question: 'inspect', tag, paths: [...paths], mountPoints: [...points] },
      30_000,
    );
    return InspectAnswer.parse(answer);
  } catch {
    return {};
  }
}

/** The volumes of this node's other replicas, by their real path. */
async function protectedPaths(context: AgentContext, tag: Tag): Promise<Map<string, string>> {
  const taken = new Map<string, string>();
  for (const resource of Object.values(context.state().resources)) {
    if (resource.phase === 'deleted') continue;
    for (const { path } of resource.replicas[context.options.node]?.volumes ?? []) {
      const real = await context.host.realPath(path);
      taken.set(real, resource.tag === tag ? 'a replica of this resource' : `a volume of ${resource.tag}`);
    }
  }
  return taken;
}

/** The replicas' own records, of every node that answers in time; `silent` ones are not waited for again. */
async function askReplicas(
  context: AgentContext,
  resource: ResourceState,
  silent: readonly NodeName[],
): Promise<Record<string, ReplicaFact>> {
  const asked = replicaNodes(resource).filter((node) => !silent.includes(node));
  const answers = await Promise.all(
    asked.map(async (node): Promise<[string, ReplicaFact] | undefined> => {
      try {
        if (node === context.options.node) {
          const own = replicaFact(await context.engines.status(resource.tag));
          return own ? [node, own] : undefined;
        }
        const answer = await ask(
          context,
          node,
          { question: 'replica', tag: resource.tag },
          silenceMs(context.options),
        );
        return [node, ReplicaFactSchema.parse(answer['replica'])];
      } catch {
        return undefined;
      }
    }),
  );
  return Object.fromEntries(answers.filter((answer) => answer !== undefined));
}

export function replicaFact(status: EngineStatus | null): ReplicaFact | undefined {
  const replica = status?.replica;
  if (!status || !replica) return undefined;
  return {
    epoch: replica.epoch,
    promised: replica.promised,
    inSync: replica.inSync,
    consistent: replica.consistent,
    paused: replica.paused !== null,
    rewound: false,
    related: status.peers.every(({ refusal }) => refusal !== 'unrelated-data'),
    behind: null,
    dirtyBytes: Object.fromEntries(
      status.peers.map(({ peer, dirtyRegions }) => [peer, dirtyRegions * regionSize]),
    ),
  };
}
