import { z } from 'zod';
import { Epoch, type NodeName, Tag } from '../../domain/vocabulary.ts';
import type { Answer, Question } from '../bus/messages.ts';
import type { AgentContext } from './context.ts';
import { InspectQuestion, inspectHere, ReplicaQuestion, replicaFact } from './facts.ts';
import { givePromise, PromiseQuestion } from './promises.ts';

/** The source asks a target that it cannot reach on the link to record itself out of sync (REQUIREMENTS 2.3). */
const RecordQuestion = z.object({ question: z.literal('record-out-of-sync'), tag: Tag, epoch: Epoch });

const AgentQuestion = z.discriminatedUnion('question', [
  PromiseQuestion,
  InspectQuestion,
  ReplicaQuestion,
  RecordQuestion,
]);

/** What another agent asks this one. A question that is not understood is an error: no answer is better than a wrong one. */
export async function answerQuestion(
  context: AgentContext,
  question: Question,
  from: NodeName,
): Promise<Answer> {
  const asked = AgentQuestion.parse(question);
  switch (asked.question) {
    case 'promise':
      return givePromise(context, from, asked.tag, asked.epoch);
    case 'inspect':
      return { ...(await inspectHere(context, asked.tag, asked.paths, asked.mountPoints)) };
    case 'replica': {
      const replica = replicaFact(await context.engines.status(asked.tag));
      if (!replica) throw new Error(`no replica of ${asked.tag} is open on ${context.options.node}`);
      return { replica };
    }
    case 'record-out-of-sync':
      if (!context.state().resources[asked.tag]?.replicas[from])
        throw new Error(`${from} has no replica of ${asked.tag}`);
      await context.engines.order(asked.tag, {
        order: 'record-out-of-sync',
        source: from,
        epoch: asked.epoch,
      });
      return { recorded: true };
    default:
      return asked satisfies never;
  }
}
