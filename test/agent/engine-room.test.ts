import { describe, expect, it } from 'vitest';
import { EngineRoom } from '../../adapters/agent/engine-room.ts';
import type { Engine, EngineListener, Engines, OrderBody } from '../../adapters/agent/ports.ts';
import { OrderRefused } from '../../adapters/agent/ports.ts';
import type { EngineStatus, NumberedObservation } from '../../adapters/engine/control-protocol.ts';
import { Tag } from '../../domain/vocabulary.ts';
import { quiet, SimulatedClock } from '../scenarios/simulated-clock.ts';

const tag = Tag.parse('t1');
const status: EngineStatus = {
  open: false,
  pid: 1,
  replica: null,
  peers: [],
  observations: { next: 1, pending: 0 },
};
const told = (observation: number): NumberedObservation =>
  ({ observation, at: 0, type: 'served', epoch: observation, forced: false }) as NumberedObservation;

/** An engine that does what the test says. */
class FakeEngines implements Engines {
  readonly orders: OrderBody[] = [];
  readonly journaled: number[] = [];
  readonly gone: string[] = [];
  listener: EngineListener | null = null;
  hangs = false;
  kills = 0;
  runs = 0;
  journalTakes = true;
  /** Resolves the kill that is under way. */
  died: () => void = () => {};

  async run(_: Tag, listener: EngineListener): Promise<{ engine: Engine; adopted: boolean }> {
    this.runs += 1;
    this.listener = listener;
    const engine: Engine = {
      order: async (order) => {
        this.orders.push(order);
        return {};
      },
      status: () => (this.hangs ? new Promise<EngineStatus>(() => {}) : Promise.resolve(status)),
    };
    return { engine, adopted: false };
  }
  kill(): Promise<void> {
    this.kills += 1;
    return new Promise((resolve) => {
      this.died = resolve;
    });
  }
  home = () => ({ folder: '/', wasOpened: false });
  noteOpened(): void {}
  forget(): void {}

  acknowledged(): number[] {
    return this.orders.flatMap((order) => (order.order === 'acknowledge' ? [order.observation] : []));
  }
}

async function roomOf(engines: FakeEngines) {
  const clock = new SimulatedClock();
  const room = new EngineRoom(engines, { clock, heartbeatMs: 1000, lostAfter: 5 });
  room.listen({
    observed: async (_, { observation }) => {
      if (engines.journalTakes) engines.journaled.push(observation);
      return engines.journalTakes;
    },
    noticed() {},
    gone: (_, why) => engines.gone.push(why),
  });
  await room.ensure(tag);
  return { clock, room };
}

describe('observations of an engine', () => {
  it('are journaled in order before they are acknowledged', async () => {
    const engines = new FakeEngines();
    await roomOf(engines);
    engines.listener?.observed(told(1));
    engines.listener?.observed(told(2));
    await quiet();
    expect(engines.journaled).toEqual([1, 2]);
    expect(engines.acknowledged()).toEqual([1, 2]);
  });

  it('that the journal did not take are not acknowledged, and come again with the next sign of life', async () => {
    const engines = new FakeEngines();
    const { room } = await roomOf(engines);
    engines.journalTakes = false;
    engines.listener?.observed(told(1));
    engines.listener?.observed(told(2));
    await quiet();
    expect(engines.acknowledged()).toEqual([]);
    engines.journalTakes = true;
    await room.status(tag);
    await quiet();
    expect(engines.journaled).toEqual([1, 2]);
    expect(engines.acknowledged()).toEqual([1, 2]);
  });
});

describe('an engine that hangs (rule 24)', () => {
  it('is killed after lost-after heartbeats without an answer, and gone only when it is dead', async () => {
    const engines = new FakeEngines();
    const { clock, room } = await roomOf(engines);
    engines.hangs = true;
    const asked = room.status(tag).catch((error: unknown) => error);
    await clock.pass(4900);
    expect(engines.kills).toBe(0);
    await clock.pass(200);
    expect(engines.kills).toBe(1);
    expect(await asked).toBeInstanceOf(OrderRefused);
    expect(engines.gone).toEqual([]);
    const again = room.ensure(tag);
    await quiet();
    expect(engines.runs).toBe(1);
    engines.died();
    await again;
    expect(engines.gone).toEqual(['the engine did not answer and was killed']);
    expect(engines.runs).toBe(2);
  });

  it('is not killed when it answers in time', async () => {
    const engines = new FakeEngines();
    const { clock, room } = await roomOf(engines);
    await room.status(tag);
    await clock.pass(60_000);
    expect(engines.kills).toBe(0);
  });
});
