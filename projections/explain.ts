import type { CommandName } from '../domain/commands.ts';
import { whyNotEligible } from '../domain/eligibility.ts';
import type { AnyEvent } from '../domain/events.ts';
import { decisionOf, type RecordedDecision } from '../domain/recorded-decision.ts';
import type { ClusterState, MirrorState, ResourceState } from '../domain/state.ts';
import { factSentences } from './explain-facts.ts';
import { type AppliedPolicy, policiesOf } from './explain-policies.ts';
import { isoTime } from './iso-time.ts';
import { type ResourceStatus, statusOf } from './status.ts';
import { type TimelineEntry, timelineEntry } from './timeline.ts';

/**
 * `journal explain TAG`: why a resource is in the state it is in. From the event that brought the present phase back
 * along the causes, each with who wanted it, and the facts and policies by which it was decided. A function of the
 * events and of the state they fold to, so it is the same for the present, for a past moment and for an export.
 */
export interface Explanation {
  readonly tag: string;
  readonly state: ResourceStatus;
  readonly sources: readonly string[];
  readonly lastOwner: string | null;
  readonly epoch: number;
  readonly since: string | null;
  /** Cause before effect; the last one brought the present state. */
  readonly steps: readonly ExplainedStep[];
  readonly facts: readonly string[];
  readonly policies: readonly AppliedPolicy[];
  /** Mirrors that do not protect, and why. */
  readonly mirrors: readonly ExplainedMirror[];
  /** What waits for whom. */
  readonly open: readonly string[];
}

export interface ExplainedStep extends TimelineEntry {
  /** The command by whose decision it came. */
  readonly issued: { readonly command: CommandName; readonly id: string } | null;
}

export interface ExplainedMirror {
  readonly target: string;
  readonly status: MirrorState['status'];
  /** Code of rule 4. */
  readonly notEligibleBecause: string | null;
  readonly because: TimelineEntry | null;
}

/** Longer chains than any that one takeover can have: what is behind them is another story. */
const stepsMax = 16;

/** @param events everything up to the moment that is explained, in order; `state` is their fold */
export function explain(events: readonly AnyEvent[], state: ClusterState, tag: string): Explanation | null {
  const resource = state.resources[tag];
  if (resource === undefined) return null;
  const known = new Map(events.map((event) => [event.id, event]));
  const chain = chainOf(known, resource.because);
  const decisions = decisionsOf(chain, known, events);
  const status = statusOf(state, resource);
  return {
    tag,
    state: status.state,
    sources: status.sources,
    lastOwner: status.lastOwner,
    epoch: status.epoch,
    since: chain.at(-1) ? isoTime(chain.at(-1)?.time ?? 0) : null,
    steps: chain.map((event) => stepOf(event, decisions.get(event.id))),
    facts: [...new Set(chain.flatMap((event) => factSentences(decisions.get(event.id))))],
    policies: policiesOf(chain, decisions, events, resource),
    mirrors: mirrorsOf(known, resource),
    open: openQuestions(resource),
  };
}

function stepOf(event: AnyEvent, decision: RecordedDecision | undefined): ExplainedStep {
  const issued =
    decision === undefined ? null : { command: decision.command.command, id: decision.command.id };
  return { ...timelineEntry(event), issued };
}

/** From an event back along the causes; cause before effect. */
export function chainOf(known: ReadonlyMap<string, AnyEvent>, last: string): AnyEvent[] {
  const chain: AnyEvent[] = [];
  for (let id: string | null = last; id !== null && chain.length < stepsMax; ) {
    const event = known.get(id);
    if (event === undefined || chain.includes(event)) break;
    chain.unshift(event);
    id = event.cause;
  }
  return chain;
}

/** By event: the decision that it came of. Only the first event of one holds it; the others stand right behind. */
function decisionsOf(
  chain: readonly AnyEvent[],
  known: ReadonlyMap<string, AnyEvent>,
  events: readonly AnyEvent[],
): ReadonlyMap<string, RecordedDecision> {
  const found = new Map<string, RecordedDecision>();
  for (const event of chain) {
    const own = decisionOf(event) ?? decisionOf(firstOf(event, known, events));
    if (own !== undefined) found.set(event.id, own);
  }
  return found;
}

/** The first event of the decision that this one came of: same writer, same cause, next to each other in its log. */
function firstOf(
  event: AnyEvent,
  known: ReadonlyMap<string, AnyEvent>,
  events: readonly AnyEvent[],
): AnyEvent {
  const own = events.filter(({ node }) => node === event.node);
  for (let at = own.indexOf(event); at >= 0; at -= 1) {
    const earlier = own[at];
    if (earlier === undefined || earlier.cause !== event.cause) break;
    if (decisionOf(earlier) !== undefined) return earlier;
  }
  return known.get(event.id) ?? event;
}

function mirrorsOf(known: ReadonlyMap<string, AnyEvent>, resource: ResourceState): ExplainedMirror[] {
  return Object.values(resource.mirrors)
    .filter(({ status, connected }) => status !== 'fully-operational' || !connected)
    .sort((a, b) => (a.target < b.target ? -1 : 1))
    .map((mirror) => {
      const { target, status } = mirror;
      const because = known.get(becauseOf(mirror, resource));
      return {
        target,
        status,
        notEligibleBecause: whyNotEligible(resource, target)?.code ?? null,
        because: because === undefined ? null : timelineEntry(because),
      };
    });
}

/** What made the copy what it is tells more than the last time that the two were heard of each other. */
function becauseOf(mirror: MirrorState, resource: ResourceState): string {
  const replica = resource.replicas[mirror.target];
  return mirror.status === 'out-of-sync' && replica !== undefined ? replica.because : mirror.because;
}

function openQuestions(resource: ResourceState): string[] {
  const { tag, confirmation, takeover, switchover, blocked, phase } = resource;
  if (confirmation !== null)
    return [
      `${confirmation.candidate} waits ${confirmation.seconds} s for confirmation, then it ${confirmation.default === 'proceed' ? 'proceeds' : 'is blocked'}: confirm-failover ${tag} [--block]`,
    ];
  if (takeover !== null) return [`${takeover.candidate} collects promises for epoch ${takeover.epoch}`];
  if (switchover !== null) return [`the switchover to ${switchover.to} is under way`];
  if (blocked !== null) return [`nothing moves by itself: failover ${tag} NODE, or force-online ${tag} NODE`];
  if (phase === 'split-brain') return [`nothing is copied until: resolve-split-brain ${tag} --victim NODE`];
  const flagged = Object.values(resource.replicas).flatMap(({ node, dataCorrupt }) =>
    dataCorrupt === null
      ? []
      : [
          `${node} waits for ${dataCorrupt.missing.join(', ') || 'the others'} (rule 9), or for: force-online ${tag} ${node}`,
        ],
  );
  if (phase === 'out-of-service' && flagged.length > 0) return flagged;
  if (phase === 'out-of-service' && resource.lastOwner !== null)
    return [`${resource.lastOwner.node}, the last owner, may serve again: in-service ${tag}`];
  return [];
}
