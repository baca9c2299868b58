/**
 * The engine's control socket: JSON lines, one object per line, at most `lineBytesMax` bytes.
 *
 * Controller → engine: `{id, order, …}`. Engine → controller: `{id, ok: true, …result}` or
 * `{id, ok: false, code, message}`, in the order in which the orders end, not in which they came.
 * Orders are idempotent: one that asks for what already is answers `ok`.
 *
 * Engine → controller, unasked: `{observation: n, at, type, …}` are numbered without a gap and lie durably beside
 * the replica until `{order: 'acknowledge', observation: n}` (which covers all up to n); after a reconnect they come
 * again from the oldest unacknowledged on. `{notice: type, …}` are not numbered and not repeated: what they say can
 * be read from `status` at any time.
 *
 * A controller counts as alive while a line came from it within heartbeat × lost-after: send `status` or `ping` at
 * each heartbeat. While one is alive, it concludes that a peer is lost (`peer-lost`); without one the engine's own
 * links do (REQUIREMENTS 1, *lost*).
 */
import { z } from 'zod';
import { mirrorStatuses } from '../../domain/state.ts';
import {
  AbsolutePath,
  Epoch,
  Generation,
  Mode,
  NodeName,
  Tag,
  VolumeName,
  WallTime,
} from '../../domain/vocabulary.ts';

export const lineBytesMax = 1024 * 1024;

const Count = z.int().min(0);
const Port = z.int().min(0).max(65_535);
const Reason = z.string().min(1).max(200);
const id = z.union([z.string().max(100), z.number()]);

const order = <Name extends string, Shape extends z.core.$ZodLooseShape>(name: Name, shape: Shape) =>
  z.strictObject({ id, order: z.literal(name), ...shape });

export const EndpointSchema = z.strictObject({ host: z.string().min(1).max(255), port: Port });

/** Settings of the resource on this node; each has a default, a later `settings` order changes any of them. */
export const ResourceSettings = z.strictObject({
  heartbeatMs: z.int().min(50).max(60_000).default(1000),
  lostAfter: z.int().min(2).max(100).default(5),
  writeTimeoutMs: z.int().min(100).default(30_000),
  /** A region stays marked for once to twice this long after its last write; then it may cost I/O again. */
  clearAfterMs: z.int().min(10).default(5000),
  /** Bytes per second; the resync keeps to at least the first even when the application is busy. */
  resyncMin: z
    .int()
    .min(0)
    .default(4 * 1024 * 1024),
  /** Bytes per second; 0 = no limit. */
  resyncMax: z.int().min(0).default(0),
  /** A resync compares checksums first and copies only the regions in which they differ. */
  resyncChecksums: z.boolean().default(false),
});
export type ResourceSettings = z.infer<typeof ResourceSettings>;

/** The pair of this node and a peer: defined alike whichever of them is the source. */
export const PeerSettings = z.strictObject({
  mode: Mode.default('sync'),
  /** Writes that an async mirror may have outstanding. */
  asyncLimit: z.int().min(1).max(1_000_000).default(256),
  /** Of what is written and copied: 0 off, 1 quickest, 9 smallest. */
  compress: z.int().min(0).max(9).default(0),
});
export type PeerSettings = z.infer<typeof PeerSettings>;

