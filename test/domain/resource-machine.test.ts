import { beforeAll, describe, expect, it } from 'vitest';
import { getNextSnapshot } from 'xstate';
import { isOperatorCommand } from '../../domain/commands.ts';
import { decide } from '../../domain/decide.ts';
import type { AnyEvent, DomainEvent } from '../../domain/events.ts';
import { evolve } from '../../domain/evolve.ts';
import { violations } from '../../domain/invariants.ts';
import { acceptanceToken } from '../../domain/loss.ts';
import { resourceMachine } from '../../domain/resource-machine.ts';
import { asSeenBy, type ClusterState } from '../../domain/state.ts';
import { adam, created, entered, eve, fold, joined, lost, mirrored, past, sophocles, tag } from './given.ts';
import { type Asked, askable } from './universe.ts';

/** What makes one state another for the rules; epochs and ids do not. */
function shapeOf(state: ClusterState): string {
  const resource = state.resources[tag];
  if (!resource) return JSON.stringify([Object.keys(state.settings)]);
  const { phase, reigns, lastOwner, left, replicas, mirrors, takeover, confirmation, blocked, rivals } =
    resource;
  return JSON.stringify([
    phase,
    reigns.map(({ node, epoch }) => [node, epoch === resource.epoch]),
    lastOwner?.node,
    [left?.why, left?.handedTo?.node],
    Object.values(replicas).map(({ node, data, away, dataCorrupt, failed, victimOf, knowsOutOfSync }) => [
      node,
      data,
      away,
      dataCorrupt !== null,
      failed !== null,
      victimOf,
      knowsOutOfSync,
    ]),
    Object.values(mirrors).map(({ source, status, connected }) => [source, status, connected]),
    [
      takeover?.candidate,
      confirmation?.candidate,
      confirmation?.default,
      blocked?.code,
      resource.entering?.why,
    ],
    rivals.length,
    Object.values(state.settings),
  ]);
}

/** The command as one who accepts the loss asks it. */
function accepting({ command, facts }: Asked, state: ClusterState): Asked {
  const resource = state.resources[tag];
  const token = acceptanceToken(resource, command);
  return { command: { ...command, acceptLoss: token }, facts };
}

function asEvents(events: readonly object[], { command, facts }: Asked, count: number): DomainEvent[] {
  return events.map(
    (one, index) =>
      ({
        node: facts.self,
        time: facts.now,
        actor: command.actor,
        reason: null,
        cause: null,
        command: command.id,
        digest: command.digest,
        ...one,
        id: `${facts.self}/1/${count + index + 1}`,
      }) as DomainEvent,
  );
}

/** Where the machine goes, or undefined where it has no way. */
function machineTarget(state: ClusterState, { command, facts }: Asked): string | undefined {
  const known = state.resources[tag];
  const resource = known && !isOperatorCommand(command.command) ? asSeenBy(known, facts.self) : known;
  const event = { type: command.command, command } as never;
  const snapshot = resourceMachine.resolveState({
    value: resource?.phase ?? 'absent',
    context: { state, resource, facts },
  });
  return snapshot.can(event) ? String(getNextSnapshot(resourceMachine, snapshot, event).value) : undefined;
}

/** Every edge of the machine, as `from command to`. */
function edges(): string[] {
  return Object.values(resourceMachine.states).flatMap((node) =>
    [...node.transitions].flatMap(([event, transitions]) =>
      transitions.map(({ target }) => `${node.key} ${event} ${target?.[0]?.key}`),
    ),
  );
}

const set = (
  key: 'confirm-failover' | 'confirm-failover-default' | 'block-resource-failover' | 'auto-pause',
  value: unknown,
) => past('resource.settings-changed', { node: null, peer: null, key, value });
const congested = past('mirror.congested', { source: eve, target: adam, congested: true });
const connected = past('mirror.connected', { source: eve, target: adam, inSync: true });
const two = [...mirrored(adam), connected];
const confirmed = [set('confirm-failover', 60)];
const reigns = [
  { node: eve, epoch: 1 },
  { node: adam, epoch: 2 },
];

const waiting = [[], confirmed, [set('confirm-failover', 0), set('confirm-failover-default', 'block')]];
const started = past('switchover.started', { from: eve, to: adam, epoch: 2 });
const left = (why: 'switchover' | 'local-failure' | 'out-of-service', node: typeof eve) =>
  past('resource.left-service', {
    node,
    epoch: 1,
    why,
    handedTo: why === 'switchover' ? { node: adam, epoch: 2 } : null,
  });
const asked = (byDefault: 'proceed' | 'block') =>
  past('failover.confirmation-requested', { lost: eve, candidate: adam, seconds: 60, default: byDefault });
