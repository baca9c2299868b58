import { z } from 'zod';
import { SettingKey } from './settings.ts';
import {
  AbsolutePath,
  Content,
  Epoch,
  Generation,
  Mode,
  NodeName,
  type Tag,
  VolumeName,
} from './vocabulary.ts';

/**
 * Everything that can have happened (REQUIREMENTS 4), past tense. `version` is that of the payload; older ones are
 * upcast when read. Payloads hold what the fold needs and nothing that follows from it; the journal puts `decision`
 * beside them (journal/execute.ts), so none has a field of that name.
 */
const bytes = z.int().min(0);
const Volume = z.object({ name: VolumeName, path: AbsolutePath, byteSize: bytes });
const Endpoint = z.object({ host: z.string(), port: z.int().min(1).max(65_535) });
const Device = z.array(z.object({ volume: VolumeName, uri: z.string() }));
const Reign = z.object({ node: NodeName, epoch: Epoch });
const Loss = z.object({
  text: z.string(),
  writes: bytes.nullable(),
  bytes: bytes.nullable(),
  since: z.string().nullable(),
});
const Pair = z.object({ source: NodeName, target: NodeName });
/** A volume as applications see it: the block device that it is attached as, and where that is mounted. */
export const MountedVolume = z.object({ volume: VolumeName, device: AbsolutePath, at: AbsolutePath });
/** What could not be done with a file system. */
export const MountStep = z.enum(['make', 'mount', 'unmount']);
/** Regions `first` to `last` of a volume, both included. */
export const RegionRange = z.object({ volume: VolumeName, first: z.int().min(0), last: z.int().min(0) });
const ResyncKind = z.enum(['partial', 'full']);

/** Why a node entered service. */
const EnteredBecauseSchema = z.enum([
  'created',
  'in-service',
  'switchover',
  'failover',
  'returned',
  'forced',
]);
/** Why a node left service. */
const LeftBecause = z.enum([
  'out-of-service',
  'switchover',
  'taken-over',
  'local-failure',
  /** Its engine refused a reign that had begun: nothing was served in it. */
  'never-served',
  'cannot-tell',
  'conflict-settled',
]);

const v1 = <S extends z.ZodObject>(data: S) => ({ version: 1, data }) as const;