export const orders = {
  /**
   * Opens or, with `create`, makes the replica. Without `create` a folder without metadata is refused
   * (`no-metadata`); with it, metadata of another resource is refused (`foreign-replica`), of this one kept.
   */
  open: order('open', {
    cluster: z.string().min(1).max(63),
    tag: Tag,
    /** The id of the `resource.created` event. */
    resource: z.string().min(1).max(200),
    node: NodeName,
    volumes: z
      .array(
        z.strictObject({ name: VolumeName, path: AbsolutePath, byteSize: z.int().positive().optional() }),
      )
      .min(1)
      .max(64),
    /** Where `metadata` lies. A volume's `byteSize` is that of the resource; the path may be larger (default: its size). */
    folder: AbsolutePath,
    /** Where the intent logs lie; `none`: every resync is full. */
    intentLogs: z.union([AbsolutePath, z.literal('none')]),
    /** File with the cluster's link key. */
    keyFile: AbsolutePath,
    listen: EndpointSchema,
    settings: ResourceSettings.optional(),
    create: z.boolean().default(false),
    /** With `create`: this replica's data is the beginning (rule 1), not something to be overwritten. */
    isFirst: z.boolean().default(false),
    /** With `create`: the volumes are a copy of the source's, made since its baseline at this generation. */
    baseline: Generation.optional(),
  }),
  /** A replica that there is; keeps a link to it. Opens its intent logs (all ones for a new peer, unless `baseline`). */
  connect: order('connect', {
    peer: NodeName,
    endpoints: z.array(EndpointSchema).min(1).max(8),
    settings: PeerSettings.optional(),
    /** An operator has paused the mirror to it, and why. */
    pauseReason: Reason.nullable().default(null),
    /** A new peer: one of the two is a copy of the other, made since its baseline (`extend --no-full-sync`). */
    baseline: z.boolean().default(false),
  }),
  /** The peer's link is closed and it is forgotten, its intent logs included (rule 3). Refused while it is followed. */
  disconnect: order('disconnect', { peer: NodeName }),
  /** Serve as source. `force`: without being in sync, after an operator accepted the loss (rule 11). */
  serve: order('serve', {
    epoch: Epoch,
    force: z.boolean().default(false),
    /** Known to be lost, or to have recorded themselves out of sync: nothing waits for them. */
    without: z.array(NodeName).max(8).default([]),
    readOnly: z.boolean().default(false),
    /** Unix socket of the NBD exports; default `DIR/nbd.sock`. */
    socket: AbsolutePath.optional(),
    tcp: EndpointSchema.optional(),
  }),
  /** Follow whoever serves with this epoch or a higher one. */
  'become-target': order('become-target', { epoch: Epoch }),
  /** Source: freeze, flush, drain, close the exports. Target: flush, follow nobody. The replica keeps its data. */
  'leave-service': order('leave-service', {
    /** Source, after a conflict: nothing in flight is waited for, and none of it is acknowledged. */
    abandon: z.boolean().default(false),
  }),
  /** Rule 6, steps 2 to 4. Ends when this replica's metadata says "handed to `to`, `epoch`". */
  'hand-over': order('hand-over', { to: NodeName, epoch: Epoch }),
  /** After a hand-over that the other side promised not to use: this replica may serve again. */
  'take-back': order('take-back', { epoch: Epoch }),
  pause: order('pause', { peer: NodeName, reason: Reason }),
  resume: order('resume', { peer: NodeName }),
  /** On the source: compares everything with a target in sync, beside the writes. Ends when it has begun. */
  verify: order('verify', { peer: NodeName }),
  /** On the source. `full` copies everything and overrides the generations (rules 12 and 13). */
  resync: order('resync', {
    peer: NodeName,
    kind: z.enum(['partial', 'full']),
    force: z.boolean().default(false),
  }),
  /** Told by the agent: the peer says over the bus that it has durably recorded itself out of sync. */
  'peer-recorded-out-of-sync': order('peer-recorded-out-of-sync', { peer: NodeName }),
  /** Told by the agent: lost as REQUIREMENTS 1 defines it. */
  'peer-lost': order('peer-lost', { peer: NodeName }),
  /** Asked by the source over the bus. Ends when it is durable: the reply is what may be told to the source. */
  'record-out-of-sync': order('record-out-of-sync', { source: NodeName, epoch: Epoch }),
  /**
   * Rule 7: stores the epoch and its candidate, closes the link of the source so far; refuses `source-alive` if that
   * one was heard within heartbeat × lost-after, `stale-epoch` if as high a one is served or promised.
   */
  promise: order('promise', { epoch: Epoch, to: NodeName }),
  /** Rule 7 with the bus silent: asks a peer's engine over the link. */
  'ask-promise': order('ask-promise', { peer: NodeName, epoch: Epoch }),
  /** Any of the settings, of the resource or, with `peer`, of the pair. In force at once. */
  settings: order('settings', {
    peer: NodeName.optional(),
    settings: z.strictObject({
      heartbeatMs: ResourceSettings.shape.heartbeatMs.unwrap().optional(),
      lostAfter: ResourceSettings.shape.lostAfter.unwrap().optional(),
      writeTimeoutMs: ResourceSettings.shape.writeTimeoutMs.unwrap().optional(),
      clearAfterMs: ResourceSettings.shape.clearAfterMs.unwrap().optional(),
      resyncMin: ResourceSettings.shape.resyncMin.unwrap().optional(),
      resyncMax: ResourceSettings.shape.resyncMax.unwrap().optional(),
      resyncChecksums: ResourceSettings.shape.resyncChecksums.unwrap().optional(),
      mode: Mode.optional(),
      asyncLimit: PeerSettings.shape.asyncLimit.unwrap().optional(),
      compress: PeerSettings.shape.compress.unwrap().optional(),
    }),
  }),
  flags: order('flags', { lastOwner: z.boolean().optional(), dataCorrupt: z.boolean().optional() }),
  /** The intent log for a peer, per volume: how many regions are marked. */
  examine: order('examine', { peer: NodeName }),
  /** The operator swears that the copies are equal. Without a peer: a baseline begins (REQUIREMENTS 2.6). */
  'mark-clean': order('mark-clean', { peer: NodeName.optional() }),
  'mark-dirty': order('mark-dirty', { peer: NodeName }),
  /** The journal's head that this node has durably written, kept beside the replica (FAULTS 20). */
  'journal-head': order('journal-head', {
    incarnation: Count,
    sequence: Count,
    hash: z.string().max(128),
  }),
  acknowledge: order('acknowledge', { observation: Count }),
  status: order('status', {}),
  ping: order('ping', {}),
  /** Leaves service in order and exits with code 0. */
  stop: order('stop', {}),
} as const;

