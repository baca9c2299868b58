import type { Epoch, NodeName } from '../../domain/vocabulary.ts';
import { type Link, urgentPayloadBytesMax } from '../link/link.ts';
import { send } from './messages.ts';
import type { Replica } from './replica.ts';

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
