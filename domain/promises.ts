import type { Facts } from './facts.ts';
import { highestEpoch, type ResourceState, replicaNodes } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/** The epoch that the next source takes: 1 + the highest served or promised that the decider knows of. */
export function nextEpoch(resource: ResourceState, facts: Facts): number {
  const answers = (facts.promises?.answers ?? []).map(({ highestEpoch: highest }) => highest);
  const records = Object.values(facts.replicas ?? {}).flatMap(({ epoch, promised }) => [epoch, promised]);
  return 1 + Math.max(highestEpoch(resource), ...answers, ...records);
}

/** Rules 7 and 9: the targets whose word a returning last owner lacks. */
export function missingPromises(resource: ResourceState, facts: Facts): NodeName[] {
  const asked = facts.promises;
  return replicaNodes(resource).filter((node) => {
    if (node === resource.lastOwner?.node) return false;
    if (resource.replicas[node]?.knowsOutOfSync) return false;
    const answer = asked?.answers.find((candidate) => candidate.node === node);
    return !(
      answer &&
      asked &&
      (answer.outOfSync || (answer.answer === 'promised' && answer.highestEpoch <= asked.epoch))
    );
  });
}
