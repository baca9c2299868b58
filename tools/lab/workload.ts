import { type Lab, labTag, volumeBytes } from './lab.ts';
import { blockBytes, Ledger, readDevice, type Verified, withVolume } from './ledger.ts';
import { connectNbd, type NbdClient } from './nbd-client.ts';
import type { Operator } from './operator.ts';

export const newLedger = (): Ledger => new Ledger(volumeBytes / blockBytes);

/** Works on the device that the node serves, as an application would: by its NBD export. */
export async function withDevice<T>(
  operator: Operator,
  node: string,
  work: (device: NbdClient) => Promise<T>,
): Promise<T> {
  const status = await operator.until(node, `a device on ${node}`, ({ device }) => device.length > 0);
  const device = await connectNbd(status.device[0]?.uri ?? '');
  try {
    return await work(device);
  } finally {
    device.close();
  }
}

/** Random data, each acknowledged write with its checksum in the ledger, flushed at the end. */
export function writeBlocks(
  operator: Operator,
  node: string,
  ledger: Ledger,
  blockCount: number,
): Promise<void> {
  return withDevice(operator, node, async (device) => {
    for (let written = 0; written < blockCount; written += 1) await ledger.write(device);
    await device.flush();
  });
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
  const status = await operator.until(node, `a device on ${node}`, ({ device }) => device.length > 0);
  const device = await connectNbd(status.device[0]?.uri ?? '');
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

export const verifyDevice = (
  operator: Operator,
  node: string,
  ledger: Ledger,
  blockCount?: number,
): Promise<Verified> => withDevice(operator, node, (device) => ledger.verify(readDevice(device), blockCount));

/** A copy that is up to date, compared behind its engine's back. */
export const verifyCopy = (lab: Lab, node: string, ledger: Ledger, blockCount?: number): Promise<Verified> =>
  withVolume(lab.node(node).volume, (read) => ledger.verify(read, blockCount));

/** Nodes other than the source whose copy holds every acknowledged write. */
export async function copiesOf(operator: Operator, source: string): Promise<string[]> {
  const status = await operator.statusAt(source);
  return (status?.mirrors ?? [])
    .filter(({ status: mirror, behind }) => mirror === 'fully-operational' && behind === null)
    .map(({ target }) => target);
}

export const resource = labTag;
