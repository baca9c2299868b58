import type { CommandName, CommandOf } from './commands.ts';
import { candidates, takeoverOrder } from './eligibility.ts';
import { type EnteredBecause, type EventType, event, type Loss, type NewEvent } from './events.ts';
import type { Facts } from './facts.ts';
import { lossOf } from './loss.ts';
import { confirmationSeconds, missingPromises, nextEpoch } from './rules.ts';
import { settingOf, settingSchemas } from './settings.ts';
import { type ClusterState, type MirrorState, modeOf, type ResourceState, sourceOf } from './state.ts';
import type { Mode, NodeName } from './vocabulary.ts';

/**
 * What an allowed command brings about: one small function per command, events out. No rule is asked here again;
 * where a command can end in more than one way, the resource machine has an edge for each.
 */
export interface Allowed<C extends CommandName> {
  readonly state: ClusterState;
  readonly resource: ResourceState;
  readonly command: CommandOf<C>;
  readonly facts: Facts;
}

type Outcome<C extends CommandName> = (allowed: Allowed<C>) => NewEvent[];

const completed = (
  { id, digest }: { id: string; digest: string },
  resource: ResourceState | null,
): NewEvent => event('command.completed', resource?.tag ?? null, { commandId: id, digest, device: null });

/** The node takes the reign that follows the last one that its decider knows of. */
function enter(resource: ResourceState, node: NodeName, epoch: number, why: EnteredBecause): NewEvent {
  return event('resource.entered-service', resource.tag, {
    node,
    epoch,
    why,
    after: resource.lastOwner && { ...resource.lastOwner },
  });
}

// Shape: rules 1 to 3

function createResource(command: CommandOf<'create'>, facts: Facts): NewEvent[] {
  const { tag, node, content, fstype, mount, bitmap, allowAsync, priority, srl, size } = command;
  const volumes = command.volumes.map(({ name, path }) => ({
    name,
    path,
    byteSize: size ?? facts.paths?.[path]?.byteSize ?? 0,
  }));
  return [
    event('resource.created', tag, {
      node,
      volumes,
      content,
      fstype: fstype ?? null,
      mount: mount ?? null,
      bitmap: bitmap ?? null,
      allowAsync,
      priority,
      srl: srl ?? null,
      replication: endpoint(facts),
    }),
    event('resource.entered-service', tag, { node, epoch: 1, why: 'created', after: null }),
  ];
}

/** The rules have made sure that the node told where its replica will be reached. */
function endpoint({ replication }: Facts): { host: string; port: number } {
  if (!replication) throw new Error('the replication endpoint was not asked for');
  return { ...replication };
}

const extend: Outcome<'extend'> = ({ resource, command, facts }) => {
  const { node, mode, pair, compress, mount, bitmap, fullSync } = command;
  const highest = Math.max(0, ...Object.values(resource.replicas).map(({ priority }) => priority));
  const pairs: Record<string, Mode> = {};
  for (const other of Object.keys(resource.replicas)) pairs[other] = pair[other as NodeName] ?? mode;
  return [
    event('resource.extended', resource.tag, {
      node,
      // A target may be larger: what counts is the volume's size.
      volumes: command.volumes.map(({ name, path }) => ({
        name,
        path,
        byteSize: volumeSize(resource, name),
      })),
      mode,
      pairs,
      priority: command.priority ?? highest + 1,
      compress,
      mount: mount ?? null,
      bitmap: bitmap ?? null,
      fullSync,
      replication: endpoint(facts),
    }),
    completed(command, resource),
  ];
};

function volumeSize(resource: ResourceState, name: string): number {
  const source = sourceOf(resource) ?? resource.lastOwner?.node;
  const volumes = source === undefined ? undefined : resource.replicas[source]?.volumes;
  return volumes?.find((volume) => volume.name === name)?.byteSize ?? 0;
}

const unextend: Outcome<'unextend'> = ({ resource, command }) => [
  event('resource.unextended', resource.tag, { node: command.node }),
  completed(command, resource),
];

