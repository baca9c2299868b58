import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { mirrorStatuses } from '../../domain/state.ts';
import { regionSize } from '../../domain/vocabulary.ts';
import type { Journal } from '../../journal/journal.ts';
import { type AlarmView, alarmSeverities } from '../../projections/alarms.ts';
import type { ExposureView } from '../../projections/exposure.ts';
import { resourcesIn } from '../../projections/projection.ts';
import { type StatusMirror, type StatusView, statusOf } from '../../projections/status.ts';
import { viewsOf } from '../../projections/views.ts';
import type { Agent } from '../agent/agent.ts';
import type { Change } from '../agent/history.ts';
import { liveMirrors } from '../agent/queries.ts';
import type { Bus } from '../bus/bus.ts';

/**
 * What Prometheus reads, names in the style of drbd-reactor: base units, one gauge per state with its value as a label.
 * Every agent tells what the history says of every resource; what only an engine can measure (queue, lag, dirty bytes
 * of a mirror in use) is told by the source's agent alone.
 */
export interface MetricsOptions {
  readonly agent: Agent;
  readonly journal: Journal;
  readonly bus: Bus;
  readonly openPages: () => number;
}

const prefix = 'mirrorkeeper_';
/** Gauges of the library that are named as counters are: `promtool check metrics` minds, and nobody needs them. */
const misnamed = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];
const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const resourceStates = [
  'in-service',
  'degraded',
  'frozen',
  'awaiting-confirmation',
  'blocked',
  'out-of-service',
  'conflicted',
  'split-brain',
] as const satisfies readonly StatusView['state'][];

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #registry = new Registry();
  readonly #gauges: ReturnType<typeof gauges>;
  readonly #events: Counter<'type'>;
  readonly #delivery: Histogram<'from'>;
  readonly #command: Histogram<'command' | 'outcome'>;

  constructor(options: MetricsOptions) {
    this.#options = options;
    const registers = [this.#registry];
    this.#gauges = gauges(this.#registry);
    this.#events = new Counter({
      name: `${prefix}events_total`,
      help: 'Events that this agent has seen happen since it started, by type.',
      labelNames: ['type'],
      registers,
    });
    this.#delivery = new Histogram({
      name: `${prefix}event_delivery_seconds`,
      help: 'From when an event was written, by its writer’s clock, until it was stored and folded here.',
      labelNames: ['from'],
      buckets: latencyBuckets,
      registers,
    });
    this.#command = new Histogram({
      name: `${prefix}command_duration_seconds`,
      help: 'Commands of people that this agent took: until the reply, at their terminal event.',
      labelNames: ['command', 'outcome'],
      buckets: latencyBuckets,
      registers,
    });
    collectDefaultMetrics({ register: this.#registry, prefix: `${prefix}agent_` });
    for (const name of misnamed) this.#registry.removeSingleMetric(`${prefix}agent_${name}`);
    options.agent.onAnswered(({ command, outcome, durationMs }) =>
      this.#command.observe({ command, outcome }, durationMs / 1000),
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  changed({ events }: Change): void {
    const nowMs = this.#options.agent.context.wallNow();
    for (const event of events) {
      const type = event.type === 'unknown' ? 'unknown' : event.type;
      this.#events.inc({ type });
      const tookMs = nowMs - event.time;
      if (tookMs >= 0) this.#delivery.observe({ from: event.node }, tookMs / 1000);
    }
  }

  text(): Promise<string> {
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
    this.#resources();
    this.#cluster();
    this.#parts();
    return this.#registry.metrics();
  }

  #resources(): void {
    const { agent } = this.#options;
    const { state } = agent.history;
    for (const resource of resourcesIn(state, '*')) {
      const live = liveMirrors(agent.context.engines.lastStatus(resource.tag));
      const view = statusOf(state, resource, live);
      const { tag } = view;
      for (const one of resourceStates)
        this.#gauges.resourceState.set({ tag, state: one }, view.state === one ? 1 : 0);
      this.#gauges.resourceEpoch.set({ tag }, view.epoch);
      for (const { node, role, flags } of view.nodes) {
        for (const one of ['source', 'target', 'none'])
          this.#gauges.resourceRole.set({ tag, node, role: one }, role === one ? 1 : 0);
        this.#gauges.dataCorrupt.set({ tag, node }, flags.includes('data-corrupt') ? 1 : 0);
      }
      for (const mirror of view.mirrors) this.#mirror(tag, mirror, mirror.target in live);
    }
  }

  #mirror(tag: string, mirror: StatusMirror, isMeasured: boolean): void {
    const gauges = this.#gauges;
    const { source, target, mode, status, behind } = mirror;
    const labels = { tag, source, target };
    gauges.mirrorInfo.set({ ...labels, mode }, 1);
    for (const one of mirrorStatuses)
      gauges.mirrorStatus.set({ ...labels, status: one }, status === one ? 1 : 0);
    gauges.mirrorConnected.set(labels, mirror.connected ? 1 : 0);
    gauges.mirrorEligible.set(labels, mirror.eligible ? 1 : 0);
    gauges.mirrorCongested.set(labels, mirror.congested ? 1 : 0);
    if (status === 'resyncing') {
      if (mirror.percent !== null) gauges.resyncRatio.set(labels, mirror.percent / 100);
      if (mirror.speedBytesPerSecond !== null) gauges.resyncSpeed.set(labels, mirror.speedBytesPerSecond);
      if (mirror.etaSeconds !== null) gauges.resyncEta.set(labels, mirror.etaSeconds);
    }
    if (mirror.dirtyRegions !== null) gauges.dirtyBytes.set(labels, mirror.dirtyRegions * regionSize);
    if (!isMeasured) return;
    gauges.queuedWrites.set(labels, mirror.queuedWrites ?? 0);
    gauges.behindBytes.set(labels, behind?.bytes ?? 0);
    gauges.lag.set(labels, (behind?.ms ?? 0) / 1000);
  }

  #cluster(): void {
    const { agent } = this.#options;
    const { liveness, clock } = agent.context;
    for (const { node, alive, damaged } of Object.values(agent.history.state.nodes)) {
      this.#gauges.nodeAlive.set({ node }, alive ? 1 : 0);
      this.#gauges.nodeDamaged.set({ node }, damaged ? 1 : 0);
      const heardMs = liveness.heardMsAgo(node, clock.nowMs());
      if (heardMs !== null) this.#gauges.nodeHeard.set({ node }, heardMs / 1000);
    }
    const views = viewsOf(agent.history.standing, '*', ['alarm', 'exposure']);
    for (const severity of ['critical', 'warning']) this.#gauges.alarms.set({ severity, code: 'any' }, 0);
    for (const [name, view] of views) {
      if (name.startsWith('alarm.')) this.#alarm(view as AlarmView);
      else this.#exposure(view as ExposureView);
    }
  }

  #alarm({ code }: AlarmView): void {
    const severity = alarmSeverities[code];
    this.#gauges.alarms.inc({ severity, code });
    this.#gauges.alarms.inc({ severity, code: 'any' });
  }

  #exposure({ tag, source, target, since }: ExposureView): void {
    const exposedMs = since === null ? 0 : this.#options.agent.context.wallNow() - Date.parse(since);
    this.#gauges.exposed.set({ tag, source, target }, Math.max(0, exposedMs) / 1000);
  }

  #parts(): void {
    const { agent, journal, bus, openPages } = this.#options;
    const gauges = this.#gauges;
    for (const { node, incarnation, sequence } of journal.logs())
      gauges.journalHead.set({ node, incarnation: String(incarnation) }, sequence);
    gauges.journalDamage.set(journal.damage().length);
    gauges.journalWaiting.set(agent.history.order.waitingCount);
    const status = bus.status();
    gauges.busConnected.set(status.connected ? 1 : 0);
    gauges.busReconnects.set(status.reconnects);
    gauges.busDropped.set(status.droppedMessages);
    gauges.busMalformed.set(status.malformedMessages);
    gauges.engines.set(agent.context.engines.tags().length);
    gauges.pages.set(openPages());
    for (const tag of agent.context.engines.tags()) {
      for (const peer of agent.context.engines.lastStatus(tag)?.peers ?? [])
        gauges.corruptFrames.set({ tag, peer: peer.peer }, peer.corruptFrames);
    }
  }
}

