import { z } from 'zod';
import { type Actor, MountedVolume, MountStep, RegionRange } from './events.ts';
import { SettingKey } from './settings.ts';
import {
  AbsolutePath,
  Content,
  Epoch,
  FsType,
  Generation,
  Mode,
  NodeName,
  regionSize,
  Tag,
  VolumeName,
  WallTime,
} from './vocabulary.ts';

/**
 * Everything that can be asked of a decider (REQUIREMENTS 5): what operators order, what an agent's own policy
 * proposes, and what it has observed. All three are decided in the same way and leave events.
 */
const bytes = z.int().min(0);
const onResource = z.object({ tag: Tag });
const onNode = onResource.extend({ node: NodeName });
const onTargets = onResource.extend({ targets: z.array(NodeName).optional() });
const onPair = onResource.extend({ source: NodeName, target: NodeName });

/** A path that the operator names: `data=/dev/sdb1`, or just the path; the agent finds its size. */
export const VolumeRequest = z.object({ name: VolumeName, path: AbsolutePath });
const volumes = z.array(VolumeRequest).min(1).max(16);
const bitmap = z.union([z.literal('none'), AbsolutePath]).optional();
const Device = z.array(z.object({ volume: VolumeName, uri: z.string() }));
const Reign = z.object({ node: NodeName, epoch: Epoch });
const Mounts = z.array(MountedVolume).min(1);
const ResyncKind = z.enum(['partial', 'full']);

/** What operators order; also what the bus publishes as its commands' schemas. */
export const operatorCommands = {
  create: onNode.extend({
    volumes,
    content: Content.default('raw'),
    /** Of a new file system, by default ext4; an existing one is what it is. */
    fstype: FsType.optional(),
    /** One volume is mounted there, of several each at DIR/NAME. */
    mount: AbsolutePath.optional(),
    /** Bytes of each volume that are used; a whole number of sectors. */
    size: z.int().min(regionSize).multipleOf(512).optional(),
    bitmap,
    allowAsync: z.boolean().default(false),
    priority: z.int().min(1).max(999).default(1),
    srl: AbsolutePath.optional(),
  }),
  extend: onNode.extend({
    volumes,
    mode: Mode.default('sync'),
    priority: z.int().min(1).max(999).optional(),
    compress: z.int().min(0).max(9).default(0),
    mount: AbsolutePath.optional(),
    bitmap,
    pair: z.record(NodeName, Mode).default({}),
    fullSync: z.boolean().default(true),
  }),
  unextend: onNode,
  delete: onResource,
  'in-service': onResource.extend({ node: NodeName.optional() }),
  'out-of-service': onResource.extend({ node: NodeName.optional() }),
  switchover: onNode,
  failover: onResource.extend({ node: NodeName.optional() }),
  'confirm-failover': onResource.extend({ block: z.boolean().default(false) }),
  'force-online': onNode,
  'resolve-split-brain': onResource.extend({ victim: NodeName }),
  pause: onTargets,
  resume: onTargets,
  'full-resync': onTargets,
  verify: onTargets,
  settings: z.object({
    tag: Tag.optional(),
    node: NodeName.optional(),
    peer: NodeName.optional(),
    key: SettingKey,
    value: z.unknown(),
  }),
  /** Somebody has seen the alarm: it stays, and says who (REQUIREMENTS 5, `alarms ack`). */
  'alarms-ack': z.object({ alarm: z.string().min(1).max(200) }),
  'bitmap-mark-clean': onNode.extend({ peer: NodeName.optional() }),
  'bitmap-mark-dirty': onNode.extend({ peer: NodeName.optional() }),
} as const;

/** What an agent's own policy proposes: the answer is an event like any other. */
const policyCommands = {
  /** A candidate asks this node for its promise (rule 7). */
  promise: onResource.extend({ candidate: NodeName, epoch: Epoch }),
  /** The node to which a switchover handed the resource goes on with step 5. */
  'take-handover': onResource,
  /** Ends a command whose switchover or takeover was overtaken by another's reign (I11). */
  'settle-command': onResource.extend({ settles: z.string() }),
  /** A returning last owner (rule 9), or a node that may serve again after `out-of-service`. */
  return: onResource,
  /** Two that serve compare what they wrote, and the loser of an undivided past leaves (rule 12). */
  'settle-conflict': onResource.extend({ wrote: z.array(NodeName), related: z.boolean() }),
  'auto-pause': onPair,
  'auto-resume': onPair,
} as const;