/** Of two creations (rule 1) the one goes whose node decides. */
const deleteResource: Outcome<'delete'> = ({ resource, command, facts }) => {
  const rival = resource.rivals.find(({ replicas }) => replicas[facts.self]);
  return [
    event('resource.deleted', resource.tag, { created: rival?.id ?? resource.id }),
    completed(command, resource),
  ];
};

// Service: rules 5, 6, 9 to 12

const inService: Outcome<'in-service'> = (allowed) => {
  const { resource, command, facts } = allowed;
  const node = command.node ?? resource.lastOwner?.node ?? facts.self;
  if (resource.phase === 'in-service') return startSwitchover(resource, node, facts);
  return goInService(resource, node, facts, 'in-service');
};

function goInService(resource: ResourceState, node: NodeName, facts: Facts, why: EnteredBecause): NewEvent[] {
  const flagged = resource.replicas[node]?.dataCorrupt;
  const epoch = facts.promises?.epoch ?? nextEpoch(resource, facts);
  return [
    ...(flagged
      ? [
          event('data-corrupt.cleared', resource.tag, {
            node,
            by: why === 'forced' ? 'forced' : 'peers-returned',
          } as const),
        ]
      : []),
    enter(resource, node, epoch, why),
  ];
}

function startSwitchover(resource: ResourceState, to: NodeName, facts: Facts): NewEvent[] {
  const from = sourceOf(resource) ?? facts.self;
  return [event('switchover.started', resource.tag, { from, to, epoch: nextEpoch(resource, facts) })];
}

const switchover: Outcome<'switchover'> = ({ resource, command, facts }) =>
  startSwitchover(resource, command.node, facts);

const outOfService: Outcome<'out-of-service'> = (allowed) => {
  const { resource, command, facts } = allowed;
  if (resource.phase === 'split-brain' && command.node !== undefined)
    return resolve(resource, command.node, facts, command);
  const reign = resource.reigns.find(({ node }) => node === (command.node ?? sourceOf(resource)));
  if (!reign) return [];
  return [
    event('resource.left-service', resource.tag, {
      node: reign.node,
      epoch: reign.epoch,
      why: 'out-of-service',
      handedTo: null,
    }),
    completed(command, resource),
  ];
};

const forceOnline: Outcome<'force-online'> = ({ resource, command, facts }) => {
  const { node } = command;
  const epoch = nextEpoch(resource, facts);
  const lost = lossOf(resource, command, facts) ?? {
    text: 'nothing is known to be lost',
    writes: null,
    bytes: null,
    since: null,
  };
  return [
    event('resource.forced-online', resource.tag, { node, epoch, lost }),
    ...(resource.replicas[node]?.dataCorrupt
      ? [event('data-corrupt.cleared', resource.tag, { node, by: 'forced' })]
      : []),
    enter(resource, node, epoch, 'forced'),
  ];
};

const resolveSplitBrain: Outcome<'resolve-split-brain'> = ({ resource, command, facts }) =>
  resolve(resource, command.victim, facts, command);

function resolve(
  resource: ResourceState,
  victim: NodeName,
  facts: Facts,
  command: CommandOf<'resolve-split-brain'> | CommandOf<'out-of-service'>,
): NewEvent[] {
  const survivor = resource.reigns.find(({ node }) => node !== victim)?.node ?? facts.self;
  const lost: Loss = lossOf(resource, command, facts) ?? { text: '', writes: null, bytes: null, since: null };
  return [
    event('split-brain.resolved', resource.tag, { victim, survivor, lost }),
    completed(command, resource),
  ];
}

/** Rule 9: it serves with a new epoch, or flags itself and stays out of service. */
const returnToService: Outcome<'return'> = ({ resource, facts }) => {
  const { self } = facts;
  const missing = missingPromises(resource, facts);
  if (missing.length === 0) return goInService(resource, self, facts, 'returned');
  const reign = resource.reigns.find(({ node }) => node === self);
  return [
    ...(resource.replicas[self]?.dataCorrupt
      ? []
      : [event('data-corrupt.flagged', resource.tag, { node: self, missing })]),
    ...(reign
      ? [
          event('resource.left-service', resource.tag, {
            node: self,
            epoch: reign.epoch,
            why: 'cannot-tell',
            handedTo: null,
          }),
        ]
      : []),
  ];
};

