import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Liveness } from '../../adapters/agent/liveness.ts';
import { NodeName } from '../../domain/vocabulary.ts';

const eve = NodeName.parse('eve');
const adam = NodeName.parse('adam');
const sophocles = NodeName.parse('sophocles');
const silenceMs = 5000;

function listening(nowMs = 0): Liveness {
  const liveness = new Liveness(eve);
  liveness.start(nowMs);
  return liveness;
}

describe('liveness (REQUIREMENTS 1, lost)', () => {
  it('a node is reachable for heartbeat × lost-after since it was last heard on any path', () => {
    const times = fc.array(fc.nat(60_000), { minLength: 1 });
    fc.assert(
      fc.property(times, fc.nat(70_000), (heardAt, nowMs) => {
        const liveness = listening();
        for (const at of heardAt) liveness.heard(adam, at);
        const agoMs = Math.max(0, nowMs - Math.max(...heardAt));
        expect(liveness.reachable(nowMs, silenceMs).includes(adam)).toBe(agoMs <= silenceMs);
      }),
    );
  });

  it('a node that a reachable one has heard in time is heard; the word of a silent witness counts for nothing', () => {
    const liveness = listening();
    liveness.heartbeat(sophocles, { adam: 1000 }, 10_000);
    expect(liveness.heardBy(adam, 10_000, silenceMs)).toEqual([sophocles]);
    expect(liveness.heardBy(adam, 14_001, silenceMs)).toEqual([]);
    liveness.heartbeat(sophocles, { adam: 0 }, 20_000);
    expect(liveness.heardBy(adam, 25_001, silenceMs)).toEqual([]);
  });

  it('a node that was never heard is in doubt until this agent has listened for long enough', () => {
    const liveness = listening(1000);
    expect(liveness.isInDoubt(adam, 6000, silenceMs)).toBe(true);
    expect(liveness.isInDoubt(adam, 6001, silenceMs)).toBe(false);
    expect(liveness.reachable(2000, silenceMs)).toEqual([eve]);
  });

  it('says when the next silence becomes a loss: the latest sign counts, this node’s or another’s', () => {
    const liveness = listening();
    expect(liveness.nextSilenceMs(1000, silenceMs)).toBeNull();
    liveness.heard(adam, 1000);
    liveness.heard(sophocles, 2000);
    expect(liveness.nextSilenceMs(2000, silenceMs)).toBe(6000);
    liveness.heartbeat(sophocles, { adam: 500 }, 3000);
    expect(liveness.nextSilenceMs(3000, silenceMs)).toBe(7500);
    expect(liveness.nextSilenceMs(7501, silenceMs)).toBe(8000);
    expect(liveness.heardBy(adam, 7500, silenceMs)).toEqual([sophocles]);
    expect(liveness.heardBy(adam, 7501, silenceMs)).toEqual([]);
  });

  it('an agent that stood still blames nobody for the silence', () => {
    const liveness = listening();
    liveness.heard(adam, 1000);
    for (let nowMs = 0; nowMs <= 2000; nowMs += 1000) liveness.beat(nowMs, 2500);
    // Stopped for a minute: nothing that came meanwhile is read yet.
    liveness.beat(62_000, 2500);
    expect(liveness.isInDoubt(adam, 62_000, silenceMs)).toBe(true);
    expect(liveness.silent(62_000, silenceMs)).toEqual([]);
    for (let nowMs = 63_000; nowMs <= 68_000; nowMs += 1000) liveness.beat(nowMs, 2500);
    expect(liveness.isInDoubt(adam, 68_000, silenceMs)).toBe(false);
    expect(liveness.silent(68_000, silenceMs)).toEqual([adam]);
  });

  it('an older sign of life never takes back a newer one', () => {
    const liveness = listening();
    liveness.heard(adam, 9000);
    liveness.heard(adam, 9500, 3000);
    expect(liveness.heardMsAgo(adam, 10_000)).toBe(1000);
  });

  it('whether another hears this node is its own word, for as long as it is fresh', () => {
    const liveness = listening();
    liveness.heartbeat(adam, { eve: 500 }, 10_000);
    expect(liveness.hearsThis(adam, 14_500, silenceMs)).toBe(true);
    expect(liveness.hearsThis(adam, 14_501, silenceMs)).toBe(false);
    expect(liveness.hearsThis(sophocles, 10_000, silenceMs)).toBe(false);
  });
});
