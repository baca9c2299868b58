import type { ClusterState, MirrorState, ReplicaState, ResourceState } from '../domain/state.ts';
import { isoTime } from './iso-time.ts';
import { type Projection, resourcesIn, sortedEntries } from './projection.ts';

/** Something that an operator should look at. It goes away by itself when its cause does. */
export interface AlarmView {
  /** CODE.TAG.NODE, as far as it is about one. */
  readonly id: string;
  readonly code: AlarmCode;
  /** critical: data is at risk or nobody serves; warning: less protected than it should be. */
  readonly severity: 'critical' | 'warning';
  readonly tag: string | null;
  readonly node: string | null;
  readonly text: string;
  /** The event that raised it. */
  readonly because: string;
  readonly since: string | null;
  /** Who has seen it, and when; void once the alarm is raised anew. */
  readonly acknowledged: { readonly by: string; readonly at: string; readonly reason: string | null } | null;
}

export const alarmSeverities = {
  'split-brain': 'critical',
  conflicted: 'critical',
  'failover-blocked': 'critical',
  'awaiting-confirmation': 'critical',
  'data-corrupt': 'critical',
  'replica-failed': 'critical',
  'local-recovery-failed': 'critical',
  'file-system-failed': 'critical',
  'journal-damaged': 'critical',
  'unknown-event': 'critical',
  'unrelated-data': 'critical',
  'node-lost': 'warning',
  'out-of-sync': 'warning',
  congested: 'warning',
  'link-corruption': 'warning',
  'verify-differences': 'warning',
  'clock-skewed': 'warning',
} as const;
export type AlarmCode = keyof typeof alarmSeverities;

interface Memory {
  /** Alarms that no state shows: by id, until something says that it is over. */
  readonly raised: Record<
    string,
    { code: AlarmCode; tag: string | null; node: string; text: string; because: string; time: number }
  >;
  /** By id; the latest ones. */
  readonly acknowledged: Record<
    string,
    { raisedBy: string; since: string | null; by: string; time: number; reason: string | null }
  >;
}

/** An acknowledgement is of use only as long as its alarm stands: more alarms than these nobody reads (FAULTS I16). */
const acknowledgedMax = 1000;

export const alarms: Projection<Memory> = {
  name: 'alarm',
  version: 2,
  initial: () => ({ raised: {}, acknowledged: {} }),
  remembers: {
    'link.corruption-detected': (memory, { id, time, resource, data }) => {
      const text = `${data.count} corrupt messages on the link of ${data.node} and ${data.peer}: check its network card and cables`;
      raise(memory, 'link-corruption', resource, data.node, text, id, time);
    },
    'node.clock-skewed': (memory, { id, time, data }) => {
      const text = `the clock of ${data.node} is ${Math.round(data.aheadMs / 1000)} s ahead: times in its events are wrong`;
      raise(memory, 'clock-skewed', null, data.node, text, id, time);
    },
    'local-recovery.failed': (memory, { id, time, resource, data }) =>
      raise(memory, 'local-recovery-failed', resource, data.node, data.text, id, time),
    'local-recovery.succeeded': (memory, { resource, data }) => {
      delete memory.raised[alarmId('local-recovery-failed', resource, data.node)];
    },
    'alarm.acknowledged': ({ acknowledged }, { actor, time, reason, data }) => {
      const { alarm: id, raisedBy, since } = data;
      delete acknowledged[id];
      acknowledged[id] = { raisedBy, since, by: actor.id, time, reason };
      for (const oldest of Object.keys(acknowledged).slice(0, -acknowledgedMax)) delete acknowledged[oldest];
    },
    'mirror.connected': (memory, { resource, data }) => {
      for (const node of [data.source, data.target])
        delete memory.raised[alarmId('link-corruption', resource, node)];
    },
    'node.returned': (memory, { data }) => {
      delete memory.raised[alarmId('clock-skewed', null, data.node)];
    },
  },
  views: (memory, state, scope) => {
    const raised = [
      ...Object.values(memory.raised).map((one) =>
        alarm(one.code, one.tag, one.node, one.text, one.because, one.time),
      ),
      ...(scope === '*' ? nodeAlarms(state) : []),
      ...resourcesIn(state, scope).flatMap(resourceAlarms),
    ];
    return raised
      .filter(({ tag }) => scope === '*' || tag === scope)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((one) => [`alarm.${one.id}`, { ...one, acknowledged: acknowledgement(memory, one) }]);
  },
};

/** Of this very alarm: raised by the same event, or standing since the same moment. */
function acknowledgement(
  { acknowledged }: Memory,
  { id, because, since }: AlarmView,
): AlarmView['acknowledged'] {
  const known = acknowledged[id];
  if (!known || (known.raisedBy !== because && (since === null || known.since !== since))) return null;
  return { by: known.by, at: isoTime(known.time), reason: known.reason };
}

const alarmId = (code: AlarmCode, tag: string | null, node: string | null) =>
  [code, tag, node].filter((part) => part !== null).join('.');

function raise(
  memory: Memory,
  code: AlarmCode,
  tag: string | null,
  node: string,
  text: string,
  because: string,
  time: number,
): void {
  const id = alarmId(code, tag, node);
  const first = memory.raised[id];
  memory.raised[id] = {
    code,
    tag,
    node,
    text,
    because: first?.because ?? because,
    time: first?.time ?? time,
  };
}