export const eventSchemas = {
  'resource.created': v1(
    z.object({
      node: NodeName,
      volumes: z.array(Volume).min(1),
      content: Content,
      fstype: z.string().nullable(),
      mount: AbsolutePath.nullable(),
      bitmap: z.union([z.literal('none'), AbsolutePath]).nullable(),
      allowAsync: z.boolean(),
      priority: z.int().min(1).max(999),
      srl: AbsolutePath.nullable(),
      replication: Endpoint,
    }),
  ),
  'resource.extended': v1(
    z.object({
      node: NodeName,
      volumes: z.array(Volume).min(1),
      mode: Mode,
      pairs: z.record(NodeName, Mode),
      priority: z.int().min(1).max(999),
      compress: z.int().min(0).max(9),
      mount: AbsolutePath.nullable(),
      bitmap: z.union([z.literal('none'), AbsolutePath]).nullable(),
      fullSync: z.boolean(),
      /** Without a full resync: the generation of the source's baseline, since which the copy was made. */
      baseline: Generation.optional(),
      replication: Endpoint,
    }),
  ),
  'resource.unextended': v1(z.object({ node: NodeName })),
  /** `created` names the one that is deleted, by the id of its `resource.created`. */
  'resource.deleted': v1(z.object({ created: z.string() })),
  /** `after` is the reign that this one follows: where the fold stands elsewhere, two did not know of each other. */
  'resource.entered-service': v1(
    z.object({ node: NodeName, epoch: Epoch, why: EnteredBecauseSchema, after: Reign.nullable() }),
  ),
  'resource.left-service': v1(
    z.object({ node: NodeName, epoch: Epoch, why: LeftBecause, handedTo: Reign.nullable() }),
  ),
  'resource.forced-online': v1(z.object({ node: NodeName, epoch: Epoch, lost: Loss })),
  'resource.settings-changed': v1(
    z.object({ node: NodeName.nullable(), peer: NodeName.nullable(), key: SettingKey, value: z.unknown() }),
  ),
  'mirror.paused': v1(Pair.extend({ by: z.enum(['operator', 'policy']), reason: z.string() })),
  'mirror.resumed': v1(Pair.extend({ by: z.enum(['operator', 'policy']) })),
  'mirror.connected': v1(Pair.extend({ inSync: z.boolean() })),
  /** `away`: the target began anew and cannot know what it missed. */
  'mirror.disconnected': v1(Pair.extend({ why: z.string(), away: z.boolean() })),
  /** `known`: the target itself has it on stable storage that it is out of sync (rule 9). */
  'mirror.lost-sync': v1(
    Pair.extend({ generation: Generation.nullable(), why: z.string(), known: z.boolean() }),
  ),
  'mirror.congested': v1(Pair.extend({ congested: z.boolean() })),
  'generation.started': v1(
    z.object({
      node: NodeName,
      generation: Generation,
      parent: Generation.nullable(),
      epoch: Epoch,
      absent: z.array(NodeName),
    }),
  ),
  'resync.started': v1(
    Pair.extend({ kind: ResyncKind, bytes, regions: z.int().min(0), dirtyRegions: z.int().min(0) }),
  ),
  'resync.progressed': v1(
    Pair.extend({
      percent: z.number(),
      speedBytesPerSecond: z.number(),
      etaSeconds: z.number().nullable(),
      dirtyRegions: z.int().min(0),
    }),
  ),
  'resync.interrupted': v1(Pair.extend({ why: z.string() })),
  'resync.completed': v1(Pair.extend({ kind: ResyncKind, bytes, generation: Generation.nullable() })),
  'verify.started': v1(Pair),
  'verify.progressed': v1(Pair.extend({ percent: z.int().min(0).max(100) })),
  'verify.interrupted': v1(Pair.extend({ why: z.string() })),
  /** `differing` regions are marked for the next resync; `ranges`: the first of them. */
  'verify.completed': v1(Pair.extend({ bytes, differing: z.int().min(0), ranges: z.array(RegionRange) })),
  'switchover.started': v1(z.object({ from: NodeName, to: NodeName, epoch: Epoch })),
  'switchover.completed': v1(z.object({ from: NodeName, to: NodeName, epoch: Epoch, device: Device })),
  'switchover.failed': v1(
    z.object({ from: NodeName, to: NodeName, epoch: Epoch, step: z.int().min(1).max(7), why: z.string() }),
  ),
  'failover.started': v1(
    z.object({ lost: NodeName, candidate: NodeName, epoch: Epoch, order: z.array(NodeName) }),
  ),
  'failover.confirmation-requested': v1(
    z.object({
      lost: NodeName,
      candidate: NodeName,
      seconds: z.number(),
      default: z.enum(['proceed', 'block']),
    }),
  ),
  'failover.confirmed': v1(
    z.object({ lost: NodeName, candidate: NodeName, answer: z.enum(['proceed', 'block']) }),
  ),
  'failover.completed': v1(
    z.object({ lost: NodeName, node: NodeName, epoch: Epoch, device: Device, loss: Loss.nullable() }),
  ),
  'failover.blocked': v1(
    z.object({
      lost: NodeName.nullable(),
      candidate: NodeName.nullable(),
      code: z.string(),
      text: z.string(),
    }),
  ),
  'takeover.promised': v1(
    z.object({ by: NodeName, candidate: NodeName, epoch: Epoch, outOfSync: z.boolean() }),
  ),
  'takeover.conflicted': v1(z.object({ reigns: z.array(Reign).min(2) })),
  'split-brain.detected': v1(z.object({ reigns: z.array(Reign).min(2) })),
  'split-brain.resolved': v1(z.object({ victim: NodeName, survivor: NodeName, lost: Loss })),
  'data-corrupt.flagged': v1(z.object({ node: NodeName, missing: z.array(NodeName) })),
  'data-corrupt.cleared': v1(
    z.object({ node: NodeName, by: z.enum(['peers-returned', 'forced', 'taken-over']) }),
  ),
  'bitmap.marked-clean': v1(z.object({ node: NodeName, peer: NodeName.nullable() })),
  'bitmap.marked-dirty': v1(z.object({ node: NodeName, peer: NodeName.nullable() })),
  'bitmap.invalidated': v1(z.object({ node: NodeName, peer: NodeName.nullable(), why: z.string() })),
  'link.corruption-detected': v1(z.object({ node: NodeName, peer: NodeName, count: z.int().min(1) })),
  'disk.failed': v1(z.object({ node: NodeName, volume: VolumeName.nullable(), error: z.string() })),
  /** Once for each resource with a new file system (rule 1), before it is mounted first. */
  'file-system.made': v1(
    z.object({ node: NodeName, fstype: z.string(), volumes: z.array(VolumeName).min(1) }),
  ),
  'file-system.mounted': v1(
    z.object({ node: NodeName, epoch: Epoch, mounts: z.array(MountedVolume).min(1) }),
  ),
  /** `forced`: the device was gone already, or the reign; whatever still used the mount has lost it. */
  'file-system.unmounted': v1(z.object({ node: NodeName, forced: z.boolean() })),
  'file-system.failed': v1(z.object({ node: NodeName, what: MountStep, why: z.string() })),
  'local-recovery.started': v1(z.object({ node: NodeName, what: z.string() })),
  'local-recovery.succeeded': v1(z.object({ node: NodeName, what: z.string() })),
  'local-recovery.failed': v1(
    z.object({ node: NodeName, what: z.string(), blocked: z.boolean(), text: z.string() }),
  ),
  'node.joined': v1(z.object({ node: NodeName, host: z.string().nullable() })),
  'node.lost': v1(z.object({ node: NodeName, silentMs: z.number() })),
  /** `restarted`: its engines began anew; otherwise it only could not be heard. */
  'node.returned': v1(z.object({ node: NodeName, restarted: z.boolean() })),
  'node.settings-changed': v1(
    z.object({ node: NodeName, peer: NodeName.nullable(), key: SettingKey, value: z.unknown() }),
  ),
  'node.clock-skewed': v1(z.object({ node: NodeName, aheadMs: z.number() })),
  'node.key-added': v1(z.object({ node: NodeName, publicKey: z.string() })),
  'node.key-revoked': v1(z.object({ node: NodeName, publicKey: z.string() })),
  'journal.damaged': v1(z.object({ node: NodeName, code: z.string(), text: z.string() })),
  'journal.repaired': v1(z.object({ node: NodeName, text: z.string() })),
  /** `raisedBy` and `since` tell it from the same alarm raised anew. Who and why stand in the envelope. */
  'alarm.acknowledged': v1(
    z.object({ alarm: z.string(), raisedBy: z.string(), since: z.string().nullable() }),
  ),
  /** Terminal events (I11): every accepted command ends in exactly one of the first two. */
  'command.completed': v1(z.object({ commandId: z.string(), digest: z.string(), device: Device.nullable() })),
  'command.failed': v1(z.object({ commandId: z.string(), digest: z.string(), why: z.string() })),
  'command.refused': v1(
    z.object({
      commandId: z.string(),
      digest: z.string(),
      command: z.string(),
      code: z.string(),
      message: z.string(),
      allowed: z.array(z.string()),
      because: z.array(z.string()),
      count: z.int().min(1),
    }),
  ),
} as const;

