import type { CommandName, CommandOf } from '../commands.ts';
import { type EventType, event, type NewEvent } from '../events.ts';
import type { Facts } from '../facts.ts';

export type Noted = {
  readonly [C in CommandName]?: (command: CommandOf<C>, facts: Facts) => NewEvent;
};

export const note = <T extends EventType>(type: T, command: { tag?: unknown }, data: object): NewEvent =>
  event(type, (command.tag ?? null) as never, data as never);

/** Observations that are history as they come: the event holds what the command said. */
export const noted: Noted = {
  'peer-connected': (c) =>
    note('mirror.connected', c, { source: c.source, target: c.target, inSync: c.inSync }),
  'peer-disconnected': (c) =>
    note('mirror.disconnected', c, { source: c.source, target: c.target, why: c.why, away: c.away }),
  'peer-lost-sync': (c) =>
    note('mirror.lost-sync', c, {
      source: c.source,
      target: c.target,
      generation: c.generation,
      why: c.why,
      known: c.known,
    }),
  congestion: (c) =>
    note('mirror.congested', c, { source: c.source, target: c.target, congested: c.congested }),
  'generation-started': (c, { self }) =>
    note('generation.started', c, {
      node: self,
      generation: c.generation,
      parent: c.parent,
      epoch: c.epoch,
      absent: c.absent,
    }),
  'resync-started': (c) => {
    const { source, target, kind, bytes, regions, dirtyRegions } = c;
    return note('resync.started', c, { source, target, kind, bytes, regions, dirtyRegions });
  },
  'resync-progressed': (c) => {
    const { source, target, percent, speedBytesPerSecond, etaSeconds, dirtyRegions } = c;
    return note('resync.progressed', c, {
      source,
      target,
      percent,
      speedBytesPerSecond,
      etaSeconds,
      dirtyRegions,
    });
  },
  'resync-interrupted': (c) =>
    note('resync.interrupted', c, { source: c.source, target: c.target, why: c.why }),
  'resync-completed': (c) =>
    note('resync.completed', c, {
      source: c.source,
      target: c.target,
      kind: c.kind,
      bytes: c.bytes,
      generation: c.generation,
    }),
  'verify-progressed': (c) =>
    note('verify.progressed', c, { source: c.source, target: c.target, percent: c.percent }),
  'verify-interrupted': (c) =>
    note('verify.interrupted', c, { source: c.source, target: c.target, why: c.why }),
  'verify-completed': (c) => {
    const { source, target, bytes, differing, ranges } = c;
    return note('verify.completed', c, { source, target, bytes, differing, ranges });
  },
  'split-brain-seen': (c) => note('split-brain.detected', c, { reigns: c.reigns }),
  'auto-pause': (c) =>
    note('mirror.paused', c, {
      source: c.source,
      target: c.target,
      by: 'policy',
      reason: 'its queue stayed full',
    }),
  'auto-resume': (c) => note('mirror.resumed', c, { source: c.source, target: c.target, by: 'policy' }),
  'bitmap-invalidated': (c, { self }) =>
    note('bitmap.invalidated', c, { node: self, peer: c.peer, why: c.why }),
  'link-corruption': (c, { self }) =>
    note('link.corruption-detected', c, { node: self, peer: c.peer, count: c.count }),
  'disk-failed': (c, { self }) => note('disk.failed', c, { node: self, volume: c.volume, error: c.error }),
  'file-system-made': (c, { self }) =>
    note('file-system.made', c, { node: self, fstype: c.fstype, volumes: c.volumes }),
  'file-system-mounted': (c, { self }) =>
    note('file-system.mounted', c, { node: self, epoch: c.epoch, mounts: c.mounts }),
  'file-system-unmounted': (c, { self }) =>
    note('file-system.unmounted', c, { node: self, forced: c.forced }),
  'file-system-failed': (c, { self }) =>
    note('file-system.failed', c, { node: self, what: c.what, why: c.why }),
  'node-joined': (c, { self }) => note('node.joined', {}, { node: self, host: c.host }),
  'node-key': (c, { self }) => note('node.key-added', {}, { node: self, publicKey: c.publicKey }),
  'node-heard': (c) => note('node.returned', {}, { node: c.node, restarted: c.restarted }),
  'node-silent': (c) => note('node.lost', {}, { node: c.node, silentMs: c.silentMs }),
  'clock-skewed': (c) => note('node.clock-skewed', {}, { node: c.node, aheadMs: c.aheadMs }),
  'journal-damaged': (c, { self }) => note('journal.damaged', {}, { node: self, code: c.code, text: c.text }),
  'journal-repaired': (c, { self }) => note('journal.repaired', {}, { node: self, text: c.text }),
};