export const Order = z.discriminatedUnion('order', [
  orders.open,
  orders.connect,
  orders.disconnect,
  orders.serve,
  orders['become-target'],
  orders['leave-service'],
  orders['hand-over'],
  orders['take-back'],
  orders.pause,
  orders.resume,
  orders.verify,
  orders.resync,
  orders['peer-recorded-out-of-sync'],
  orders['peer-lost'],
  orders['record-out-of-sync'],
  orders.promise,
  orders['ask-promise'],
  orders.settings,
  orders.flags,
  orders.examine,
  orders['mark-clean'],
  orders['mark-dirty'],
  orders['journal-head'],
  orders.acknowledge,
  orders.status,
  orders.ping,
  orders.stop,
]);
export type Order = z.infer<typeof Order>;
export type OrderName = Order['order'];

/** Why an order was not carried out; nothing has changed then. */
export const orderRefusals = [
  'invalid-request',
  'not-open',
  'already-open',
  'no-metadata',
  'foreign-replica',
  'path-missing',
  'path-in-use',
  'device-failed',
  'unknown-peer',
  'not-source',
  'is-source',
  'stale-epoch',
  'source-alive',
  'handed-over',
  'target-out-of-sync',
  'target-inconsistent',
  'target-paused',
  'target-resyncing',
  'target-unreachable',
  'not-paused',
  'already-paused',
  'split-brain',
  'unrelated-data',
  'target-too-small',
  'no-baseline',
  'device-in-use',
  'stopping',
] as const;
export type OrderRefusal = (typeof orderRefusals)[number];

const observed = <Name extends string, Shape extends z.core.$ZodLooseShape>(name: Name, shape: Shape) =>
  z.object({ type: z.literal(name), ...shape });

/** Durable and numbered: each is (or explains) an event of REQUIREMENTS 4. */
export const Observation = z.discriminatedUnion('type', [
  observed('served', { epoch: Epoch, forced: z.boolean() }),
  observed('left-service', { epoch: Epoch }),
  observed('handed-over', { to: NodeName, epoch: Epoch }),
  /** `absent`: the peers that are out of sync as it begins, without which it is written. */
  observed('generation-started', {
    generation: Generation,
    before: Generation.nullable(),
    absent: z.array(NodeName),
  }),
  /** From here on writes are acknowledged without the peer (REQUIREMENTS 2.3). */
  observed('peer-out-of-sync', {
    peer: NodeName,
    since: Generation.nullable(),
    because: z.enum(['recorded', 'lost', 'paused', 'returned', 'failed', 'new']),
  }),
  /** This replica has recorded itself out of sync. */
  observed('out-of-sync', { source: NodeName.nullable(), epoch: Epoch, because: z.string().max(200) }),
  observed('promised', { to: NodeName, epoch: Epoch }),
  observed('paused', { peer: NodeName, reason: z.string() }),
  observed('resumed', { peer: NodeName }),
  observed('resync-started', {
    peer: NodeName,
    kind: z.enum(['full', 'partial']),
    row: z.string(),
    bytes: Count,
  }),
  observed('resync-interrupted', { peer: NodeName, bytesLeft: Count }),
  observed('resync-completed', { peer: NodeName, kind: z.enum(['full', 'partial']), bytes: Count }),
  observed('verify-interrupted', { peer: NodeName, percent: z.int().min(0).max(100) }),
  /** `differing` regions, marked for the next resync; `ranges`: the first of them. */
  observed('verify-completed', {
    peer: NodeName,
    bytes: Count,
    differing: Count,
    ranges: z.array(z.object({ volume: VolumeName, first: Count, last: Count })),
  }),
  observed('split-brain', { peer: NodeName, since: Generation.nullable() }),
  observed('unrelated-data', { peer: NodeName }),
  observed('target-too-small', { peer: NodeName, volume: VolumeName }),
  observed('epoch-conflict', { peer: NodeName, epoch: Epoch }),
  observed('disk-failed', { volume: VolumeName, code: z.string(), during: z.string() }),
  observed('intent-log-invalid', { volume: VolumeName, peer: NodeName, because: z.string() }),
  observed('marked-clean', { peer: NodeName }),
  observed('marked-dirty', { peer: NodeName }),
  /** Stands for the observations `from` to its own number, which would not fit. */
  observed('collapsed', { from: Count }),
]);
export type Observation = z.infer<typeof Observation>;

