import type { EventType } from '../events.ts';
import type { DataState, MirrorState, ResourceState } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import type { Of, ResourceRecipe } from './recipe.ts';

export function onMirror<T extends EventType>(
  recipe: (mirror: MirrorState, event: Of<T>, resource: ResourceState) => void,
): ResourceRecipe<T> {
  return (resource, event) => {
    const { source, target } = event.data as { source: NodeName; target: NodeName };
    const mirror = resource.mirrors[target];
    // What an earlier source says of its mirrors is history: it no longer describes this mirror.
    if (!mirror || mirror.source !== source) return;
    recipe(mirror, event, resource);
    if (event.type !== 'resync.progressed') mirror.because = event.id;
  };
}

export function setData(
  resource: ResourceState,
  node: NodeName,
  data: DataState,
  event: { id: string; time: number },
): void {
  const replica = resource.replicas[node];
  if (!replica) return;
  if (data === 'up-to-date') {
    replica.away = false;
    replica.victimOf = null;
    replica.adopts = null;
  }
  if (data !== 'outdated') replica.knowsOutOfSync = data === 'inconsistent';
  replica.data = data;
  replica.because = event.id;
  replica.since = event.time;
}

export function inSyncAgain(
  resource: ResourceState,
  { source, target }: MirrorState,
  event: { id: string; time: number },
): void {
  setData(resource, target, 'up-to-date', event);
  for (const [one, other] of [
    [source, target],
    [target, source],
  ] as const) {
    const replica = resource.replicas[one];
    if (replica) replica.wroteWithout = replica.wroteWithout.filter((node) => node !== other);
  }
}

export function interrupt(mirror: MirrorState): void {
  mirror.verify = null;
  if (!mirror.resync) return;
  mirror.lastResync = { kind: mirror.resync.kind, bytes: mirror.resync.bytes, result: 'interrupted' };
  mirror.resync = null;
}

/** Nobody feeds it any more: what is left of it goes on when somebody serves again (rule 5). */
export function stopResync(mirror: MirrorState): void {
  if (mirror.status === 'resyncing') mirror.status = 'out-of-sync';
  interrupt(mirror);
}
