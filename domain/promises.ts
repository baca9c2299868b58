import { type Facts, isReachable, type PromiseAnswer } from './facts.ts';
import { highestEpoch, type ResourceState, replicaNodes, sourceOf } from './state.ts';
import type { NodeName } from './vocabulary.ts';

/** The epoch that the next source takes: 1 + the highest served or promised that the decider knows of. */
export function nextEpoch(resource: ResourceState, facts: Facts): number {
  const answers = (facts.promises?.answers ?? []).map(({ highestEpoch: highest }) => highest);
  const records = Object.values(facts.replicas ?? {}).flatMap(({ epoch, promised }) => [epoch, promised]);
  return 1 + Math.max(highestEpoch(resource), ...answers, ...records);
}

/** Rule 9: the nodes whose word a returning last owner lacks. */
export function missingPromises(resource: ResourceState, facts: Facts): NodeName[] {
  if (mustRenew(resource, facts.self)) return [];
  const { promises } = facts;
  return replicaNodes(resource).filter((node) => {
    if (node === resource.lastOwner?.node) return false;
    const answer = promises?.answers.find((candidate) => candidate.node === node);
    if (promises && answer && speaksAgainst(answer, promises.epoch)) return true;
    if (answer?.answer === 'promised' || answer?.outOfSync) return false;
    return resource.replicas[node]?.knowsOutOfSync !== true;
  });
}

/** Rule 7: it hears the source, promised another, or knows of a higher epoch. */
function speaksAgainst({ answer, highestEpoch }: PromiseAnswer, epoch: number): boolean {
  return answer === 'source-alive' || answer === 'promised-other' || highestEpoch > epoch;
}

/** Why a candidate that has asked everybody does not enter service; undefined where it does. */
export function obstacle(
  resource: ResourceState,
  asked: { readonly epoch: number; readonly answers: readonly PromiseAnswer[] },
  facts: Facts,
): { readonly code: 'source-alive' | 'stale-command'; readonly text: string } | undefined {
  const { self } = facts;
  const source = sourceOf(resource);
  const isHeard = source !== null && isReachable(facts, source) && !resource.replicas[source]?.failed;
  const heard =
    asked.answers.find(({ answer }) => answer === 'source-alive')?.node ?? (isHeard ? self : undefined);
  if (heard !== undefined) return { code: 'source-alive', text: `${heard} hears the source` };
  const other = asked.answers.find(
    (answer) => answer.answer === 'refused' || speaksAgainst(answer, asked.epoch),
  );
  if (other)
    return { code: 'stale-command', text: `${other.node} has promised another, or follows a later epoch` };
  const own = resource.promises[self];
  return own && own.epoch >= asked.epoch && own.candidate !== self
    ? { code: 'stale-command', text: `${self} itself has promised epoch ${own.epoch} to ${own.candidate}` }
    : undefined;
}

/** The survivor of a conflict: the others follow it only at an epoch above those that they served themselves. */
export function mustRenew(resource: ResourceState, node: NodeName): boolean {
  const reign = sourceOf(resource) === node ? resource.reigns[0] : undefined;
  if (resource.phase !== 'in-service' || reign === undefined) return false;
  const left = Object.values(resource.replicas).map((other) => (other.node === node ? 0 : other.leftEpoch));
  return reign.epoch < resource.epoch || Math.max(...left) >= reign.epoch;
}
