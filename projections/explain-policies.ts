import type { AnyEvent } from '../domain/events.ts';
import { apply } from '../domain/evolve.ts';
import type { RecordedDecision } from '../domain/recorded-decision.ts';
import {
  confirmation,
  type Scope,
  type SettingKey,
  scopeInForce,
  scopeKey,
  settingDefaults,
  settingOf,
} from '../domain/settings.ts';
import { emptyState, type ResourceState } from '../domain/state.ts';
import { isoTime } from './iso-time.ts';

/** A policy that had a say in the chain: what it was then, and who had set it so. */
export interface AppliedPolicy {
  readonly policy: string;
  readonly value: string;
  /** Null: nobody; it is a default, a rule, or how the agent was started. */
  readonly setBy: { readonly event: string; readonly actor: string; readonly time: string } | null;
}

/** The policies of a takeover, of a local failure, and of whoever waits or stays out of service by a rule. */
export function policiesOf(
  chain: readonly AnyEvent[],
  decisions: ReadonlyMap<string, RecordedDecision>,
  events: readonly AnyEvent[],
  resource: ResourceState,
): AppliedPolicy[] {
  return chain.flatMap((event) => {
    switch (event.type) {
      case 'node.lost':
        return lossPolicy(decisions.get(event.id));
      case 'failover.confirmation-requested':
        return [confirmationPolicy(event, event.data, events)];
      case 'failover.started': {
        const waited = chain.some(({ type }) => type === 'failover.confirmation-requested');
        const order = event.data.order.map((node) => `${node} (${resource.replicas[node]?.priority ?? '?'})`);
        return [
          ...(waited ? [] : [confirmationPolicy(event, event.data, events)]),
          { policy: 'order of takeover (priority)', value: order.join(', '), setBy: null },
          ...simplePolicy('quorum', event, events),
        ];
      }
      case 'local-recovery.failed':
        return simplePolicy('block-resource-failover', event, events);
      case 'resource.left-service':
        return event.data.why === 'cannot-tell' ? [rule9] : [];
      default:
        return [];
    }
  });
}

const rule9: AppliedPolicy = {
  policy: 'rule 9',
  value: 'a returning last owner serves only when every target has promised or knows that it is out of sync',
  setBy: null,
};

function lossPolicy(decision: RecordedDecision | undefined): AppliedPolicy[] {
  const patience = decision?.facts.patience;
  if (patience === undefined) return [];
  const { heartbeatMs, lostAfter } = patience;
  const value = `silent for heartbeat ${heartbeatMs / 1000} s × lost-after ${lostAfter} = ${(heartbeatMs * lostAfter) / 1000} s`;
  return [{ policy: 'lost when', value, setBy: null }];
}

/** Rule 14, as it stood for the pair when the failover was decided. */
function confirmationPolicy(
  event: AnyEvent,
  { lost, candidate }: { lost: string; candidate: string },
  events: readonly AnyEvent[],
): AppliedPolicy {
  const { settings, setBy } = settingsBefore(event, events);
  const tag = event.resource ?? '';
  const wait = confirmation(settings, tag, lost, candidate);
  const then = wait?.default === 'block' ? 'is blocked' : 'proceeds';
  const value = wait === undefined ? 'off: it starts at once' : `${wait.seconds} s, then it ${then}`;
  const setter = setBy({ tag, node: candidate, peer: lost }, 'confirm-failover');
  return {
    policy: `confirm-failover ${lost} -> ${candidate}`,
    value: orDefault(value, setter),
    setBy: setter,
  };
}

function simplePolicy(
  key: 'quorum' | 'block-resource-failover',
  event: AnyEvent,
  events: readonly AnyEvent[],
): AppliedPolicy[] {
  const { settings, setBy } = settingsBefore(event, events);
  const scope = { tag: event.resource ?? undefined, node: event.node };
  const value = settingOf(settings, scope, key) ?? settingDefaults[key];
  const setter = setBy(scope, key);
  return [{ policy: key, value: orDefault(String(value), setter), setBy: setter }];
}

const orDefault = (value: string, setter: AppliedPolicy['setBy']): string =>
  setter === null ? `${value} (default)` : value;

/** The settings that stood when an event came, and who had set them. */
function settingsBefore(event: AnyEvent, events: readonly AnyEvent[]) {
  const state = emptyState();
  const setters = new Map<string, AppliedPolicy['setBy']>();
  for (const earlier of events) {
    if (earlier === event) break;
    if (earlier.type !== 'resource.settings-changed' && earlier.type !== 'node.settings-changed') continue;
    apply(state, earlier);
    const { node, peer, key } = earlier.data;
    const name = scopeKey(
      { tag: earlier.resource ?? undefined, node: node ?? undefined, peer: peer ?? undefined },
      key,
    );
    setters.set(name, { event: earlier.id, actor: earlier.actor.id, time: isoTime(earlier.time) });
  }
  const { settings } = state;
  const setBy = (scope: Scope, key: SettingKey) =>
    setters.get(scopeInForce(settings, scope, key) ?? '') ?? null;
  return { settings, setBy };
}