// Switchover, steps 3 to 6 (rule 6)

const handedOver: Outcome<'handed-over'> = ({ resource, command, facts }) => {
  const reign = resource.reigns.find(({ node }) => node === facts.self);
  if (!reign) return [];
  const handedTo = { node: command.to, epoch: command.epoch };
  return [
    event('resource.left-service', resource.tag, {
      node: facts.self,
      epoch: reign.epoch,
      why: 'switchover',
      handedTo,
    }),
  ];
};

const switchoverStopped: Outcome<'switchover-stopped'> = ({ resource, command, state }) => {
  const plan = resource.switchover;
  if (!plan) return [];
  const { from, to, epoch } = plan;
  return [
    event('switchover.failed', resource.tag, { from, to, epoch, step: command.step, why: command.why }),
    ...failedCommand(state, plan.command, resource, command.why),
  ];
};

const takeHandover: Outcome<'take-handover'> = ({ resource, facts }) => {
  const handed = resource.left?.handedTo;
  return handed ? [enter(resource, facts.self, handed.epoch, 'switchover')] : [];
};

// Failover: rules 7, 8, 14

const failover: Outcome<'failover'> = (allowed) => {
  const { state, resource, command, facts } = allowed;
  const candidate = command.node ?? candidates(resource, facts)[0] ?? facts.self;
  const lost = sourceOf(resource) ?? resource.lastOwner?.node ?? candidate;
  const seconds = confirmationSeconds(state, resource, lost, candidate);
  if (seconds === undefined) return [startFailover(resource, lost, candidate, facts)];
  const byDefault =
    settingOf(
      state.settings,
      { tag: resource.tag, node: candidate, peer: lost },
      'confirm-failover-default',
    ) ?? 'proceed';
  if (seconds > 0) {
    return [
      event('failover.confirmation-requested', resource.tag, {
        lost,
        candidate,
        seconds,
        default: byDefault,
      }),
    ];
  }
  return byDefault === 'block'
    ? blocked(state, resource, lost, candidate, command.id)
    : [
        event('failover.confirmed', resource.tag, { lost, candidate, decision: 'proceed' }),
        startFailover(resource, lost, candidate, facts),
      ];
};

function startFailover(
  resource: ResourceState,
  lost: NodeName,
  candidate: NodeName,
  facts: Facts,
  command?: string | null,
): NewEvent {
  const order = takeoverOrder(resource);
  return event(
    'failover.started',
    resource.tag,
    { lost, candidate, epoch: nextEpoch(resource, facts), order },
    command,
  );
}

function blocked(
  state: ClusterState,
  resource: ResourceState,
  lost: NodeName,
  candidate: NodeName,
  command: string | null,
): NewEvent[] {
  const text = `the failover of ${resource.tag} from ${lost} to ${candidate} was not confirmed and is blocked`;
  return [
    event(
      'failover.blocked',
      resource.tag,
      { lost, candidate, code: 'failover-not-confirmed', text },
      command,
    ),
    ...failedCommand(state, command, resource, text),
  ];
}

const confirmFailover: Outcome<'confirm-failover'> = (allowed) => [
  ...decideConfirmation(allowed, allowed.command.block ? 'block' : 'proceed'),
  completed(allowed.command, allowed.resource),
];

const confirmationTimedOut: Outcome<'confirmation-timed-out'> = (allowed) =>
  decideConfirmation(allowed, allowed.resource.confirmation?.default ?? 'proceed');

function decideConfirmation(
  { state, resource, facts }: { state: ClusterState; resource: ResourceState; facts: Facts },
  decision: 'proceed' | 'block',
): NewEvent[] {
  const waiting = resource.confirmation;
  if (!waiting) return [];
  const { lost, candidate, command } = waiting;
  const confirmed = event('failover.confirmed', resource.tag, { lost, candidate, decision });
  return decision === 'block'
    ? [confirmed, ...blocked(state, resource, lost, candidate, command)]
    : [confirmed, startFailover(resource, lost, candidate, facts, command)];
}