export type EventType = keyof typeof eventSchemas;
export type EventData<T extends EventType> = z.infer<(typeof eventSchemas)[T]['data']>;

/** Who asked for it, and how it reached the decider; `verified` where the bus vouches for the name. */
export const Actor = z.object({
  id: z.string().min(1).max(128),
  via: z.enum(['bus', 'socket', 'web', 'policy', 'engine']),
  verified: z.boolean(),
});
export type Actor = z.infer<typeof Actor>;

/** What `decide` returns; the journal stamps identity, order and time on it. */
export type NewEvent = {
  [T in EventType]: {
    readonly type: T;
    readonly resource: Tag | null;
    readonly data: EventData<T>;
    /** The command that it belongs to, where that is not the one being decided: what ends a command later on. */
    readonly command?: string | null;
  };
}[EventType];

/** An event as the domain reads it: what happened, and the part of its envelope that the fold and the views use. */
export type DomainEvent = NewEvent & EventHeader;

export interface EventHeader {
  /** node/incarnation/sequence */
  readonly id: string;
  /** The node whose log it is in. */
  readonly node: NodeName;
  /** Milliseconds since 1970 by the writer's clock: shown, never ordered by. */
  readonly time: number;
  readonly actor: Actor;
  readonly reason: string | null;
  readonly command: string | null;
  readonly cause: string | null;
  /** The hash of the command's body, on the first event of its decision. */
  readonly digest: string | null;
}

/** An event of a type that this version does not know: kept, shown, and commands on its resource are refused. */
export interface UnknownEvent extends EventHeader {
  readonly type: 'unknown';
  readonly originalType: string;
  readonly resource: Tag | null;
}

export type AnyEvent = DomainEvent | UnknownEvent;

export const isEventType = (type: string): type is EventType => Object.hasOwn(eventSchemas, type);

export type EnteredBecause = z.infer<typeof EnteredBecauseSchema>;
export type Loss = z.infer<typeof Loss>;
export type Reign = z.infer<typeof Reign>;
export type DeviceUris = z.infer<typeof Device>;
export type MountedVolume = z.infer<typeof MountedVolume>;
export type VolumeOf = z.infer<typeof Volume>;
export type EndpointOf = z.infer<typeof Endpoint>;

/** A new event, typed by its name. */
export function event<T extends EventType>(
  type: T,
  resource: Tag | null,
  data: EventData<T>,
  command?: string | null,
): NewEvent {
  return (command == null
    ? { type, resource, data }
    : { type, resource, data, command }) as unknown as NewEvent;
}
