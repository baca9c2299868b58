import type { NodeName } from '../../domain/vocabulary.ts';
import { BusError } from '../bus/bus.ts';
import type { Answer, Question } from '../bus/messages.ts';
import type { Clock } from '../engine/clock.ts';
import type { AgentContext } from './context.ts';

const askAgainMs = 50;

/**
 * Asks another agent. One that has too much to do says so, and is asked again until the time is over: when a node with
 * many resources dies, its heir wants hundreds of promises at once, and who is busy is not silent (rule 7).
 * Errors: the last `BusError`; `busy` tells that the other node lives.
 */
export async function ask(
  { bus, clock }: Pick<AgentContext, 'bus' | 'clock'>,
  node: NodeName,
  question: Question,
  timeoutMs: number,
): Promise<Answer> {
  const end = clock.nowMs() + timeoutMs;
  for (;;) {
    try {
      return await bus.ask(node, question, end - clock.nowMs());
    } catch (error) {
      if (!isBusy(error) || clock.nowMs() + askAgainMs >= end) throw error;
    }
    await pause(clock, askAgainMs);
  }
}

export const isBusy = (error: unknown): boolean => error instanceof BusError && error.code === 'busy';

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((over) => clock.after(ms, over));
