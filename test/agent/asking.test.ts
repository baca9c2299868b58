import { describe, expect, it } from 'vitest';
import { ask } from '../../adapters/agent/asking.ts';
import type { AgentContext } from '../../adapters/agent/context.ts';
import { collectPromises } from '../../adapters/agent/promises.ts';
import { BusError, type BusErrorCode } from '../../adapters/bus/bus.ts';
import type { ResourceState } from '../../domain/state.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';
import { SimulatedClock } from '../scenarios/simulated-clock.ts';

const adam = NodeName.parse('adam');
const eve = NodeName.parse('eve');
const question = { question: 'replica' };

/** eve's agent fails the first `times` questions with that code, and answers the others. */
function contextWhere(code: BusErrorCode, times: number) {
  const clock = new SimulatedClock();
  const asked: number[] = [];
  const context = {
    options: { node: adam, heartbeatMs: 1000, lostAfter: 5 },
    clock,
    bus: {
      ask: async () => {
        asked.push(clock.nowMs());
        if (asked.length <= times) throw new BusError(code, code);
        return { answer: 'promised', outOfSync: false, highestEpoch: 3 };
      },
    },
    engines: { order: () => Promise.reject(new Error('the link is silent')) },
  } as unknown as AgentContext;
  return { context, clock, asked };
}

/** What became of the work once the time has passed. */
async function whenPassed<T>(clock: SimulatedClock, ms: number, work: Promise<T>): Promise<T> {
  await Promise.all([clock.pass(ms), work.catch(() => undefined)]);
  return work;
}

describe('another agent', () => {
  it('that is busy is asked again until it answers', async () => {
    const { context, clock, asked } = contextWhere('busy', 3);
    const answer = await whenPassed(clock, 1000, ask(context, eve, question, 1000));
    expect(answer).toMatchObject({ answer: 'promised' });
    expect(asked).toHaveLength(4);
  });

  it('that is busy all the time is said to be', async () => {
    const { context, clock, asked } = contextWhere('busy', Number.POSITIVE_INFINITY);
    await expect(whenPassed(clock, 2000, ask(context, eve, question, 1000))).rejects.toMatchObject({
      code: 'busy',
    });
    expect(asked.at(-1)).toBeLessThanOrEqual(1000);
  });

  it('is asked once where a question may have had its effect, or nobody is there', async () => {
    for (const code of ['timeout', 'no-responders', 'failed'] as const) {
      const { context, clock, asked } = contextWhere(code, 1);
      await expect(whenPassed(clock, 1000, ask(context, eve, question, 1000))).rejects.toMatchObject({
        code,
      });
      expect(asked).toHaveLength(1);
    }
  });

  it('that is too busy to promise is not passed over as silent (rule 7)', async () => {
    const { context, clock } = contextWhere('busy', Number.POSITIVE_INFINITY);
    const resource = {
      tag: Tag.parse('t1'),
      replicas: { adam: { node: adam }, eve: { node: eve } },
    } as unknown as ResourceState;
    expect(await whenPassed(clock, 10_000, collectPromises(context, resource, 3))).toEqual([
      { node: 'eve', answer: 'refused', outOfSync: false, highestEpoch: 0 },
    ]);
  });
});
