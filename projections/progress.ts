import type { MirrorState, MirrorStatus } from '../domain/state.ts';
import { type Projection, resourcesIn, sortedEntries } from './projection.ts';

/** How far the resync of one mirror is (REQUIREMENTS 2.7); without one, how the last one ended. */
export interface ProgressView {
  readonly tag: string;
  readonly source: string;
  readonly target: string;
  readonly status: MirrorStatus;
  readonly kind: 'partial' | 'full' | null;
  readonly percent: number | null;
  readonly speedBytesPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly bytes: number | null;
  readonly dirtyRegions: number | null;
  readonly regions: number | null;
  readonly lastResync: MirrorState['lastResync'];
}

export const progress: Projection<null> = {
  name: 'progress',
  version: 1,
  initial: () => null,
  remembers: {},
  views: (_, state, scope) =>
    resourcesIn(state, scope).flatMap(({ tag, mirrors }) =>
      sortedEntries(mirrors).map(
        ([target, mirror]) => [`progress.${tag}.${target}`, progressOf(tag, mirror)] as const,
      ),
    ),
};

function progressOf(tag: string, { source, target, status, resync, lastResync }: MirrorState): ProgressView {
  return {
    tag,
    source,
    target,
    status,
    kind: resync?.kind ?? null,
    percent: resync?.percent ?? (status === 'fully-operational' ? 100 : null),
    speedBytesPerSecond: resync?.speedBytesPerSecond ?? null,
    etaSeconds: resync?.etaSeconds ?? null,
    bytes: resync?.bytes ?? null,
    dirtyRegions: resync?.dirtyRegions ?? null,
    regions: resync?.regions ?? null,
    lastResync,
  };
}
