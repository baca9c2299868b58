import type { Done } from '../../adapters/block/block-device.ts';
import {
  type IntentLogOptions,
  intentLogByteSize,
  openIntentLog,
} from '../../adapters/block/open-intent-log.ts';
import {
  createReplicaMetadata,
  openReplicaMetadata,
  type ReplicaMetadata,
} from '../../adapters/block/replica-metadata.ts';
import { metadataByteSize } from '../../adapters/block/replica-metadata-codec.ts';
import { intentLogPath, metadataPath } from '../../adapters/block/replica-paths.ts';
import type {
  EnginePorts,
  ExportServer,
  Network,
  NetworkOptions,
  Storage,
} from '../../adapters/engine/ports.ts';
import { LinkListener } from '../../adapters/link/link-listener.ts';
import { LinkSocket } from '../../adapters/link/link-socket.ts';
import type { Export } from '../../adapters/nbd/export.ts';
import type { SimulatedDisk } from './disk.ts';
import type { SimulatedNetwork } from './network.ts';
import type { SimulatedProcess } from './process.ts';
import type { World } from './world.ts';

/** The clients of a host's exports: the simulated application. */
export interface Clients {
  arrive(exports: readonly Export[]): void;
  /** Done when nothing is in flight any more. */
  leave(done: () => void): void;
}

export interface Surroundings {
  readonly world: World;
  readonly hostName: string;
  readonly process: SimulatedProcess;
  readonly disk: SimulatedDisk;
  readonly network: SimulatedNetwork;
  readonly linkKey: Uint8Array;
  readonly clients: Clients;
}

/** An engine's ports in the simulated world: the formats on disk and the link are the real ones, over its devices. */
export function simulatedPorts(around: Surroundings): EnginePorts {
  const { world, hostName, process } = around;
  const random = world.random.fork(`engine ${hostName}`);
  const randomBytes = (byteCount: number) => random.bytes(byteCount);
  return {
    clock: process.clock,
    wallTimeMs: () => 1_700_000_000_000 + Math.floor(world.nowMs),
    soon: (run) => world.after(0, () => process.enter(run)),
    randomHex: (byteCount) => randomBytes(byteCount).toString('hex'),
    storage: simulatedStorage(around),
    openNetwork: (options, ready) => openNetwork(around, randomBytes, options, ready),
    exports: exportServer(around),
  };
}

function simulatedStorage({ world, process, disk }: Surroundings): Storage {
  const later = (run: () => void) => world.after(0, () => process.enter(run));
  return {
    openVolume: (path, done) =>
      later(() => {
        if (disk.has(path)) done(null, disk.file(path).open(process));
        else done(Object.assign(new Error(`${path} is missing`), { code: 'path-missing' }), null);
      }),
    openMetadata: (folder, expected, fresh, done) => {
      const path = metadataPath(folder);
      const open = () => later(() => openReplicaMetadata(disk.file(path).open(process), expected, done));
      if (disk.has(path)) {
        open();
        return;
      }
      if (fresh === null) {
        const missing = new Error(`there is no replica metadata in ${folder}`);
        later(() => done(Object.assign(missing, { code: 'metadata-missing' }), null));
        return;
      }
      // As the real one does: complete under another name, then its own, then open.
      const file = disk.create(`${path}.new`, metadataByteSize);
      const made = (error: Error | null, metadata: ReplicaMetadata | null) => {
        if (metadata === null) {
          done(error, null);
          return;
        }
        metadata.close(() => {
          disk.rename(`${path}.new`, path);
          open();
        });
      };
      createReplicaMetadata(file.open(process), fresh, made);
    },
    openIntentLog: (folder, options, done) =>
      later(() => {
        const device = folder === null ? null : bitmapFile(disk, folder, options).open(process);
        openIntentLog({ ...options, device }, (log) => done(null, log));
      }),
    release: (_folder, done) => later(() => done(null)),
  };
}

function bitmapFile(disk: SimulatedDisk, folder: string, options: Omit<IntentLogOptions, 'device'>) {
  const { identity, volumeByteSize } = options;
  const path = intentLogPath(folder, identity.volume, identity.peer);
  return disk.has(path) ? disk.file(path) : disk.create(path, intentLogByteSize(volumeByteSize));
}

function openNetwork(
  around: Surroundings,
  random: (byteCount: number) => Uint8Array,
  { identity, timings, listen }: NetworkOptions,
  ready: (error: Error | null, network: Network | null) => void,
): void {
  const transport = around.network.transport(around.hostName, around.process);
  const settings = { identity, key: around.linkKey, timings, transport, clock: around.process.clock, random };
  const links = new Set<LinkSocket>();
  const listener = new LinkListener(settings, listen, {
    ready: (error) => ready(error, error === null ? opened : null),
    refused: (fault) => around.world.count(`link refused: ${fault}`),
  });
  const opened: Network = {
    port: listen.port,
    link: (peer, events) => {
      const link = new LinkSocket(settings, peer, {
        ...events,
        established: (sessionId) => events.established(sessionId),
        received: (message) => events.received(message),
        drained: () => events.drained(),
        ended: (fault) => {
          around.world.count(`link ended: ${fault}`);
          events.ended(fault);
        },
        refused: (fault) => events.refused(fault),
      });
      links.add(link);
      listener.add(link);
      return link;
    },
    forget: (link) => {
      for (const known of links) {
        if (known !== link) continue;
        listener.remove(known);
        links.delete(known);
      }
    },
    close: () => {
      listener.close();
      for (const link of links) link.close();
    },
  };
}

function exportServer({ world, process, clients }: Surroundings): ExportServer {
  return {
    offer: (exports, _unixSocket, _tcp, done: Done) => {
      world.after(0, () =>
        process.enter(() => {
          done(null);
          clients.arrive(exports);
        }),
      );
    },
    withdraw: (_exports, done) => clients.leave(() => process.enter(() => done(null))),
    uri: ({ volume, epoch }) => `sim:${volume}@${epoch}`,
    clients: () => 0,
  };
}