const promise: Outcome<'promise'> = ({ resource, command, facts }) => {
  const { candidate, epoch } = command;
  const outOfSync = resource.replicas[facts.self]?.knowsOutOfSync === true;
  return [event('takeover.promised', resource.tag, { by: facts.self, candidate, epoch, outOfSync })];
};

/** All reachable nodes have promised: it enters service. Anything else: it gives way, and says to what. */
const promisesCollected: Outcome<'promises-collected'> = ({ state, resource, command, facts }) => {
  const takeover = resource.takeover;
  if (!takeover) return [];
  const heard = command.answers.find(({ answer }) => answer === 'source-alive');
  const other = command.answers.find(
    ({ answer, highestEpoch }) =>
      answer === 'promised-other' ||
      answer === 'refused' ||
      (answer === 'promised' && highestEpoch > command.epoch),
  );
  if (!heard && !other) return [enter(resource, facts.self, command.epoch, 'failover')];
  const { lost, candidate } = takeover;
  const code = heard ? 'source-alive' : 'stale-command';
  const text = heard
    ? `${heard.node} still hears ${lost}`
    : `${other?.node} has promised another, or follows a later epoch`;
  return [
    event('failover.blocked', resource.tag, { lost, candidate, code, text }, takeover.command),
    ...failedCommand(state, takeover.command, resource, text),
  ];
};

// What ends a takeover

const served: Outcome<'served'> = ({ state, resource, command }) => {
  const { entering } = resource;
  if (!entering || entering.epoch !== command.epoch) return [];
  const { device, epoch } = command;
  const node = sourceOf(resource) ?? resource.lastOwner?.node;
  if (node === undefined) return [];
  const end = entering.command;
  const { from } = entering;
  return [
    ...(entering.why === 'switchover' && from !== null
      ? [event('switchover.completed', resource.tag, { from, to: node, epoch, device }, end)]
      : []),
    ...(entering.why === 'failover' && from !== null
      ? [
          event(
            'failover.completed',
            resource.tag,
            { lost: from, node, epoch, device, loss: asyncLoss(state, resource, from, node) },
            end,
          ),
        ]
      : []),
    ...(end === null
      ? []
      : [
          event(
            'command.completed',
            resource.tag,
            { commandId: end, digest: state.commands[end]?.digest ?? '', device },
            end,
          ),
        ]),
  ];
};

/** FAULTS 2: an asynchronous mirror may miss what was queued; it says so, with the bound. */
function asyncLoss(
  state: ClusterState,
  resource: ResourceState,
  lost: NodeName,
  node: NodeName,
): Loss | null {
  if (modeOf(resource, lost, node) !== 'async') return null;
  const limit =
    settingOf(state.settings, { tag: resource.tag, node: lost, peer: node }, 'async-limit') ?? 256;
  return { text: `unknown, at most ${limit} writes`, writes: limit, bytes: null, since: null };
}

const serveFailed: Outcome<'serve-failed'> = ({ state, resource, command, facts }) => {
  const left = event('resource.left-service', resource.tag, {
    node: facts.self,
    epoch: command.epoch,
    why: 'local-failure',
    handedTo: null,
  });
  const { entering } = resource;
  if (!entering) return [left];
  const plan =
    entering.why === 'switchover' && entering.from !== null
      ? [
          event(
            'switchover.failed',
            resource.tag,
            { from: entering.from, to: facts.self, epoch: command.epoch, step: 6, why: command.why },
            entering.command,
          ),
        ]
      : [];
  return [left, ...plan, ...failedCommand(state, entering.command, resource, command.why)];
};

function failedCommand(
  state: ClusterState,
  id: string | null,
  resource: ResourceState,
  why: string,
): NewEvent[] {
  if (id === null || state.commands[id]?.outcome !== 'running') return [];
  return [
    event(
      'command.failed',
      resource.tag,
      { commandId: id, digest: state.commands[id]?.digest ?? '', why },
      id,
    ),
  ];
}

