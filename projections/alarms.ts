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

/** Alarms that no state shows: by id, until something says that it is over. */
type Memory = Record<
  string,
  { code: AlarmCode; tag: string | null; node: string; text: string; because: string; time: number }
>;

export const alarms: Projection<Memory> = {
  name: 'alarm',
  version: 1,
  initial: () => ({}),
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
      delete memory[alarmId('local-recovery-failed', resource, data.node)];
    },
    'mirror.connected': (memory, { resource, data }) => {
      for (const node of [data.source, data.target])
        delete memory[alarmId('link-corruption', resource, node)];
    },
    'node.returned': (memory, { data }) => {
      delete memory[alarmId('clock-skewed', null, data.node)];
    },
  },
  views: (memory, state, scope) => {
    const raised = [
      ...Object.values(memory).map((one) =>
        alarm(one.code, one.tag, one.node, one.text, one.because, one.time),
      ),
      ...(scope === '*' ? nodeAlarms(state) : []),
      ...resourcesIn(state, scope).flatMap(resourceAlarms),
    ];
    return raised
      .filter(({ tag }) => scope === '*' || tag === scope)
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((one) => [`alarm.${one.id}`, one]);
  },
};

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
  const first = memory[id];
  memory[id] = { code, tag, node, text, because: first?.because ?? because, time: first?.time ?? time };
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
