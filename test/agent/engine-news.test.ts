import { describe, expect, it } from 'vitest';
import type { AgentContext } from '../../adapters/agent/context.ts';
import { EngineNews } from '../../adapters/agent/engine-news.ts';
import type { ToldObservation } from '../../adapters/agent/ports.ts';
import { adam, eve, fold, mirrored, past, tag } from '../domain/given.ts';

/** eve's agent, which began anew: observation 5 of time 500 is the last one in its history. */
function news() {
  const submitted: unknown[] = [];
  const engine = { id: eve, via: 'engine', verified: true } as const;
  const state = fold([
    ...mirrored(),
    past(
      'mirror.lost-sync',
      { source: eve, target: adam, generation: null, why: 'lost', known: false },
      { actor: engine, command: `engine/${eve}/${tag}/5/500` },
    ),
  ]);
  const context = {
    options: { node: eve },
    engines: { status: async () => null },
    log: { warn() {} },
    state: () => state,
    isDamaged: () => false,
    submit: async (name: string, _body: object, _via: string, id: string) => {
      submitted.push([name, id]);
      return { ok: true };
    },
  } as unknown as AgentContext;
  return { news: new EngineNews(context), submitted };
}

const failed = (observation: number, at: number) =>
  ({ observation, at, type: 'disk-failed', volume: 'data', code: 'EIO', during: 'write' }) as ToldObservation;

describe('observations that an engine tells again', () => {
  it.each([
    [5, 500],
    [4, 400],
  ])('number %i of %i is in the history already, and may be acknowledged', async (number, at) => {
    const { news: its, submitted } = news();
    expect(await its.observed(tag, failed(number, at))).toBe(true);
    expect(submitted).toEqual([]);
  });

  it.each([
    [6, 600],
    [6, 100],
    [5, 900],
    [2, 900],
  ])('number %i of %i is new: the next one, or counted anew from a backup', async (number, at) => {
    const { news: its, submitted } = news();
    expect(await its.observed(tag, failed(number, at))).toBe(true);
    expect(submitted).toEqual([['disk-failed', `${tag}/${number}/${at}`]]);
  });

  it('one that this version does not know is passed over, so that the next ones are heard', async () => {
    const { news: its, submitted } = news();
    const unknown = { observation: 6, type: 'unknown', originalType: 'unheard-of' } as const;
    expect(await its.observed(tag, unknown)).toBe(true);
    expect(submitted).toEqual([]);
  });
});