// Conflicts: rule 12

const superseded: Outcome<'superseded'> = ({ resource, facts }) => {
  const mine = facts.serving;
  if (!mine) return [];
  const others = resource.reigns.filter(({ node }) => node !== mine.node).map((reign) => ({ ...reign }));
  return [event('takeover.conflicted', resource.tag, { reigns: [{ ...mine }, ...others] })];
};

/** Both wrote: a split brain. At most one wrote: that one goes on; none: the better priority. */
const settleConflict: Outcome<'settle-conflict'> = ({ resource, command, facts }) => {
  const wrote = resource.reigns.filter(({ node }) => command.wrote.includes(node));
  if (wrote.length > 1 || !command.related) {
    return [
      event('split-brain.detected', resource.tag, { reigns: resource.reigns.map((reign) => ({ ...reign })) }),
    ];
  }
  const priorityOf = ({ node }: { node: NodeName }) => resource.replicas[node]?.priority ?? 0;
  const byPriority = [...resource.reigns].sort((a, b) => priorityOf(a) - priorityOf(b));
  const survivor = wrote[0] ?? byPriority[0];
  const loser = resource.reigns.find(({ node }) => node === facts.self && node !== survivor?.node);
  // Each loser takes itself out of service: nobody ends another's reign.
  return loser
    ? [
        event('resource.left-service', resource.tag, {
          node: loser.node,
          epoch: loser.epoch,
          why: 'conflict-settled',
          handedTo: survivor ? { ...survivor } : null,
        }),
      ]
    : [];
};

// Mirrors: rules 17 and 18

function chosen(resource: ResourceState, targets: readonly NodeName[] | undefined): MirrorState[] {
  const mirrors = Object.values(resource.mirrors);
  return targets && targets.length > 0 ? mirrors.filter(({ target }) => targets.includes(target)) : mirrors;
}

const pause: Outcome<'pause'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).map(({ source, target }) =>
    event('mirror.paused', resource.tag, {
      source,
      target,
      by: 'operator',
      reason: command.reason ?? 'no reason given',
    }),
  ),
  completed(command, resource),
];

const resume: Outcome<'resume'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).map(({ source, target }) =>
    event('mirror.resumed', resource.tag, { source, target, by: 'operator' }),
  ),
  completed(command, resource),
];

/** As the guide's `mirror_action fullresync`: resumes, and takes everything. */
const fullResync: Outcome<'full-resync'> = ({ resource, command }) => [
  ...chosen(resource, command.targets).flatMap(({ source, target, paused }) => [
    ...(paused ? [event('mirror.resumed', resource.tag, { source, target, by: 'operator' })] : []),
    event('bitmap.marked-dirty', resource.tag, { node: source, peer: target }),
  ]),
  completed(command, resource),
];

// Settings and bitmaps

function changeSettings(command: CommandOf<'settings'>, resource: ResourceState | undefined): NewEvent[] {
  const { key, node, peer } = command;
  const value = settingSchemas[key].parse(command.value);
  return [
    node !== undefined && resource === undefined
      ? event('node.settings-changed', null, { node, peer: peer ?? null, key, value })
      : event('resource.settings-changed', resource?.tag ?? null, {
          node: node ?? null,
          peer: peer ?? null,
          key,
          value,
        }),
    completed(command, resource ?? null),
  ];
}

const marked =
  <C extends 'bitmap-mark-clean' | 'bitmap-mark-dirty'>(
    type: 'bitmap.marked-clean' | 'bitmap.marked-dirty',
  ): Outcome<C> =>
  ({ resource, command }) => {
    const { node, peer } = command as CommandOf<'bitmap-mark-clean'>;
    return [
      event(type, resource.tag, { node, peer: peer ?? null }),
      completed(command as CommandOf<'bitmap-mark-clean'>, resource),
    ];
  };

// Local failures: rule 15

const localFailure: Outcome<'local-failure'> = ({ resource, command, facts }) => [
  event('local-recovery.started', resource.tag, { node: facts.self, what: command.what }),
];

