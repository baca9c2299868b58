import type { Command } from './commands.ts';
import { tagOf } from './commands.ts';
import type { AnyEvent } from './events.ts';
import type { Facts } from './facts.ts';
import { decisionOf } from './recorded-decision.ts';
import type { ClusterState } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/**
 * What a decider would have known at a past moment (`--dry-run --as-of`): the facts recorded by the decision that the
 * moment names, where it was about the same resource and by the same node; else what the history tells, which is who
 * was alive. What nobody recorded is absent, as if it had not been asked: the replicas' own records cannot veto then.
 *
 * @param events everything up to the moment, in order; `state` is their fold
 */
export function pastFacts(
  state: ClusterState,
  events: readonly AnyEvent[],
  command: Command,
  self: NodeName,
): Facts {
  const last = events.at(-1);
  const decision = last && decisionOf(last);
  const now = last?.time ?? 0;
  if (decision && decision.facts.self === self && tagOf(decision.command) === tagOf(command))
    return { ...decision.facts, now };
  const nodes = Object.values(state.nodes);
  const reachable = nodes.filter(({ node, alive }) => alive || node === self).map(({ node }) => node);
  return {
    self,
    now,
    reachable: reachable.includes(self) ? reachable : [self, ...reachable],
    heardBy: Object.fromEntries(nodes.map(({ node }) => [node, reachable.includes(node) ? [self] : []])),
    journalDamaged: state.nodes[self]?.damaged ?? false,
    deviceInUse: null,
  };
}
