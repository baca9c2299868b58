import type { StatusMirror } from '../../projections/status.ts';
import { type Lab, volumeBytes } from './lab.ts';
import { blockBytes, Ledger, readDevice, type Verified, withVolume } from './ledger.ts';
import { connectNbd, type NbdClient } from './nbd-client.ts';
import type { Operator } from './operator.ts';

export const newLedger = (): Ledger => new Ledger(volumeBytes / blockBytes);

/** The device that the node serves, as an application would open it: its NBD export. */
export async function openDevice(operator: Operator, node: string): Promise<NbdClient> {
  const { device } = await operator.until(node, `a device on ${node}`, (status) => status.device.length > 0);
  return connectNbd(device[0]?.uri ?? '');
}

/** Opens the device for the time of the work. */
export async function withDevice<T>(
  operator: Operator,
  node: string,
  work: (device: NbdClient) => Promise<T>,
): Promise<T> {
  const device = await openDevice(operator, node);
  try {
    return await work(device);
  } finally {
    device.close();
  }
}

/** Random data, each acknowledged write with its checksum in the ledger, flushed at the end. */
export async function writeBlocks(device: NbdClient, ledger: Ledger, blockCount: number): Promise<void> {
  for (let written = 0; written < blockCount; written += 1) await ledger.write(device);
  await device.flush();
}

export interface Load {
  /** Resolves when the device no longer answers: with how many writes it had acknowledged. */
  readonly ended: Promise<number>;
}

/** Writes for as long as the device answers. Resolves after the first `leastCount` writes. */
export async function startLoad(
  operator: Operator,
  node: string,
  ledger: Ledger,
  leastCount: number,
): Promise<Load> {
  const device = await openDevice(operator, node);
  let acknowledged = 0;
  let ended: Promise<number> = Promise.resolve(0);
  await new Promise<void>((warm) => {
    const run = async () => {
      try {
        for (;;) {
          await ledger.write(device);
          acknowledged += 1;
          if (acknowledged === leastCount) warm();
        }
      } catch {
        device.close();
        warm();
        return acknowledged;
      }
    };
    ended = run();
  });
  return { ended };
}

export const verifyDevice = (device: NbdClient, ledger: Ledger, blockCount?: number): Promise<Verified> =>
  ledger.verify(readDevice(device), blockCount);

/** A copy that is up to date, compared behind its engine's back. */
export const verifyCopy = (lab: Lab, node: string, ledger: Ledger, blockCount?: number): Promise<Verified> =>
  withVolume(lab.node(node).volume, (read) => ledger.verify(read, blockCount));

/** Nodes other than the source whose copy holds every acknowledged write. */
export async function copiesOf(operator: Operator, source: string): Promise<string[]> {
  const status = await operator.statusAt(source);
  return (status?.mirrors ?? [])
    .filter((mirror) => mirror.status === 'fully-operational' && hasEveryWrite(mirror))
    .map(({ target }) => target);
}

/** Regions may be marked for a while longer than their writes are under way. */
export const hasEveryWrite = ({ behind }: StatusMirror): boolean => behind === null || behind.writes === 0;