/** What an agent has seen happen on its node or about its peers. */
const observations = {
  'promises-collected': onResource.extend({
    epoch: Epoch,
    answers: z.array(
      z.object({
        node: NodeName,
        answer: z.enum(['promised', 'source-alive', 'promised-other', 'unreachable', 'refused']),
        outOfSync: z.boolean(),
        highestEpoch: Epoch,
      }),
    ),
  }),
  'confirmation-timed-out': onResource,
  'switchover-stopped': onResource.extend({ step: z.int().min(1).max(7), why: z.string() }),
  'handed-over': onResource.extend({ to: NodeName, epoch: Epoch }),
  served: onResource.extend({ epoch: Epoch, device: Device }),
  /** The engine refuses the reign for good; no client has ever been served in it. */
  'serve-failed': onResource.extend({ epoch: Epoch, why: z.string() }),
  /** The engine has promised: asked by this agent, or over the link with the bus silent (rule 7). */
  promised: onResource.extend({ candidate: NodeName, epoch: Epoch }),
  /** This node finds itself superseded by a takeover that it had not seen. */
  superseded: onResource,
  'peer-connected': onPair.extend({ inSync: z.boolean() }),
  'peer-disconnected': onPair.extend({ why: z.string(), away: z.boolean() }),
  /** `known`: the target itself has it on stable storage that it is out of sync. */
  'peer-lost-sync': onPair.extend({ generation: Generation.nullable(), why: z.string(), known: z.boolean() }),
  congestion: onPair.extend({ congested: z.boolean() }),
  'generation-started': onResource.extend({
    generation: Generation,
    parent: Generation.nullable(),
    epoch: Epoch,
    absent: z.array(NodeName),
  }),
  'resync-started': onPair.extend({ kind: ResyncKind, bytes, regions: bytes, dirtyRegions: bytes }),
  'resync-progressed': onPair.extend({
    percent: z.number(),
    speedBytesPerSecond: z.number(),
    etaSeconds: z.number().nullable(),
    dirtyRegions: bytes,
  }),
  'resync-interrupted': onPair.extend({ why: z.string() }),
  'resync-completed': onPair.extend({ kind: ResyncKind, bytes, generation: Generation.nullable() }),
  'verify-progressed': onPair.extend({ percent: z.int().min(0).max(100) }),
  'verify-interrupted': onPair.extend({ why: z.string() }),
  'verify-completed': onPair.extend({ bytes, differing: bytes, ranges: z.array(RegionRange) }),
  'split-brain-seen': onResource.extend({ reigns: z.array(Reign).min(2) }),
  'bitmap-invalidated': onResource.extend({ peer: NodeName.nullable(), why: z.string() }),
  'link-corruption': onResource.extend({ peer: NodeName, count: z.int().min(1) }),
  'disk-failed': onResource.extend({ volume: VolumeName.nullable(), error: z.string() }),
  'file-system-made': onResource.extend({ fstype: FsType, volumes: z.array(VolumeName).min(1) }),
  'file-system-mounted': onResource.extend({ epoch: Epoch, mounts: Mounts }),
  'file-system-unmounted': onResource.extend({ forced: z.boolean() }),
  'file-system-failed': onResource.extend({ what: MountStep, why: z.string() }),
  'local-failure': onResource.extend({ what: z.string() }),
  'local-recovery-ended': onResource.extend({ what: z.string(), ok: z.boolean() }),
  'node-joined': z.object({ host: z.string().nullable() }),
  'node-key': z.object({ publicKey: z.string().regex(/^[0-9a-f]{64}$/) }),
  'node-heard': z.object({ node: NodeName, restarted: z.boolean() }),
  'node-silent': z.object({ node: NodeName, silentMs: z.number() }),
  'clock-skewed': z.object({ node: NodeName, aheadMs: z.number() }),
  'journal-damaged': z.object({ code: z.string(), text: z.string() }),
  'journal-repaired': z.object({ text: z.string() }),
} as const;

export const commandSchemas = { ...operatorCommands, ...policyCommands, ...observations } as const;
export type CommandName = keyof typeof commandSchemas;
export type OperatorCommandName = keyof typeof operatorCommands;
export const commandNames = Object.keys(commandSchemas) as readonly CommandName[];
export const operatorCommandNames = Object.keys(operatorCommands) as readonly OperatorCommandName[];
export const isOperatorCommand = (name: string): name is OperatorCommandName =>
  Object.hasOwn(operatorCommands, name);

/** What every command carries beside its arguments (REQUIREMENTS 5). */
export const CommandHeader = z.object({
  /** One id, one command, for ever (rule 22). */
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_./:-]{0,127}$/, 'a command id has 1 to 128 letters, digits or _./:-'),
  reason: z.string().max(1024).optional(),
  /** Past it the command is refused with `stale-command`. */
  deadline: WallTime.optional(),
  dryRun: z.boolean().optional(),
  /** With `dryRun`: an event or a time; it is decided as of then. */
  asOf: z.string().min(1).max(128).optional(),
  /** The token that came with the account of what would be lost (rule 23). */
  acceptLoss: z.string().max(256).optional(),
});

export interface CommandContext extends z.infer<typeof CommandHeader> {
  /** Who asked: the bus or the agent says so, never the body. */
  readonly actor: Actor;
  /** A hash of the body, made at the edge: tells a repeated command from another with the same id. */
  readonly digest: string;
}

export type Command = {
  [C in CommandName]: { readonly command: C } & z.infer<(typeof commandSchemas)[C]> & CommandContext;
}[CommandName];
export type CommandOf<C extends CommandName> = Extract<Command, { command: C }>;

/** The tag a command is about; null for what concerns a node. */
export function tagOf(command: Command): Tag | null {
  return 'tag' in command ? (command.tag ?? null) : null;
}

/** The id of what an engine observed: its number beside the replica, and when it was (milliseconds since 1970). */
export const observationId = (tag: Tag, { observation, at }: { observation: number; at: number }): string =>
  `${tag}/${observation}/${at}`;

/** The number in the id of a command that an observation brought about; undefined for every other command. */
export function observationOf(commandId: string): { number: number; at: number } | undefined {
  const [, number, at] = /^engine\/[^/]+\/[^/]+\/(\d+)\/(\d+)$/.exec(commandId) ?? [];
  return number === undefined ? undefined : { number: Number(number), at: Number(at) };
}

/** What engines report of their mirrors: history as it comes, whatever the resource's phase. */
export const observationsOfMirrors = [
  'peer-connected',
  'peer-disconnected',
  'peer-lost-sync',
  'congestion',
  'resync-started',
  'resync-progressed',
  'resync-interrupted',
  'resync-completed',
  'verify-progressed',
  'verify-interrupted',
  'verify-completed',
] as const satisfies readonly CommandName[];