export const manualIntervention = 'Local recovery failure, failover blocked, MANUAL INTERVENTION REQUIRED';

const localRecoveryEnded: Outcome<'local-recovery-ended'> = ({ state, resource, command, facts }) => {
  const { self } = facts;
  const { what } = command;
  if (command.ok) return [event('local-recovery.succeeded', resource.tag, { node: self, what })];
  const blocks =
    settingOf(state.settings, { tag: resource.tag, node: self }, 'block-resource-failover') === true;
  const reign = resource.reigns.find(({ node }) => node === self);
  const text = blocks && reign ? manualIntervention : `local recovery failed on ${self}: ${what}`;
  const failed = event('local-recovery.failed', resource.tag, {
    node: self,
    what,
    blocked: blocks && reign !== undefined,
    text,
  });
  if (!reign) return [failed];
  return blocks
    ? [
        failed,
        event('failover.blocked', resource.tag, {
          lost: self,
          candidate: null,
          code: 'local-recovery-failed',
          text,
        }),
      ]
    : [
        failed,
        event('resource.left-service', resource.tag, {
          node: self,
          epoch: reign.epoch,
          why: 'local-failure',
          handedTo: null,
        }),
      ];
};

// What is only noted

type Noted = {
  readonly [C in CommandName]?: (command: CommandOf<C>, facts: Facts) => NewEvent;
};

const note = <T extends EventType>(type: T, command: { tag?: unknown }, data: object): NewEvent =>
  event(type, (command.tag ?? null) as never, data as never);

/** Observations that are history as they come: the event holds what the command said. */
const noted: Noted = {
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
  'node-joined': (c, { self }) => note('node.joined', {}, { node: self, host: c.host }),
  'node-heard': (c) => note('node.returned', {}, { node: c.node, restarted: c.restarted }),
  'node-silent': (c) => note('node.lost', {}, { node: c.node, silentMs: c.silentMs }),
  'clock-skewed': (c) => note('node.clock-skewed', {}, { node: c.node, aheadMs: c.aheadMs }),
  'journal-damaged': (c, { self }) => note('journal.damaged', {}, { node: self, code: c.code, text: c.text }),
  'journal-repaired': (c, { self }) => note('journal.repaired', {}, { node: self, text: c.text }),
};

const outcomes: { readonly [C in CommandName]?: Outcome<C> } = {
  extend,
  unextend,
  delete: deleteResource,
  'in-service': inService,
  'out-of-service': outOfService,
  switchover,
  failover,
  'confirm-failover': confirmFailover,
  'confirmation-timed-out': confirmationTimedOut,
  'force-online': forceOnline,
  'resolve-split-brain': resolveSplitBrain,
  pause,
  resume,
  'full-resync': fullResync,
  'bitmap-mark-clean': marked('bitmap.marked-clean'),
  'bitmap-mark-dirty': marked('bitmap.marked-dirty'),
  promise,
  'promises-collected': promisesCollected,
  'take-handover': takeHandover,
  return: returnToService,
  'settle-conflict': settleConflict,
  'handed-over': handedOver,
  'switchover-stopped': switchoverStopped,
  served,
  'serve-failed': serveFailed,
  superseded,
  'local-failure': localFailure,
  'local-recovery-ended': localRecoveryEnded,
};

/** The events that an allowed command brings about. */
export function outcomeOf(
  state: ClusterState,
  resource: ResourceState | undefined,
  command: CommandOf<CommandName>,
  facts: Facts,
): NewEvent[] {
  if (command.command === 'create') return createResource(command, facts);
  if (command.command === 'settings') return changeSettings(command, resource);
  const noting = noted[command.command] as
    | ((command: CommandOf<CommandName>, facts: Facts) => NewEvent)
    | undefined;
  if (noting) return [noting(command, facts)];
  const outcome = outcomes[command.command] as Outcome<CommandName> | undefined;
  if (!outcome || !resource) return [];
  return outcome({ state, resource, command, facts });
}
