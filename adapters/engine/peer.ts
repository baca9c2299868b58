import type { NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { CompressingLink } from '../link/compressing-link.ts';
import type { StatePayload } from '../link/protocol.ts';
import { ReceivedLogs } from './bitmaps.ts';
import type { PeerSettings } from './control-protocol.ts';

/** Another replica of the resource, as this engine knows it. */
export class Peer {
  readonly node: NodeName;
  settings: PeerSettings;
  /** Why an operator has paused the mirror to it, when this node is the source. */
  pauseReason: string | null;
  /** Who waits for the pause that is under way, or null. */
  pausing: Done[] | null = null;
  /** An operator has resumed it; it may not have heard that yet. */
  isResumeDue = false;
  /** What was reported about it and still holds. */
  trouble: 'split-brain' | 'epoch-conflict' | null = null;
  /** Its word in the present session, or null. */
  theirs: StatePayload | null = null;
  /** Bits about third replicas that it is sending. */
  readonly logs = new ReceivedLogs();
  #link: CompressingLink | null = null;

  constructor(node: NodeName, settings: PeerSettings, pauseReason: string | null) {
    this.node = node;
    this.settings = settings;
    this.pauseReason = pauseReason;
  }

  get link(): CompressingLink {
    if (this.#link === null) throw new Error(`there is no link to ${this.node} yet`);
    return this.#link;
  }

  attach(link: CompressingLink): void {
    this.#link = link;
  }

  heardMsAgo(nowMs: number): number | null {
    const { lastHeardMs } = this.link;
    return lastHeardMs === null ? null : Math.max(0, nowMs - lastHeardMs);
  }
}

/** Frames from the peer that were damaged, and never applied (FAULTS 28). */
export function corruptFrames({ link }: Peer): number {
  const { faults } = link.counters;
  return faults['bad-checksum'] + faults['bad-sequence'] + faults['bad-length'] + faults['bad-frame'];
}
