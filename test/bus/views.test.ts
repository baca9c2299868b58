import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOlder } from '../../adapters/bus/views.ts';
import type { Heads } from '../../domain/envelope.ts';

const anyHeads: fc.Arbitrary<Heads> = fc.dictionary(
  fc.constantFrom('eve', 'adam', 'sophocles'),
  fc.record({
    incarnation: fc.integer({ min: 1, max: 2 }),
    sequence: fc.integer({ min: 0, max: 3 }),
    hash: fc.constant(''),
  }),
);

describe('which view is older', () => {
  it('no view is older than itself, no two are older than each other, and older than older is older', () => {
    fc.assert(
      fc.property(anyHeads, anyHeads, anyHeads, (a, b, c) => {
        expect(isOlder(a, a)).toBe(false);
        expect(isOlder(a, b) && isOlder(b, a)).toBe(false);
        if (isOlder(a, b) && isOlder(b, c)) expect(isOlder(a, c)).toBe(true);
      }),
    );
  });

  it('one more event, one more node and a new incarnation make it newer; each other’s news make neither older', () => {
    const head = (sequence: number, incarnation = 1) => ({ incarnation, sequence, hash: '' });
    expect(isOlder({ eve: head(1) }, { eve: head(2) })).toBe(true);
    expect(isOlder({ eve: head(1) }, { eve: head(1), adam: head(1) })).toBe(true);
    expect(isOlder({ eve: head(9) }, { eve: head(0, 2) })).toBe(true);
    expect(isOlder({ eve: head(1), adam: head(2) }, { eve: head(2), adam: head(1) })).toBe(false);
  });
});
