import { type Epoch, type NodeName, targetsMax } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import { type IncomingMessage, type Link, urgentPayloadBytesMax } from '../link/link.ts';
import { send } from './messages.ts';
import type { Replica } from './replica.ts';
import { allOf, type Step } from './sequence.ts';

/** In `flags` of a bitmap message: the log is about the receiver; from 1 on: about the n-th of the logs. */
export const aboutReceiver = 0;

/** Sends what this replica's logs hold for `about`; pieces without a bit are left out. */
export function sendBitmaps(
  link: Link,
  replica: Replica,
  epoch: Epoch,
  number: number,
  about: NodeName,
  flags: number,
): void {
  for (const volume of replica.volumes) {
    const bits = volume.logs.get(about)?.toBits() ?? new Uint8Array();
    for (let at = 0; at < bits.length; at += urgentPayloadBytesMax) {
      const payload = bits.subarray(at, at + urgentPayloadBytesMax);
      if (payload.every((byte) => byte === 0)) continue;
      const byteCount = payload.length * 8;
      send(link, 'bitmap', epoch, {
        flags,
        volume: volume.index,
        number,
        offset: at * 8,
        byteCount,
        payload,
      });
    }
  }
}

/** Sends the logs for third replicas; the message that follows names them in this order. */
export function sendLogs(
  link: Link,
  replica: Replica,
  epoch: Epoch,
  number: number,
  logs: readonly NodeName[],
): void {
  for (const [index, node] of logs.entries()) sendBitmaps(link, replica, epoch, number, node, index + 1);
}

/** Bits of another replica's logs for third ones, until a message says whom they are about. */
export class ReceivedLogs {
  readonly #bits = new Map<string, Uint8Array>();

  /** False: it does not fit the volume. */
  add(replica: Replica, { flags, volume, offset, payload }: IncomingMessage): boolean {
    const regionCount = replica.volumes[volume]?.regionCount;
    if (regionCount === undefined || flags > targetsMax) return false;
    const key = `${flags} ${volume}`;
    const bits = this.#bits.get(key) ?? new Uint8Array(Math.ceil(regionCount / 8));
    if (offset % 8 !== 0 || offset / 8 + payload.length > bits.length) return false;
    bits.set(payload, offset / 8);
    this.#bits.set(key, bits);
    return true;
  }

  /**
   * Makes them part of this replica's own logs, durably. A log that cannot be written is recorded as invalid instead
   * (FAULTS 15): that covers whatever the bits would have said, and is no failure of the replica.
   */
  merge(replica: Replica, logs: readonly NodeName[], done: Done): void {
    const merges = logs.flatMap((node, index) =>
      replica.volumes.map(
        (volume): Step =>
          (next) => {
            const bits = this.#bits.get(`${index + 1} ${volume.index}`);
            const log = volume.logs.get(node);
            if (bits === undefined || log === undefined) {
              next(null);
              return;
            }
            log.merge(bits, (error) => {
              if (error === null) next(null);
              else if (replica.record.generation.peers[node]?.intentLog === 'invalid') next(null);
              else replica.logInvalid(volume, node, error.message, next);
            });
          },
      ),
    );
    allOf(merges, (error) => {
      this.clear();
      done(error);
    });
  }

  clear(): void {
    this.#bits.clear();
  }
}