export const NumberedObservation = z.object({ observation: Count, at: WallTime }).and(Observation);
export type NumberedObservation = z.infer<typeof NumberedObservation>;

/** What every observation has, of whatever version. */
export const AnyObservation = z.object({ observation: Count, type: z.string().min(1).max(100) });

export const Notice = z.discriminatedUnion('notice', [
  z.object({ notice: z.literal('connected'), peer: NodeName }),
  z.object({ notice: z.literal('disconnected'), peer: NodeName, because: z.string() }),
  /** A mirror that writes wait for does not answer: the peer is to be asked over other paths (`record-out-of-sync`). */
  z.object({
    notice: z.literal('stalled'),
    peer: NodeName,
    because: z.enum(['disconnected', 'write-timeout']),
  }),
  z.object({ notice: z.literal('link-corruption'), peer: NodeName, count: Count }),
  z.object({ notice: z.literal('congested'), peer: NodeName, congested: z.boolean() }),
  z.object({
    notice: z.literal('verify-progressed'),
    peer: NodeName,
    percent: z.int().min(0).max(100),
  }),
  z.object({
    notice: z.literal('resync-progressed'),
    peer: NodeName,
    percent: z.int().min(0).max(100),
    bytesLeft: Count,
    speedBytesPerSecond: Count,
    etaSeconds: Count.nullable(),
  }),
]);
export type Notice = z.infer<typeof Notice>;

/** One other replica, as this engine sees it. */
export const PeerStatus = z.object({
  peer: NodeName,
  connected: z.boolean(),
  heardMsAgo: Count.nullable(),
  mode: Mode,
  /** Of the mirror to this peer while this replica is the source; null otherwise. */
  status: z.enum(mirrorStatuses).nullable(),
  refusal: z.string().nullable(),
  /** The peer's own word, from its last `state`. */
  theirs: z
    .object({
      role: z.enum(['source', 'target', 'none']),
      epoch: Epoch,
      promised: Epoch,
      inSync: z.boolean(),
      consistent: z.boolean(),
      paused: z.string().nullable(),
      generation: Generation.nullable(),
    })
    .nullable(),
  dirtyRegions: Count,
  regions: Count,
  queuedWrites: Count,
  queuedBytes: Count,
  /** Since when the oldest write waits for it. */
  waitingMs: Count,
  congested: z.boolean(),
  percent: z.int().min(0).max(100).nullable(),
  speedBytesPerSecond: Count.nullable(),
  etaSeconds: Count.nullable(),
  corruptFrames: Count,
  sessions: Count,
});
export type PeerStatus = z.infer<typeof PeerStatus>;

export const EngineStatus = z.object({
  open: z.boolean(),
  pid: Count,
  replica: z
    .object({
      cluster: z.string(),
      tag: Tag,
      resource: z.string(),
      node: NodeName,
      volumes: z.array(z.object({ name: VolumeName, byteSize: Count })),
      role: z.enum(['source', 'target', 'none']),
      serving: z.boolean(),
      /** The URIs of the NBD exports while serving. */
      exports: z.array(z.object({ volume: VolumeName, uri: z.string() })),
      /** Connected NBD clients of each export; nothing from an engine of an earlier version. */
      clients: z.array(z.object({ volume: VolumeName, connections: Count })).default([]),
      epoch: Epoch,
      promised: Epoch,
      lastOwner: z.boolean(),
      dataCorrupt: z.boolean(),
      inSync: z.boolean(),
      consistent: z.boolean(),
      paused: z.string().nullable(),
      resyncing: z.object({ source: NodeName, kind: z.enum(['full', 'partial']) }).nullable(),
      handedTo: z.object({ node: NodeName, epoch: Epoch }).nullable(),
      generation: Generation.nullable(),
      /** The generation since which changes are tracked for copies that are yet to come. */
      baseline: Generation.nullable(),
      failed: z.string().nullable(),
      journalHead: z.object({ incarnation: Count, sequence: Count, hash: z.string() }).nullable(),
      /** Of the replication port, once it listens. */
      port: Port.nullable(),
      writesInFlight: Count,
    })
    .nullable(),
  peers: z.array(PeerStatus),
  observations: z.object({ next: Count, pending: Count }),
});
export type EngineStatus = z.infer<typeof EngineStatus>;

/** `bitmap examine`, per volume. */
export const Examination = z.object({
  volumes: z.array(z.object({ volume: VolumeName, regions: Count, dirtyRegions: Count })),
});
export type Examination = z.infer<typeof Examination>;
