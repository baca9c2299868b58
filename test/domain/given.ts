import type { Command, CommandName, CommandOf } from '../../domain/commands.ts';
import { type Decision, decide } from '../../domain/decide.ts';
import type { AnyEvent, DomainEvent, EventData, EventType, NewEvent } from '../../domain/events.ts';
import { replay } from '../../domain/evolve.ts';
import type { Facts } from '../../domain/facts.ts';
import type { RefusalCode } from '../../domain/refusals.ts';
import { type ClusterState, emptyState } from '../../domain/state.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';

/** given(events).when(command, facts).then(events or refusal): the domain's tests read like its rules. */
export const tag = 'datarep-ext3' as Tag;
export const eve = 'eve' as NodeName;
export const adam = 'adam' as NodeName;
export const sophocles = 'sophocles' as NodeName;
export const nodes = [eve, adam, sophocles] as const;
export const gibibyte = 1024 ** 3;

/** An event as if `node` had written it; ids count by themselves in the order of making. */
export function past<T extends EventType>(
  type: T,
  data: EventData<T>,
  more: Partial<DomainEvent> = {},
): DomainEvent {
  return {
    type,
    resource: type.startsWith('node.') || type.startsWith('journal.') ? null : tag,
    data,
    node: eve,
    time: 1_700_000_000_000,
    actor: { id: 'root', via: 'socket', verified: false },
    reason: null,
    command: null,
    cause: null,
    digest: null,
    id: 'numbered/1/1',
    ...more,
  } as unknown as DomainEvent;
}

export function fold(events: readonly AnyEvent[], state: ClusterState = emptyState()): ClusterState {
  return replay(
    state,
    events.map((event, index) =>
      event.id === 'numbered/1/1' ? { ...event, id: `${event.node}/1/${index + 1}` } : event,
    ),
  );
}

/** A command by root over the socket; `id` and `digest` tell it apart. */
export function command<C extends CommandName>(
  name: C,
  body: Partial<CommandOf<C>> = {} as Partial<CommandOf<C>>,
): CommandOf<C> {
  return {
    command: name,
    tag,
    id: `command-${name}`,
    digest: `digest-${name}`,
    actor: { id: 'root', via: 'socket', verified: false },
    ...body,
  } as unknown as CommandOf<C>;
}

export function facts(more: Partial<Facts> = {}): Facts {
  return {
    self: eve,
    now: 1_700_000_000_000,
    reachable: nodes,
    replication: { host: '127.0.0.1', port: 7801 },
    ...more,
  };
}

export interface Then {
  readonly decision: Decision;
  readonly state: ClusterState;
  events(): readonly NewEvent[];
  types(): EventType[];
  refusal(): RefusalCode | undefined;
}

export function given(...events: readonly AnyEvent[]) {
  const state = fold(events);
  return {
    state,
    when(asked: Command, known: Facts = facts()): Then {
      const decision = decide(state, asked, known);
      const events = () => {
        if (decision.kind === 'refused')
          throw new Error(`refused: ${decision.refusal.code}: ${decision.refusal.message}`);
        return decision.events;
      };
      return {
        decision,
        state,
        events,
        types: () => events().map(({ type }) => type),
        refusal: () => (decision.kind === 'refused' ? decision.refusal.code : undefined),
      };
    },
  };
}

/** What happened, one reign after another: the beginnings of most tests. */
export const joined = (...names: readonly NodeName[]) =>
  (names.length > 0 ? names : nodes).map((node) => past('node.joined', { node, host: null }, { node }));

export const volume = { name: 'data' as never, path: '/srv/data.img', byteSize: gibibyte };

export const created = (more: Partial<EventData<'resource.created'>> = {}) =>
  past('resource.created', {
    node: eve,
    volumes: [volume],
    content: 'raw',
    fstype: null,
    mount: null,
    bitmap: null,
    allowAsync: false,
    priority: 1,
    srl: null,
    replication: { host: '127.0.0.1', port: 7801 },
    ...more,
  });

export const entered = (
  node: NodeName,
  epoch: number,
  why: EventData<'resource.entered-service'>['why'] = 'created',
  after: EventData<'resource.entered-service'>['after'] = null,
) => past('resource.entered-service', { node, epoch, why, after }, { node });

export const extended = (node: NodeName, more: Partial<EventData<'resource.extended'>> = {}) =>
  past('resource.extended', {
    node,
    volumes: [volume],
    mode: 'sync',
    pairs: { [eve]: 'sync' },
    priority: node === adam ? 2 : 3,
    compress: 0,
    mount: null,
    bitmap: null,
    fullSync: true,
    replication: { host: '127.0.0.1', port: 7801 },
    ...more,
  });

export const resyncStarted = (source: NodeName, target: NodeName, kind: 'full' | 'partial' = 'full') =>
  past(
    'resync.started',
    { source, target, kind, bytes: gibibyte, regions: 16384, dirtyRegions: 16384 },
    { node: source },
  );

export const resynced = (source: NodeName, target: NodeName, kind: 'full' | 'partial' = 'full') => [
  resyncStarted(source, target, kind),
  past('resync.completed', { source, target, kind, bytes: gibibyte, generation: null }, { node: source }),
];

/** eve serves, adam and sophocles are in sync: A→B, A→C of the seeds. */
export const mirrored = (...targets: readonly NodeName[]) => [
  ...joined(),
  created({ allowAsync: true }),
  entered(eve, 1),
  ...(targets.length > 0 ? targets : [adam, sophocles]).flatMap((node) => [
    extended(node),
    ...resynced(eve, node),
  ]),
];

export const lost = (node: NodeName, by: NodeName = adam) =>
  past('node.lost', { node, silentMs: 5000 }, { node: by });
