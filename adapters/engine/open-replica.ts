import { adoptBaseline, createGeneration, recordOutOfSync } from '../../domain/generation-state.ts';
import { Generation, type NodeName } from '../../domain/vocabulary.ts';
import type { BlockDevice, Done } from '../block/block-device.ts';
import type { ReplicaMetadata } from '../block/replica-metadata.ts';
import { newReplicaRecord, type ReplicaIdentity, type ReplicaRecord } from '../block/replica-record.ts';
import type { Order } from './control-protocol.ts';
import type { EnginePorts } from './ports.ts';
import { Refused } from './refusal.ts';
import { Replica } from './replica.ts';
import { allOf, inSequence, type Step } from './sequence.ts';
import { Volume } from './volume.ts';

export type OpenOrder = Extract<Order, { order: 'open' }>;
type Opened = (error: Error | null, replica: Replica | null) => void;

/**
 * Opens the volumes, the metadata and the intent logs of a replica, in that order: nothing is written to metadata
 * before every volume is this process's own. What was opened is closed again when a later step fails.
 */
export function openReplica(order: OpenOrder, ports: EnginePorts, changed: () => void, done: Opened): void {
  const devices: (BlockDevice | undefined)[] = [];
  const volumes: Volume[] = [];
  let metadata: ReplicaMetadata | null = null;
  const openVolumes = order.volumes.map(
    ({ path }, index): Step =>
      (next) => {
        ports.storage.openVolume(path, (error, device) => {
          if (device !== null) devices[index] = device;
          next(error);
        });
      },
  );
  const size: Step = (next) => {
    for (const [index, { name, path, byteSize }] of order.volumes.entries()) {
      const device = devices[index];
      if (device === undefined) continue;
      if (device.byteSize < (byteSize ?? 1)) {
        next(
          new Refused('target-too-small', `${path} has ${device.byteSize} bytes, the volume has ${byteSize}`),
        );
        return;
      }
      volumes.push(new Volume(index, name, byteSize ?? device.byteSize, device));
    }
    next(null);
  };
  const openMetadata: Step = (next) => {
    const identity = identityOf(order, volumes);
    const fresh = order.create ? freshRecord(order, identity, ports) : null;
    ports.storage.openMetadata(order.folder, identity, fresh, (error, opened) => {
      metadata = opened;
      next(error);
    });
  };
  inSequence([...openVolumes, size, openMetadata], (error) => {
    if (error !== null || metadata === null) {
      const closing = devices.map(
        (device): Step =>
          (next) =>
            device ? device.close(next) : next(null),
      );
      allOf(closing, () => done(error, null));
      return;
    }
    const replica = new Replica(volumes, metadata, ports, changed);
    const peers = Object.keys(replica.record.generation.peers) as NodeName[];
    if (replica.record.baseline !== null) peers.push(replica.node);
    const logs = peers.map(
      (peer): Step =>
        (next) =>
          openLogs(replica, order, ports, peer, next),
    );
    inSequence([(next) => settle(replica, next), ...logs], (failure) => done(failure, replica));
  });
}

/** Opens the logs for a peer; a known one whose bits are not to be believed is reported (FAULTS 17). */
export function openLogs(
  replica: Replica,
  { cluster, tag, resource, node, intentLogs }: OpenOrder,
  ports: EnginePorts,
  peer: NodeName,
  done: Done,
): void {
  const known = replica.record.generation.peers[peer];
  const steps = replica.volumes.map(
    (volume): Step =>
      (next) => {
        const options = {
          identity: { cluster, tag, resource, node, peer, volume: volume.name },
          volumeByteSize: volume.byteSize,
          recordedInvalid: known?.intentLog === 'invalid',
          createdGeneration: replica.record.generation.current,
        };
        ports.storage.openIntentLog(intentLogs === 'none' ? null : intentLogs, options, (error, log) => {
          if (log === null) {
            next(error);
            return;
          }
          log.marksAhead = () => replica.record.generation.peers[peer]?.outOfSync === false;
          volume.addLog(peer, log);
          const { reason } = log;
          if (known === undefined || known.intentLog !== 'kept' || reason === null) next(null);
          else replica.logInvalid(volume, peer, reason, next);
        });
      },
  );
  allOf(steps, done);
}

function identityOf(order: OpenOrder, volumes: readonly Volume[]): ReplicaIdentity {
  const { cluster, tag, resource, node } = order;
  return { cluster, tag, resource, node, volumes: volumes.map(({ name, byteSize }) => ({ name, byteSize })) };
}

function freshRecord(order: OpenOrder, identity: ReplicaIdentity, ports: EnginePorts): ReplicaRecord {
  const record = newReplicaRecord(identity);
  if (order.isFirst) return createGeneration(record, Generation.parse(ports.randomHex(8)));
  return order.baseline === undefined ? record : adoptBaseline(record, order.baseline);
}

/**
 * A replica that died while it followed may have lost writes that it had acknowledged and not flushed: it is out of
 * sync until it has met its source again. One that died while it served says so itself (`crashedSource`). Neither is
 * in a role until it is ordered to be.
 */
function settle(replica: Replica, done: Done): void {
  const { role, inSync, epoch } = replica.record;
  if (role === 'none') {
    done(null);
    return;
  }
  const leave = (record: ReplicaRecord): ReplicaRecord => ({ ...record, role: 'none' });
  if (role === 'source' || !inSync) {
    replica.update(leave, done);
    return;
  }
  const observation = {
    type: 'out-of-sync',
    source: null,
    epoch,
    because: 'it died while it followed',
  } as const;
  replica.observe(observation, (record) => leave(recordOutOfSync(record)), done);
}
