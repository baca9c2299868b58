import type { Command } from './commands.ts';
import { type Decision, decide } from './decide.ts';
import type { DomainEvent, Loss, NewEvent } from './events.ts';
import { evolve } from './evolve.ts';
import type { Facts } from './facts.ts';
import { acceptanceToken, lossOf } from './loss.ts';
import { type Intent, react } from './react.ts';
import { type ClusterState, type ResourceState, totalBytes } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/** A resync that would follow: direction, kind and size, as far as anybody can tell before. */
export interface PlannedResync {
  readonly source: NodeName;
  readonly target: NodeName;
  readonly kind: 'partial' | 'full';
  /** Null where the marks of the pair are not known to the decider. */
  readonly bytes: number | null;
}

/** What `--dry-run` answers (rule 22): nothing is journaled, nothing happens. */
export type Plan =
  | Extract<Decision, { kind: 'refused' }>
  | {
      readonly kind: 'planned';
      readonly events: readonly NewEvent[];
      readonly intents: readonly Intent[];
      readonly resyncs: readonly PlannedResync[];
      readonly loss: Loss | null;
      readonly token: string | null;
    };

/** Decides as if, follows a switchover or failover to its end, and tells what would come of it. */
export function dryRun(state: ClusterState, command: Command, facts: Facts): Plan {
  const decision = decide(state, { ...command, dryRun: true }, facts);
  if (decision.kind === 'refused') return decision;
  const tag = 'tag' in command ? command.tag : undefined;
  const before = tag === undefined ? undefined : state.resources[tag];
  const loss = lossOf(before, command, facts);
  const events = [...decision.events, ...followUps(decision.events)];
  const after = events.reduce(
    (folded, event, index) => evolve(folded, asEvent(event, index, facts, command)),
    state,
  );
  const resource = tag === undefined ? undefined : after.resources[tag];
  return {
    kind: 'planned',
    events: decision.events,
    intents: react(state, after, facts.self),
    resyncs: resource ? resyncs(before, resource, facts) : [],
    loss,
    token: loss ? acceptanceToken(before, command) : null,
  };
}

/** What a takeover comes to when every step succeeds. */
function followUps(events: readonly NewEvent[]): NewEvent[] {
  return events.flatMap((event): NewEvent[] => {
    if (event.type === 'switchover.started') {
      const { from, to, epoch } = event.data;
      return [entered(event, to, epoch, 'switchover', from)];
    }
    if (event.type === 'failover.started') {
      const { lost, candidate, epoch } = event.data;
      return [entered(event, candidate, epoch, 'failover', lost)];
    }
    return [];
  });
}

function entered(
  event: NewEvent,
  node: NodeName,
  epoch: number,
  why: 'switchover' | 'failover',
  from: NodeName,
): NewEvent {
  const data = { node, epoch, why, after: { node: from, epoch: epoch - 1 } };
  return { type: 'resource.entered-service', resource: event.resource, data };
}

function asEvent(event: NewEvent, index: number, facts: Facts, command: Command): DomainEvent {
  return {
    ...event,
    id: `${facts.self}/0/${index + 1}`,
    node: facts.self,
    time: facts.now,
    actor: command.actor,
    reason: command.reason ?? null,
    command: command.id,
    cause: null,
    digest: command.digest,
  } as DomainEvent;
}

/** A mirror that would not be in sync needs a resync; partial wherever the pair keeps an intent log. */
function resyncs(before: ResourceState | undefined, after: ResourceState, facts: Facts): PlannedResync[] {
  return Object.values(after.mirrors)
    .filter(({ status }) => status === 'out-of-sync' || status === 'resyncing')
    .map(({ source, target, fullResyncOrdered, unrelated }) => {
      const known = before?.replicas[target] !== undefined;
      const marks = [
        facts.replicas?.[source]?.dirtyBytes[target],
        facts.replicas?.[target]?.dirtyBytes[source],
      ];
      const kept = after.replicas[source]?.bitmap !== 'none' && after.replicas[target]?.bitmap !== 'none';
      const full = fullResyncOrdered !== null || unrelated || !known || !kept || marks.includes(null);
      if (full) return { source, target, kind: 'full', bytes: totalBytes(after, source) };
      const numbers = marks.filter((mark): mark is number => typeof mark === 'number');
      // What is copied is the union of both sides' marks, most of which lie in the same regions.
      const bytes = numbers.length === 0 ? null : Math.min(totalBytes(after, source), Math.max(...numbers));
      return { source, target, kind: 'partial', bytes };
    });
}
