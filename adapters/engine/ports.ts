import type { NodeName } from '../../domain/vocabulary.ts';
import type { BlockDevice, Done } from '../block/block-device.ts';
import type { IntentLog } from '../block/intent-log.ts';
import type { IntentLogOptions } from '../block/open-intent-log.ts';
import type { ReplicaMetadata } from '../block/replica-metadata.ts';
import type { ReplicaIdentity, ReplicaRecord } from '../block/replica-record.ts';
import type { Link, LinkEvents, LinkIdentity, LinkTimings } from '../link/link.ts';
import type { Endpoint } from '../link/transport.ts';
import type { Export } from '../nbd/export.ts';
import type { Clock } from './clock.ts';

/** Where the bytes of a replica lie: files and devices in reality, a disk that fails in the simulation. */
export interface Storage {
  /** For this process alone. Errors: `path-missing`, `path-in-use`, or the system's. */
  openVolume(path: string, done: (error: Error | null, device: BlockDevice | null) => void): void;
  /** `fresh`: the record of a replica that is made, where there is none yet; null: there must be one. */
  openMetadata(
    folder: string,
    expected: ReplicaIdentity,
    fresh: ReplicaRecord | null,
    done: (error: Error | null, metadata: ReplicaMetadata | null) => void,
  ): void;
  /** `folder` null: none is kept. */
  openIntentLog(
    folder: string | null,
    options: Omit<IntentLogOptions, 'device'>,
    done: (error: Error | null, log: IntentLog | null) => void,
  ): void;
  /** Lets go of what `openMetadata` took for this process alone. */
  release(folder: string, done: Done): void;
}

/** The links of one engine: one listener, one link per peer. */
export interface Network {
  readonly port: number | null;
  link(peer: NodeName, events: LinkEvents): Link;
  forget(link: Link): void;
  close(): void;
}

export interface NetworkOptions {
  readonly identity: LinkIdentity;
  readonly keyFile: string;
  readonly timings: LinkTimings;
  readonly listen: Endpoint;
}

/** What offers exports to NBD clients. */
export interface ExportServer {
  offer(exports: readonly Export[], unixSocket: string, tcp: Endpoint | null, done: Done): void;
  /** Done when nothing of a client is in flight any more. */
  withdraw(exports: readonly Export[], done: Done): void;
  /** Of an export that is on offer. */
  uri(offered: Export): string;
  /** Clients that have the export open at this moment. */
  clients(offered: Export): number;
}

/** The world as an engine sees it: everything that may fail, wait or surprise. */
export interface EnginePorts {
  readonly clock: Clock;
  /** Milliseconds since 1970; shown, never compared. */
  readonly wallTimeMs: () => number;
  /** After what is under way, before anything new comes in: replies to one batch of messages leave together. */
  readonly soon: (run: () => void) => void;
  readonly randomHex: (byteCount: number) => string;
  readonly storage: Storage;
  readonly openNetwork: (
    options: NetworkOptions,
    ready: (error: Error | null, network: Network | null) => void,
  ) => void;
  readonly exports: ExportServer;
}
