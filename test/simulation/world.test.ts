import { describe, expect, it } from 'vitest';
import { SimulatedProcess } from './process.ts';
import { Random } from './random.ts';
import { Trace } from './trace.ts';
import { World } from './world.ts';

const drain = (world: World) => {
  while (world.step());
};

describe('the simulated world', () => {
  it('runs events by time, and equal times in the order in which they were asked for', () => {
    const world = new World(1);
    const ran: string[] = [];
    world.after(5, () => ran.push('late'));
    world.after(1, () => {
      ran.push('first');
      world.after(4, () => ran.push('later still'));
    });
    world.after(1, () => ran.push('second'));
    world.after(2, () => ran.push('cancelled')).cancel();
    drain(world);
    expect(ran).toEqual(['first', 'second', 'late', 'later still']);
    expect(world.nowMs).toBe(5);
    expect(world.steps).toBe(4);
  });

  it('keeps a thousand random events in order', () => {
    const world = new World(7);
    const at: number[] = [];
    for (let index = 0; index < 1000; index++)
      world.after(world.random.span(0, 50), () => at.push(world.nowMs));
    drain(world);
    expect(at).toEqual([...at].sort((left, right) => left - right));
    expect(at).toHaveLength(1000);
  });

  it('draws the same from the same seed and something else from another', () => {
    const draws = (seed: number) => Array.from({ length: 8 }, () => new Random(seed).fork('x').fraction());
    expect(draws(1)).toEqual(draws(1));
    expect(draws(1)).not.toEqual(draws(2));
    expect(new Random(1).fork('a').bytes(8)).not.toEqual(new Random(1).fork('b').bytes(8));
  });

  it('draws evenly', () => {
    const random = new Random(3);
    const rolls = new Array<number>(10).fill(0);
    for (let index = 0; index < 10_000; index++) {
      const face = random.below(10);
      rolls[face] = (rolls[face] ?? 0) + 1;
    }
    for (const count of rolls) expect(count).toBeGreaterThan(850);
  });

  it('hashes every line and every number of its trace', () => {
    const hashOf = (fill: (trace: Trace) => void) => {
      const trace = new Trace();
      fill(trace);
      return trace.hash;
    };
    expect(hashOf((trace) => trace.note(1, 'eve', 'starts'))).toBe(
      hashOf((trace) => trace.note(1, 'eve', 'starts')),
    );
    expect(hashOf((trace) => trace.note(1, 'eve', 'starts'))).not.toBe(
      hashOf((trace) => trace.note(2, 'eve', 'starts')),
    );
    expect(hashOf((trace) => trace.mix(1))).not.toBe(hashOf((trace) => trace.mix(2)));
  });
});

describe('a simulated process', () => {
  it('never runs again once killed, and its exit is seen once', () => {
    const world = new World(1);
    const process = new SimulatedProcess(world, 'eve');
    let runs = 0;
    let exits = 0;
    process.onExit(() => exits++);
    process.clock.after(1, () => runs++);
    process.kill();
    process.kill();
    process.enter(() => runs++);
    drain(world);
    expect({ runs, exits }).toEqual({ runs: 0, exits: 1 });
  });

  it('gets what came while it was stopped before anything newer, in order', () => {
    const world = new World(1);
    const process = new SimulatedProcess(world, 'eve');
    const ran: number[] = [];
    process.stop();
    process.clock.after(1, () => ran.push(1));
    process.clock.after(2, () => ran.push(2));
    world.after(3, () => {
      expect(ran).toEqual([]);
      process.proceed();
      process.enter(() => ran.push(3));
    });
    drain(world);
    expect(ran).toEqual([1, 2, 3]);
    process.enter(() => ran.push(4));
    expect(ran).toEqual([1, 2, 3, 4]);
  });

  it('has a clock that goes on while it is stopped', () => {
    const world = new World(1);
    const process = new SimulatedProcess(world, 'eve');
    const start = process.clock.nowMs();
    process.stop();
    world.after(10, () => process.proceed());
    drain(world);
    expect(process.clock.nowMs() - start).toBeCloseTo(10, 6);
  });
});