const alarm = (
  code: AlarmCode,
  tag: string | null,
  node: string | null,
  text: string,
  because: string,
  time: number | null = null,
): AlarmView => ({
  id: alarmId(code, tag, node),
  code,
  severity: alarmSeverities[code],
  tag,
  node,
  text,
  because,
  since: time === null ? null : isoTime(time),
  acknowledged: null,
});

const nodeAlarms = (state: ClusterState): AlarmView[] =>
  sortedEntries(state.nodes).flatMap(([, { node, alive, damaged, because }]) => [
    ...(alive ? [] : [alarm('node-lost', null, node, `${node} is lost`, because)]),
    ...(damaged
      ? [
          alarm(
            'journal-damaged',
            null,
            node,
            `the journal of ${node} is damaged: it decides nothing`,
            because,
          ),
        ]
      : []),
  ]);

function resourceAlarms(resource: ResourceState): AlarmView[] {
  const { tag, unknownEvent } = resource;
  const unknown = `an event of an unknown type: commands on ${tag} are refused until this node is upgraded`;
  return [
    ...phaseAlarms(resource),
    ...(unknownEvent === null ? [] : [alarm('unknown-event', tag, null, unknown, unknownEvent)]),
    ...sortedEntries(resource.replicas).flatMap(([, replica]) => replicaAlarms(resource, replica)),
    ...sortedEntries(resource.mirrors).flatMap(([, mirror]) => mirrorAlarms(resource, mirror)),
  ];
}

function phaseAlarms({ tag, phase, because, reigns, confirmation, blocked }: ResourceState): AlarmView[] {
  const nodes = reigns.map(({ node }) => node).join(' and ');
  switch (phase) {
    case 'split-brain':
      return [
        alarm(
          'split-brain',
          tag,
          null,
          `${nodes} both wrote to ${tag} without the other: name a victim`,
          because,
        ),
      ];
    case 'conflicted':
      return [
        alarm(
          'conflicted',
          tag,
          null,
          `${tag} was taken over without knowledge of each other: ${nodes}`,
          because,
        ),
      ];
    case 'awaiting-confirmation':
      return [
        alarm(
          'awaiting-confirmation',
          tag,
          null,
          `${confirmation?.lost ?? 'the source'} is lost; the failover of ${tag} to ${confirmation?.candidate ?? 'a target'} waits for confirmation`,
          because,
        ),
      ];
    case 'blocked':
      return [
        alarm('failover-blocked', tag, null, blocked?.text ?? `the failover of ${tag} is blocked`, because),
      ];
    case 'in-service':
    case 'out-of-service':
    case 'switching-over':
    case 'failing-over':
    case 'deleted':
      return [];
    default:
      return phase satisfies never;
  }
}

function replicaAlarms({ tag }: ResourceState, replica: ReplicaState): AlarmView[] {
  const { node, dataCorrupt, failed, mountFailure, because, since } = replica;
  return [
    ...(dataCorrupt === null
      ? []
      : [
          alarm(
            'data-corrupt',
            tag,
            node,
            `${node} was the last source of ${tag} and cannot tell whether another took over: it waits for ${dataCorrupt.missing.join(', ') || 'the others'}`,
            dataCorrupt.because,
          ),
        ]),
    ...(failed === null
      ? []
      : [
          alarm(
            'replica-failed',
            tag,
            node,
            `the replica of ${tag} on ${node} has failed: ${failed}`,
            because,
            since,
          ),
        ]),
    ...(mountFailure === null
      ? []
      : [
          alarm(
            'file-system-failed',
            tag,
            node,
            `${node} cannot ${mountFailure.what} the file system of ${tag}: ${mountFailure.why}`,
            mountFailure.because,
            mountFailure.since,
          ),
        ]),
  ];
}

function mirrorAlarms({ tag, replicas }: ResourceState, mirror: MirrorState): AlarmView[] {
  const { source, target, status, congested, unrelated, differing, because } = mirror;
  const since = replicas[target]?.since ?? null;
  const name = `${source} -> ${target}`;
  return [
    ...(status === 'out-of-sync'
      ? [alarm('out-of-sync', tag, target, `${tag}: ${target} misses writes of ${source}`, because, since)]
      : []),
    ...(congested
      ? [
          alarm(
            'congested',
            tag,
            target,
            `${tag}: the queue ${name} is full, so writes wait for ${target}`,
            because,
          ),
        ]
      : []),
    ...(differing > 0
      ? [
          alarm(
            'verify-differences',
            tag,
            target,
            `${tag}: ${target} differs from ${source} in ${differing} regions of 64 KiB that should be equal`,
            because,
          ),
        ]
      : []),
    ...(unrelated
      ? [
          alarm(
            'unrelated-data',
            tag,
            target,
            `${tag}: the replicas on ${source} and ${target} have no common past; only an explicit full-resync goes on`,
            because,
          ),
        ]
      : []),
  ];
}

/** The alarm of that id as it stands, of whatever resource or node. */
export function raisedAlarm(
  { state, memories }: { readonly state: ClusterState; readonly memories: { readonly alarm: unknown } },
  id: string,
): AlarmView | null {
  for (const [name, view] of alarms.views(memories.alarm as Memory, state, '*'))
    if (name === `alarm.${id}`) return view as AlarmView;
  return null;
}
