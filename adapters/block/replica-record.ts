import { z } from 'zod';
import { GenerationSet, ResyncMark } from '../../domain/generation-state.ts';
import { Epoch, Generation, NodeName, Tag, targetsMax, VolumeName } from '../../domain/vocabulary.ts';

/**
 * What a replica knows about itself, durable beside its data (DESIGN 2 "Generations", FAULTS 3, 20). It can veto what
 * the cluster's history allows, never allow more.
 */

export const recordVersion = 1;

/** Pushed to the agent as it stands until it is acknowledged by its number (REQUIREMENTS 2.3). */
export const ObservationRecord = z.looseObject({
  observation: z.int().positive(),
  type: z.string(),
});
export type ObservationRecord = Readonly<z.infer<typeof ObservationRecord>>;

export const ReplicaRecord = z.object({
  version: z.literal(recordVersion),
  cluster: z.string().min(1),
  tag: Tag,
  /** The id of the resource's `resource.created` event. */
  resource: z.string().min(1),
  node: NodeName,
  volumes: z.array(z.object({ name: VolumeName, byteSize: z.int().positive() })).min(1),
  /** Highest epoch served or followed. */
  epoch: Epoch,
  /** Highest epoch promised. */
  promised: Epoch,
  /** The candidate to whom that one was promised: the only one that is followed with it. */
  promisedTo: NodeName.nullable(),
  role: z.enum(['source', 'target', 'none']),
  lastOwner: z.boolean(),
  dataCorrupt: z.boolean(),
  inSync: z.boolean(),
  consistent: z.boolean(),
  /** Why it is paused, or null. */
  paused: z.string().nullable(),
  resyncing: ResyncMark.nullable(),
  /** True while serving; false after an orderly stop. */
  crashedSource: z.boolean(),
  handedTo: z.object({ node: NodeName, epoch: Epoch }).nullable(),
  generation: GenerationSet.refine(
    ({ peers }) => Object.keys(peers).length <= targetsMax,
    `at most ${targetsMax} peers`,
  ),
  /** The generation since which a log says what has changed here (adapters/engine/baseline.ts), or null. */
  baseline: Generation.nullable().default(null),
  observations: z.object({
    /** The number that the next observation gets. */
    next: z.int().positive(),
    pending: z.array(ObservationRecord),
  }),
  /** Head of this node's journal when it was last told. */
  journalHead: z
    .object({ incarnation: z.int().min(0), sequence: z.int().min(0), hash: z.string() })
    .nullable(),
});
export type ReplicaRecord = DeepReadonly<z.infer<typeof ReplicaRecord>>;

/** Branded names are objects to the compiler: they stay as they are. */
type DeepReadonly<T> = T extends string
  ? T
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** Which replica it is: what must agree before its bytes are touched. */
export type ReplicaIdentity = Pick<ReplicaRecord, 'cluster' | 'tag' | 'resource' | 'node' | 'volumes'>;

/** A replica that has never held anything: it is in nobody's role, and only a resync or a first owner fills it. */
export function newReplicaRecord({ cluster, tag, resource, node, volumes }: ReplicaIdentity): ReplicaRecord {
  return {
    version: recordVersion,
    cluster,
    tag,
    resource,
    node,
    volumes,
    epoch: 0,
    promised: 0,
    promisedTo: null,
    role: 'none',
    lastOwner: false,
    dataCorrupt: false,
    inSync: false,
    consistent: false,
    paused: null,
    resyncing: null,
    crashedSource: false,
    handedTo: null,
    generation: { current: null, history: [], forced: null, peers: {} },
    baseline: null,
    observations: { next: 1, pending: [] },
    journalHead: null,
  };
}

/** The record with one more numbered observation, to be made durable with what it reports (I19). */
export function withObservation(
  record: ReplicaRecord,
  observation: { readonly type: string } & Readonly<Record<string, unknown>>,
): ReplicaRecord {
  const { next, pending } = record.observations;
  return {
    ...record,
    observations: { next: next + 1, pending: [...pending, { ...observation, observation: next }] },
  };
}
