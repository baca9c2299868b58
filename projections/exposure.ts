import type { MirrorState, ResourceState } from '../domain/state.ts';
import { regionSize } from '../domain/vocabulary.ts';
import { isoTime } from './iso-time.ts';
import { type Projection, type Remember, resourcesIn, sortedEntries } from './projection.ts';

/** How long a mirror has been no protection, and how much would be lost with its source (per mirror). */
export interface ExposureView {
  readonly tag: string;
  readonly source: string;
  readonly target: string;
  readonly atRisk: boolean;
  /** Since when, by the clocks of the events' writers; null while it protects. */
  readonly since: string | null;
  readonly because: string | null;
  /** Bytes that the target is known to lack; null where nobody has counted. */
  readonly bytesAtRisk: number | null;
  /** Over the whole history: how often and how long, what lasts still not included. */
  readonly episodes: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

interface Exposure {
  since: number | null;
  because: string | null;
  episodes: number;
  totalMs: number;
  longestMs: number;
}
type Memory = Record<string, Record<string, Exposure>>;

const protects = ({ status, connected }: MirrorState) => connected && status === 'fully-operational';

/** Looks at the mirrors of one resource after an event that can change whether they protect. */
function note(
  memory: Memory,
  event: { id: string; time: number },
  resource: ResourceState | undefined,
): void {
  if (resource === undefined) return;
  memory[resource.tag] ??= {};
  const known = memory[resource.tag] ?? {};
  for (const target of Object.keys(known)) if (!resource.mirrors[target]) delete known[target];
  for (const mirror of Object.values(resource.mirrors)) {
    known[mirror.target] ??= { since: null, because: null, episodes: 0, totalMs: 0, longestMs: 0 };
    const exposure = known[mirror.target];
    if (exposure !== undefined) change(exposure, protects(mirror), event);
  }
}

function change(exposure: Exposure, isProtected: boolean, { id, time }: { id: string; time: number }): void {
  if (isProtected === (exposure.since === null)) return;
  if (!isProtected) {
    exposure.since = time;
    exposure.because = id;
    exposure.episodes += 1;
    return;
  }
  const lasted = Math.max(0, time - (exposure.since ?? time));
  exposure.totalMs += lasted;
  exposure.longestMs = Math.max(exposure.longestMs, lasted);
  exposure.since = null;
  exposure.because = null;
}

const ofResource: Remember<Memory> = (memory, event, state) => {
  if (event.resource !== null) note(memory, event, state.resources[event.resource]);
};

const ofAll: Remember<Memory> = (memory, event, state) => {
  for (const resource of Object.values(state.resources)) note(memory, event, resource);
};

export const exposure: Projection<Memory> = {
  name: 'exposure',
  version: 1,
  initial: () => ({}),
  remembers: {
    'resource.extended': ofResource,
    'resource.unextended': ofResource,
    'resource.deleted': (memory, { resource }) => {
      if (resource !== null) delete memory[resource];
    },
    'resource.entered-service': ofResource,
    'resource.left-service': ofResource,
    'mirror.paused': ofResource,
    'mirror.resumed': ofResource,
    'mirror.connected': ofResource,
    'mirror.disconnected': ofResource,
    'mirror.lost-sync': ofResource,
    'resync.started': ofResource,
    'resync.interrupted': ofResource,
    'resync.completed': ofResource,
    'takeover.conflicted': ofResource,
    'split-brain.detected': ofResource,
    'split-brain.resolved': ofResource,
    'bitmap.marked-dirty': ofResource,
    'node.lost': ofAll,
    'node.returned': ofAll,
  },
  views: (memory, state, scope) =>
    resourcesIn(state, scope).flatMap(({ tag, mirrors }) =>
      sortedEntries(mirrors).map(([target, mirror]) => {
        const view = exposureOf(tag, mirror, memory[tag]?.[target]);
        return [`exposure.${tag}.${target}`, view] as const;
      }),
    ),
};

function exposureOf(tag: string, mirror: MirrorState, known: Exposure | undefined): ExposureView {
  const { source, target, resync } = mirror;
  const isProtected = protects(mirror);
  return {
    tag,
    source,
    target,
    atRisk: !isProtected,
    since: known?.since == null ? null : isoTime(known.since),
    because: known?.because ?? null,
    bytesAtRisk: isProtected ? 0 : resync === null ? null : resync.dirtyRegions * regionSize,
    episodes: known?.episodes ?? 0,
    totalMs: known?.totalMs ?? 0,
    longestMs: known?.longestMs ?? 0,
  };
}
