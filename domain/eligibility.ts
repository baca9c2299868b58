import { type Facts, isReachable } from './facts.ts';
import { type Refusal, refuse } from './refusals.ts';
import { type ResourceState, reigns, replicaNodes } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/**
 * Rule 4: why the node may not take over, as far as the history tells; undefined where it may. No failover and no
 * switchover to a target that is resyncing, paused, out of sync, inconsistent or rewound.
 */
export function whyNotEligible(resource: ResourceState, node: NodeName): Refusal | undefined {
  const replica = resource.replicas[node];
  if (!replica) return refuse('unknown-node', `${node} has no replica of ${resource.tag}`);
  const mirror = resource.mirrors[node];
  const because = [replica.because, mirror?.because];
  if (mirror?.paused) {
    return refuse('target-paused', `the mirror to ${node} is paused (${mirror.paused.reason})`, {
      because,
      allowed: [`resume ${resource.tag} ${node}, and wait until it is in sync`],
    });
  }
  if (replica.data === 'rewound') return refuse('target-rewound', `${node} is rewound`, { because });
  const allowed = [`wait ${resource.tag} --for in-sync --target ${node}`];
  if (mirror?.status === 'resyncing') {
    const percent = mirror.resync?.percent ?? 0;
    return refuse('target-resyncing', `${node} is ${percent}% resynced`, { because, allowed });
  }
  if (replica.data === 'inconsistent') {
    if (mirror?.lastResync?.result === 'interrupted') {
      return refuse('target-resyncing', `the resync of ${node} was interrupted before it was complete`, {
        because,
        allowed,
      });
    }
    return refuse('target-inconsistent', `${node} never completed a resync or its disk failed`, {
      because,
      allowed,
    });
  }
  if (replica.failed !== null)
    return refuse('target-inconsistent', `${node}: ${replica.failed}`, { because });
  if (replica.data === 'outdated') {
    return refuse('target-out-of-sync', `${node} misses writes since ${replica.because}`, {
      because,
      allowed,
    });
  }
  if (replica.away) {
    return refuse('target-out-of-sync', `${node} began anew and has not met the source since`, {
      because,
      allowed,
    });
  }
  return undefined;
}

/** The same, as the decider finds things now: the node is heard, and its own record does not contradict (rule 13). */
export function whyCannotTakeOver(
  resource: ResourceState,
  node: NodeName,
  facts: Facts,
): Refusal | undefined {
  if (resource.replicas[node] && !isReachable(facts, node)) {
    return refuse('target-unreachable', `${node} has not been heard of`, {
      because: [resource.replicas[node].because],
    });
  }
  return whyNotEligible(resource, node) ?? historyMismatch(resource, node, facts);
}

/** Rule 13: the journal and the replica's own record must agree before it is promoted; the record can only veto. */
export function historyMismatch(resource: ResourceState, node: NodeName, facts: Facts): Refusal | undefined {
  const record = facts.replicas?.[node];
  if (!record) return undefined;
  const says = (text: string) =>
    refuse('history-mismatch', `the journal holds ${node} for up to date, its replica says ${text}`, {
      because: [resource.replicas[node]?.because],
      allowed: [`force-online ${resource.tag} ${node}, which accepts the loss`],
    });
  if (!record.consistent) return says('that it is inconsistent');
  if (!record.inSync) return says('that it is out of sync');
  if (record.paused) return says('that it is paused');
  if (record.rewound) return says('that it is rewound');
  if (record.epoch > resource.epoch)
    return says(`that it has followed epoch ${record.epoch}, not ${resource.epoch}`);
  return undefined;
}

/** Targets in the order in which they would take over: best priority first (cascading failover). */
export function takeoverOrder(resource: ResourceState): NodeName[] {
  return replicaNodes(resource)
    .filter((node) => !reigns(resource, node) && node !== resource.lastOwner?.node)
    .sort((a, b) => (resource.replicas[a]?.priority ?? 0) - (resource.replicas[b]?.priority ?? 0));
}

/** Who may take over now, best first. */
export function candidates(resource: ResourceState, facts: Facts): NodeName[] {
  return takeoverOrder(resource).filter((node) => whyCannotTakeOver(resource, node, facts) === undefined);
}
