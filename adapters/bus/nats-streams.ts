import {
  DiscardPolicy,
  type JetStreamManager,
  type NatsConnection,
  type NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from 'nats';
import { bucketName, bucketStreamName, type ClusterName, journalSubject, streamName } from './subjects.ts';

/**
 * What the agents create in JetStream, with its limits. It serves outside readers: no rule of safety rests on it
 * (DESIGN 2), and it may be lost at any time. Only features of nats-server 2.9.
 */

const mebibyte = 1024 * 1024;
const dayMs = 24 * 60 * 60 * 1000;

const common = {
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  max_msg_size: mebibyte,
  duplicate_window: nanos(2 * 60 * 1000),
} as const;

/** Every node's events, as they are published; the oldest go first. */
export const journalStream = (cluster: ClusterName): Partial<StreamConfig> & { name: string } => ({
  ...common,
  name: streamName(cluster),
  subjects: [journalSubject(cluster, '*')],
  discard: DiscardPolicy.Old,
  max_bytes: 512 * mebibyte,
  max_age: nanos(90 * dayMs),
});

/**
 * A bucket of NATS KV. It keeps the last values of each key, so that a watcher a little behind still gets each
 * change. Reads go to the leader, because writes compare and set.
 */
export const viewsStream = (cluster: ClusterName): Partial<StreamConfig> & { name: string } => ({
  ...common,
  name: bucketStreamName(cluster),
  subjects: [`$KV.${bucketName(cluster)}.>`],
  max_msgs_per_subject: 16,
  discard: DiscardPolicy.New,
  max_bytes: 64 * mebibyte,
  allow_rollup_hdrs: true,
  allow_direct: false,
});

/** A cluster whose JetStream has no leader yet drops requests: looking again soon is better than waiting. */
const lookMsMax = 2000;
export const jetStreamMsMax = 5000;

/** Permissions are not checked first: a user need not see the account. */
export const streamManager = (nats: NatsConnection): Promise<JetStreamManager> =>
  nats.jetstreamManager({ checkAPI: false, timeout: lookMsMax });

export async function findStream(jsm: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  return jsm.streams.info(name).catch((error: NatsError) => {
    if (error.api_error?.code === 404) return undefined;
    throw error;
  });
}

/** Finds or creates it: three copies where there are servers for them, else one; never two (DESIGN 4). */
export async function ensureStream(
  jsm: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
): Promise<StreamInfo> {
  const present = await findStream(jsm, config.name);
  if (present === undefined) return createStream(jsm, config);
  if (present.cluster === undefined || present.config.num_replicas > 1) return present;
  return jsm.streams.update(config.name, { num_replicas: 3 }).catch(() => present);
}

async function createStream(
  jsm: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
): Promise<StreamInfo> {
  return jsm.streams
    .add({ ...config, num_replicas: 3 })
    .catch((error: NatsError) => {
      if (error.api_error === undefined) throw error;
      return jsm.streams.add({ ...config, num_replicas: 1 });
    })
    .catch(async (error: unknown) => {
      const byAnother = await findStream(jsm, config.name);
      if (byAnother === undefined) throw error;
      return byAnother;
    });
}
