import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../adapters/block/bitmap.ts';

const bitCount = 150;
const range = fc
  .tuple(fc.nat(bitCount - 1), fc.nat(bitCount - 1))
  .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
const bytes = fc.record({ at: fc.nat(20), bytes: fc.uint8Array({ maxLength: 20 }) });
const action = fc.oneof(
  fc.record({ kind: fc.constantFrom('add' as const, 'delete' as const), range }),
  fc.record({ kind: fc.constantFrom('replace' as const, 'unite' as const, 'intersect' as const), bytes }),
  fc.record({ kind: fc.constantFrom('fill' as const, 'clear' as const) }),
);

describe('Bitmap', () => {
  it('is a set of numbers below its size, with a true count, under any operations', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), range, (actions, asked) => {
        const bitmap = new Bitmap(bitCount);
        const model = Array.from({ length: bitCount }, () => false);
        for (const each of actions) {
          if ('range' in each) {
            const { first, last } = each.range;
            bitmap[each.kind](first, last);
            model.fill(each.kind === 'add', first, last + 1);
          } else if (!('bytes' in each)) {
            bitmap[each.kind]();
            model.fill(each.kind === 'fill');
          } else {
            const { at, bytes } = each.bytes;
            bitmap[each.kind](at, bytes);
            for (let bit = at * 8; bit < Math.min(bitCount, (at + bytes.length) * 8); bit += 1) {
              const theirs = ((bytes[(bit >> 3) - at] ?? 0) & (1 << (bit & 7))) !== 0;
              const ours = model[bit] ?? false;
              model[bit] =
                each.kind === 'replace' ? theirs : each.kind === 'unite' ? ours || theirs : ours && theirs;
            }
          }
        }
        expect(Array.from(model, (_, bit) => bitmap.has(bit))).toEqual(model);
        expect(bitmap.count).toBe(model.filter(Boolean).length);
        expect(bitmap.next(asked.first)).toBe(model.indexOf(true, asked.first));
        expect(bitmap.hasRange(asked.first, asked.last)).toBe(
          model.slice(asked.first, asked.last + 1).every(Boolean),
        );
      }),
      { numRuns: 1_000 },
    );
  });
});
