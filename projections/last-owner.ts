import { isoTime } from './iso-time.ts';
import { type Projection, type Remember, resourcesIn } from './projection.ts';

/** Which node was the last source (REQUIREMENTS 1), and since which event. */
export interface LastOwnerView {
  readonly tag: string;
  readonly node: string | null;
  readonly epoch: number;
  /** The event that made it so. */
  readonly because: string | null;
  readonly since: string | null;
  /** The node cannot tell whether another took over: it must not go in service by itself. */
  readonly dataCorrupt: boolean;
}

type Memory = Record<string, { node: string; epoch: number; because: string; time: number }>;

/** Any of these can make another node the last owner. */
const note: Remember<Memory> = (memory, event, state) => {
  const tag = event.resource;
  const owner = tag === null ? null : (state.resources[tag]?.lastOwner ?? null);
  if (tag === null) return;
  if (owner === null) delete memory[tag];
  else if (memory[tag]?.node !== owner.node || memory[tag]?.epoch !== owner.epoch) {
    memory[tag] = { node: owner.node, epoch: owner.epoch, because: event.id, time: event.time };
  }
};

export const lastOwner: Projection<Memory> = {
  name: 'last_owner',
  version: 1,
  initial: () => ({}),
  remembers: {
    'resource.created': note,
    'resource.deleted': note,
    'resource.entered-service': note,
    'resource.left-service': note,
    'split-brain.resolved': note,
  },
  views: (memory, state, scope) =>
    resourcesIn(state, scope).map(({ tag, replicas }) => {
      const owner = memory[tag];
      const view: LastOwnerView = {
        tag,
        node: owner?.node ?? null,
        epoch: owner?.epoch ?? 0,
        because: owner?.because ?? null,
        since: owner === undefined ? null : isoTime(owner.time),
        dataCorrupt: owner !== undefined && replicas[owner.node]?.dataCorrupt != null,
      };
      return [`last_owner.${tag}`, view];
    }),
};
