import { z } from 'zod';
import type { PromiseFacts } from '../../domain/facts.ts';
import { type ResourceState, replicaNodes } from '../../domain/state.ts';
import { Epoch, type NodeName, Tag } from '../../domain/vocabulary.ts';
import { PromisePayload } from '../link/protocol.ts';
import { ask, isBusy } from './asking.ts';
import { type AgentContext, silenceMs } from './context.ts';
import { OrderRefused } from './ports.ts';

/**
 * Rule 7: before a node takes epoch n it has the promise of every reachable replica's node. Whoever promises has made
 * its engine store n and drop the old source's link first, then journaled it, then answered.
 */
export const PromiseQuestion = z.object({ question: z.literal('promise'), tag: Tag, epoch: Epoch });

export const PromiseAnswer = z.object({
  answer: z.enum(['promised', 'source-alive', 'promised-other', 'refused']),
  outOfSync: z.boolean(),
  highestEpoch: Epoch,
});
export type PromiseAnswer = z.infer<typeof PromiseAnswer>;

type Answers = PromiseFacts['answers'];

/** Asks all other replicas' nodes: over the bus, and over the replication link where the bus is silent. */
export function collectPromises(
  context: AgentContext,
  resource: ResourceState,
  epoch: number,
): Promise<Answers> {
  const others = replicaNodes(resource).filter((node) => node !== context.options.node);
  return Promise.all(others.map((node) => askOne(context, resource, node, epoch)));
}

/** Rule 7: every node that may be reachable is asked. A silent one would only make the takeover wait as long again. */
export function collectPromisesForTakeover(
  context: AgentContext,
  resource: ResourceState,
  epoch: number,
): Promise<Answers> {
  const { options, liveness, clock } = context;
  const silent = liveness.silent(clock.nowMs(), silenceMs(options));
  const others = replicaNodes(resource).filter((node) => node !== options.node);
  return Promise.all(
    others.map((node) =>
      silent.includes(node) ? unreachable(node) : askOne(context, resource, node, epoch),
    ),
  );
}

const unreachable = (node: NodeName): Answers[number] => ({
  node,
  answer: 'unreachable',
  outOfSync: false,
  highestEpoch: 0,
});

async function askOne(
  context: AgentContext,
  resource: ResourceState,
  node: NodeName,
  epoch: number,
): Promise<Answers[number]> {
  const { options } = context;
  const question = { question: 'promise', tag: resource.tag, epoch };
  try {
    const answer = PromiseAnswer.parse(await ask(context, node, question, silenceMs(options)));
    return { node, ...answer };
  } catch (error) {
    // It lives and has promised nothing: nobody takes over past it.
    if (isBusy(error)) return { node, ...refused(undefined, false, 0) };
    return askOverLink(context, resource, node, epoch);
  }
}

async function askOverLink(
  context: AgentContext,
  resource: ResourceState,
  node: NodeName,
  epoch: number,
): Promise<Answers[number]> {
  try {
    const answer = await context.engines.order(resource.tag, { order: 'ask-promise', peer: node, epoch });
    const { promised, highest, code } = PromisePayload.parse(answer);
    if (!promised) return { node, ...refused(code ?? undefined, false, highest) };
    return { node, answer: 'promised', outOfSync: false, highestEpoch: highest };
  } catch {
    return unreachable(node);
  }
}

/** This node is asked. */
export async function givePromise(
  context: AgentContext,
  candidate: NodeName,
  tag: Tag,
  epoch: number,
): Promise<PromiseAnswer> {
  const resource = context.state().resources[tag];
  const replica = resource?.replicas[context.options.node];
  if (!resource || !replica || !resource.replicas[candidate])
    return { answer: 'refused', outOfSync: false, highestEpoch: 0 };
  const outOfSync = replica.knowsOutOfSync;
  const highest = () =>
    Math.max(
      context.state().resources[tag]?.epoch ?? 0,
      context.state().resources[tag]?.promises[context.options.node]?.epoch ?? 0,
    );
  // 1. The rules, before anything changes.
  const allowed = await context.wouldAllow('promise', { tag, candidate, epoch });
  if (!allowed.ok) return refused(allowed.code, outOfSync, highest());
  // 2. The engine stores n and closes the old source's link.
  try {
    await context.engines.order(tag, { order: 'promise', epoch, to: candidate });
  } catch (error) {
    const code = error instanceof OrderRefused ? error.code : 'engine-gone';
    return refused(code, outOfSync, highest());
  }
  // 3. Journaled, then answered; asked once more, it is in the journal already.
  const given = context.state().resources[tag]?.promises[context.options.node];
  if (given?.epoch === epoch && given.candidate === candidate && given.outOfSync === outOfSync)
    return { answer: 'promised', outOfSync, highestEpoch: epoch };
  const journaled = await context.submit('promise', { tag, candidate, epoch }, 'policy');
  return journaled.ok
    ? { answer: 'promised', outOfSync, highestEpoch: epoch }
    : refused(journaled.code, outOfSync, highest());
}

function refused(code: string | undefined, outOfSync: boolean, highestEpoch: number): PromiseAnswer {
  if (code === 'source-alive') return { answer: 'source-alive', outOfSync, highestEpoch };
  return {
    answer: code === 'stale-command' || code === 'stale-epoch' ? 'promised-other' : 'refused',
    outOfSync,
    highestEpoch,
  };
}
