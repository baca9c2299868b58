import type { AnyEvent, DomainEvent } from '../domain/events.ts';
import { apply, replay } from '../domain/evolve.ts';
import type { Facts } from '../domain/facts.ts';
import { decisionOf } from '../domain/recorded-decision.ts';
import type { Settings } from '../domain/settings.ts';
import type { ClusterState, Phase, ResourceState } from '../domain/state.ts';

type Of<T extends DomainEvent['type']> = Extract<DomainEvent, { type: T }>;

/** One loss of a source and what came of it: from the first decision about a failover to its end. */
export interface FailoverIncident {
  readonly tag: string;
  readonly lost: string;
  /** The first decision: a failover began, waits for confirmation, or is blocked. */
  readonly first: DomainEvent;
  readonly facts: Facts | undefined;
  /** How the resource and the settings stood before it, as far as its decider knew. */
  readonly resource: ResourceState;
  readonly settings: Settings;
  /** Null where the source was not lost: a local failure. */
  readonly loss: Of<'node.lost'> | null;
  readonly requested: Of<'failover.confirmation-requested'> | null;
  readonly confirmed: Of<'failover.confirmed'> | null;
  readonly started: Of<'failover.started'> | null;
  /** The takeover succeeded. */
  readonly entered: Of<'resource.entered-service'> | null;
  /** The lost node was heard again, at any time later. */
  readonly returned: Of<'node.returned'> | null;
}

type Open = { -readonly [K in keyof FailoverIncident]: FailoverIncident[K] };

const undecided: ReadonlySet<Phase> = new Set<Phase>(['awaiting-confirmation', 'failing-over', 'blocked']);

/** A whole history, in order, and what the writer of each of its events knew before it. */
export interface KnownHistory {
  /** The state before the first event: nobody else's. */
  readonly begin: () => ClusterState;
  readonly events: readonly AnyEvent[];
  readonly knownBefore: (event: string) => readonly AnyEvent[];
}

/** Every incident of a history, in order. */
export function failoverIncidents({ events, knownBefore, begin }: KnownHistory): FailoverIncident[] {
  const state = begin();
  const incidents: Open[] = [];
  const open = new Map<string, Open>();
  const losses = new Map<string, Of<'node.lost'>>();
  for (const event of events) {
    if (event.type === 'node.lost') losses.set(event.id, event);
    if (event.type === 'node.returned') noteReturn(incidents, event);
    const tag = event.resource;
    if (tag !== null && event.type !== 'unknown') {
      const lost = open.has(tag) ? null : lostIn(event);
      const incident =
        lost === null
          ? undefined
          : incidentOf(event, tag, lost, losses, replay(begin(), knownBefore(event.id)));
      if (incident !== undefined) {
        open.set(tag, incident);
        incidents.push(incident);
      }
      note(open.get(tag), event);
    }
    apply(state, event);
    for (const known of open.keys())
      if (!undecided.has(state.resources[known]?.phase ?? 'deleted')) open.delete(known);
  }
  return incidents;
}

/** What came later of the same order does not count: nobody knew of it. */
function incidentOf(
  first: DomainEvent,
  tag: string,
  lost: string,
  losses: ReadonlyMap<string, Of<'node.lost'>>,
  { nodes, settings, resources }: ClusterState,
): Open | undefined {
  const resource = resources[tag];
  if (resource === undefined) return undefined;
  const { alive = true, because = '' } = nodes[lost] ?? {};
  return {
    tag,
    lost,
    first,
    facts: decisionOf(first)?.facts,
    resource,
    settings,
    loss: alive ? null : (losses.get(because) ?? null),
    requested: null,
    confirmed: null,
    started: null,
    entered: null,
    returned: null,
  };
}

/** Whose loss an event decides about. */
function lostIn(event: DomainEvent): string | null {
  switch (event.type) {
    case 'failover.started':
    case 'failover.confirmation-requested':
    case 'failover.blocked':
      return event.data.lost;
    default:
      return null;
  }
}

function note(incident: Open | undefined, event: DomainEvent): void {
  if (incident === undefined) return;
  if (event.type === 'failover.confirmation-requested') incident.requested ??= event;
  if (event.type === 'failover.confirmed') incident.confirmed ??= event;
  if (event.type === 'failover.started') incident.started ??= event;
  if (event.type === 'resource.entered-service' && event.data.why === 'failover') incident.entered ??= event;
}

/** Whoever found it lost says best when it heard it again: that is one clock. Else the node's own word counts. */
function noteReturn(incidents: readonly Open[], event: Of<'node.returned'>): void {
  for (const incident of incidents) {
    const { loss, returned } = incident;
    if (loss === null || incident.lost !== event.data.node || event.time < loss.time) continue;
    if (
      returned === null ||
      (returned.node !== loss.node && event.node === loss.node && isSameReturn(returned, event))
    )
      incident.returned = event;
  }
}

const sameReturnMs = 60_000;
const isSameReturn = (a: AnyEvent, b: AnyEvent) => Math.abs(a.time - b.time) < sameReturnMs;
