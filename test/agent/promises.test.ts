import { describe, expect, it } from 'vitest';
import type { AgentContext } from '../../adapters/agent/context.ts';
import { Liveness } from '../../adapters/agent/liveness.ts';
import { collectPromises, collectPromisesForTakeover } from '../../adapters/agent/promises.ts';
import type { ResourceState } from '../../domain/state.ts';
import { NodeName, Tag } from '../../domain/vocabulary.ts';

const [adam, eve, sophocles] = ['adam', 'eve', 'sophocles'].map((name) => NodeName.parse(name));
if (!adam || !eve || !sophocles) throw new Error('three nodes');
const resource = {
  tag: Tag.parse('t1'),
  replicas: { adam: { node: adam }, eve: { node: eve }, sophocles: { node: sophocles } },
} as unknown as ResourceState;

/** adam's agent with a silent bus; `overLink` is what its engine says that sophocles answers. */
function withSilentBus(overLink: object): AgentContext {
  const liveness = new Liveness(adam as NodeName);
  liveness.heard(eve as NodeName, 0);
  liveness.heard(sophocles as NodeName, 1000);
  return {
    options: { node: adam, heartbeatMs: 100, lostAfter: 5 },
    bus: { ask: () => Promise.reject(new Error('no bus')) },
    engines: {
      order: (_: Tag, { peer }: { peer: string }) =>
        peer === 'sophocles' ? Promise.resolve({ ok: true, ...overLink }) : Promise.reject(new Error('away')),
    },
    liveness,
    clock: { nowMs: () => 1200 },
  } as unknown as AgentContext;
}

const unreachable = { node: 'eve', answer: 'unreachable', outOfSync: false, highestEpoch: 0 };

describe('promises with the bus silent (rule 7)', () => {
  it.each([
    [{ promised: true, highest: 3, code: null }, 'promised'],
    [{ promised: false, highest: 3, code: 'source-alive' }, 'source-alive'],
    [{ promised: false, highest: 3, code: 'stale-epoch' }, 'promised-other'],
    [{ promised: false, highest: 3, code: 'device-failed' }, 'refused'],
  ])('%j over the link is taken for %s', async (overLink, answer) => {
    expect(await collectPromises(withSilentBus(overLink), resource, 3)).toEqual([
      unreachable,
      { node: 'sophocles', answer, outOfSync: false, highestEpoch: 3 },
    ]);
  });

  it('a takeover also asks those whom this agent has not heard yet, as it has just begun', async () => {
    const context = withSilentBus({ promised: true, highest: 3, code: null });
    const liveness = new Liveness(adam as NodeName);
    const answers = await collectPromisesForTakeover({ ...context, liveness }, resource, 3);
    expect(answers).toEqual([
      unreachable,
      expect.objectContaining({ node: 'sophocles', answer: 'promised' }),
    ]);
  });

  it('a takeover asks nobody who is silent: that would take as long as the silence again', async () => {
    const context = withSilentBus({ promised: true, highest: 3, code: null });
    const asked: string[] = [];
    const bus = {
      ask: (node: string) => {
        asked.push(node);
        return Promise.reject(new Error('no bus'));
      },
    };
    const answers = await collectPromisesForTakeover(
      { ...context, bus } as unknown as AgentContext,
      resource,
      3,
    );
    expect(asked).toEqual(['sophocles']);
    expect(answers).toEqual([
      unreachable,
      expect.objectContaining({ node: 'sophocles', answer: 'promised' }),
    ]);
  });
});