function gauges(registry: Registry) {
  const gauge = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name: `${prefix}${name}`, help, labelNames: [...labelNames], registers: [registry] });
  const pair = ['tag', 'source', 'target'] as const;
  return {
    resourceState: gauge('resource_state', 'Whether the resource is in this state (1) or not (0).', [
      'tag',
      'state',
    ]),
    resourceEpoch: gauge('resource_epoch', 'Epoch that was served last.', ['tag']),
    resourceRole: gauge('resource_role', 'Whether the node has this role for the resource.', [
      'tag',
      'node',
      'role',
    ]),
    dataCorrupt: gauge('resource_data_corrupt', 'Whether the replica carries the data-corrupt flag.', [
      'tag',
      'node',
    ]),
    mirrorInfo: gauge('mirror_info', 'A mirror and its mode.', [...pair, 'mode']),
    mirrorStatus: gauge('mirror_status', 'Whether the mirror has this status (1) or not (0).', [
      ...pair,
      'status',
    ]),
    mirrorConnected: gauge('mirror_connected', 'Whether source and target are connected.', pair),
    mirrorEligible: gauge('mirror_can_take_over', 'Whether the target may take over (rule 4).', pair),
    mirrorCongested: gauge('mirror_congested', 'Whether the queue of the mirror is full.', pair),
    dirtyBytes: gauge(
      'mirror_dirty_bytes',
      'Bytes of the regions marked in the intent log for the target.',
      pair,
    ),
    queuedWrites: gauge('mirror_queued_writes', 'Writes that the target has not acknowledged.', pair),
    behindBytes: gauge('mirror_behind_bytes', 'Bytes that would be lost with the source now.', pair),
    lag: gauge('mirror_lag_seconds', 'Age of the oldest write that the target has not acknowledged.', pair),
    resyncRatio: gauge('mirror_resync_ratio', 'How far the resync is, 0 to 1.', pair),
    resyncSpeed: gauge('mirror_resync_speed_bytes_per_second', 'Speed of the resync.', pair),
    resyncEta: gauge('mirror_resync_eta_seconds', 'When the resync will be done at its present speed.', pair),
    exposed: gauge(
      'mirror_exposed_seconds',
      'For how long the mirror has been no protection; 0 while it is.',
      pair,
    ),
    nodeAlive: gauge('node_alive', 'Whether the node counts as alive.', ['node']),
    nodeHeard: gauge('node_heard_seconds', 'Since when the node was last heard here.', ['node']),
    nodeDamaged: gauge('node_journal_damaged', 'Whether the node says that its journal is damaged.', [
      'node',
    ]),
    alarms: gauge('alarms', 'Alarms that are raised, by code; code "any": all of that severity.', [
      'severity',
      'code',
    ]),
    journalHead: gauge('journal_head', 'Sequence of the last event of each log here.', [
      'node',
      'incarnation',
    ]),
    journalDamage: gauge('journal_damages', 'Damaged parts of the journal on this node.'),
    journalWaiting: gauge(
      'journal_waiting_events',
      'Events that wait for others before they can be put in order.',
    ),
    busConnected: gauge('bus_connected', 'Whether this agent is connected to the bus.'),
    busReconnects: gauge('bus_reconnects', 'Reconnections to the bus since the agent started.'),
    busDropped: gauge(
      'bus_dropped_messages',
      'Messages lost while the bus was away or choked, since the start.',
    ),
    busMalformed: gauge('bus_malformed_messages', 'Messages in no known shape, since the start.'),
    engines: gauge('engines', 'Engines that run on this node.'),
    corruptFrames: gauge(
      'link_corrupt_frames',
      'Corrupt frames on the link to the peer, since the engine started.',
      ['tag', 'peer'],
    ),
    pages: gauge('dashboard_pages', 'Pages of the dashboard that are open.'),
  };
}