const takes = past('failover.started', { lost: eve, candidate: adam, epoch: 2, order: [adam] });
const blocked = past('failover.blocked', {
  lost: eve,
  candidate: adam,
  code: 'failover-not-confirmed',
  text: 'not confirmed',
});
const rivals = [
  ...joined(eve, adam),
  created(),
  entered(eve, 1),
  past('resource.created', { ...(created().data as object), node: adam } as never, { node: adam }),
  entered(adam, 1),
];

/** Beginnings: nothing, everything in sync, and the settings that open further ways. */
const beginnings: readonly (readonly AnyEvent[])[] = [
  joined(eve, adam),
  two,
  [...two, ...confirmed, lost(eve)],
  [...two, set('confirm-failover', 0), set('confirm-failover-default', 'block'), lost(eve)],
  [...two, set('block-resource-failover', true)],
  [...two, set('auto-pause', 60), congested],
  [...two, past('takeover.conflicted', { reigns })],
  [...mirrored(), past('takeover.conflicted', { reigns })],
  ...[rivals, [...rivals, { ...left('out-of-service', adam), node: adam }]],
  [
    ...joined(),
    ...rivals.slice(2),
    past('resource.created', { ...(created().data as object), node: sophocles } as never, {
      node: sophocles,
    }),
  ],
  [
    ...two,
    past('mirror.paused', { source: eve, target: adam, by: 'policy', reason: 'its queue stayed full' }),
  ],
  [...two, started, left('switchover', eve)],
  ...waiting.flatMap((settings) => [
    [...two, ...settings, started, lost(eve)],
    [...mirrored(), ...settings, lost(eve), asked('proceed'), lost(adam, sophocles)],
    [...mirrored(), ...settings, lost(eve), takes, lost(adam, sophocles)],
    [...two, ...settings, lost(eve), blocked],
  ]),
  [...two, lost(eve), asked('block')],
  [...two, set('block-resource-failover', true), lost(eve), asked('proceed')],
  [...two, left('local-failure', eve), asked('proceed')],
  [...two, left('local-failure', eve), takes],
  [...two, left('local-failure', eve), blocked],
];

/** Breadth first through all that two nodes can come to, a state for each shape. */
function explore(
  beginning: readonly AnyEvent[],
  statesMax: number,
  taken: Set<string>,
  wrong: Set<string>,
): number {
  const begin = fold(beginning);
  const nodes = Object.values(begin.nodes).map(({ node }) => node);
  const queue = [begin];
  const seen = new Set(queue.map(shapeOf));
  for (let at = 0; at < queue.length; at += 1) {
    const state = queue[at] ?? begin;
    for (const self of nodes) {
      for (const reachable of [[...nodes], [self]]) {
        for (const one of askable(state, nodes, self, reachable)) {
          const asked = accepting(one, state);
          const decision = decide(state, asked.command, asked.facts);
          const target = machineTarget(state, asked);
          const resource = state.resources[tag];
          const name = asked.command.command;
          const its = resource && !isOperatorCommand(name) ? asSeenBy(resource, self) : resource;
          const from = its?.phase ?? 'absent';
          if (decision.kind === 'refused') {
            if (decision.refusal.message.includes('means nothing while'))
              wrong.add(`${from} ${name}: the rules pass, the machine has no edge`);
            if (target !== undefined)
              wrong.add(`${from} ${name}: the machine passes, ${decision.refusal.code}`);
            continue;
          }
          const events = asEvents(decision.events, asked, 1000 + at * 10);
          let after = state;
          for (const event of events) {
            after = evolve(after, event);
            for (const text of violations(after)) wrong.add(`${from} ${name} ${event.type}: ${text}`);
          }
          const later = after.resources[tag];
          const own = later && !isOperatorCommand(name) ? asSeenBy(later, self) : later;
          if (target !== undefined) {
            taken.add(`${from} ${name} ${target}`);
            if (own && own.phase !== target)
              wrong.add(`${from} ${name}: the machine leads to ${target}, the fold to ${own.phase}`);
          }
          const shape = shapeOf(after);
          if (seen.has(shape) || queue.length >= statesMax) continue;
          seen.add(shape);
          queue.push(after);
        }
      }
    }
  }
  return queue.length;
}

describe('the resource machine', () => {
  const taken = new Set<string>();
  const wrong = new Set<string>();
  const counts: number[] = [];

  beforeAll(() => {
    for (const beginning of beginnings) counts.push(explore(beginning, 30, taken, wrong));
  }, 180_000);

  it('and decide agree in every state and on every command, and the fold goes where the machine leads', () => {
    expect([...wrong]).toEqual([]);
    expect(Math.min(...counts)).toBeGreaterThan(5);
  });

  it('has no edge that is never taken', () => {
    expect(edges().filter((edge) => !taken.has(edge))).toEqual([]);
  });
});
