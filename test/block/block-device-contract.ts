import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockDevice } from '../../adapters/block/block-device.ts';
import { completed } from './completed.ts';

const mebibyte = 1024 * 1024;

/** What every implementation of `BlockDevice` does. The factory gives a device of at least 8 MiB of zeros. */
export function blockDeviceContract(name: string, factory: () => Promise<BlockDevice>): void {
  describe(`${name} is a block device`, () => {
    let device: BlockDevice;

    beforeEach(async () => {
      device = await factory();
    });
    afterEach(() => completed((done) => device.close(done)));

    const write = (bytes: Uint8Array, offset: number) =>
      completed((done) => device.write(bytes, offset, done));
    const read = async (offset: number, byteCount: number) => {
      const bytes = Buffer.alloc(byteCount, 0xee);
      await completed((done) => device.read(bytes, offset, done));
      return bytes;
    };

    it('knows its size', () => {
      expect(device.byteSize).toBeGreaterThanOrEqual(8 * mebibyte);
    });

    it('reads back what was written, at its very end too', async () => {
      const bytes = Buffer.from('the last bytes');
      await write(bytes, device.byteSize - bytes.length);
      expect(await read(device.byteSize - bytes.length, bytes.length)).toEqual(bytes);
    });

    it('reads back a large write', async () => {
      const bytes = Buffer.alloc(3 * mebibyte + 5, 'abcdefg');
      await write(bytes, 12_345);
      expect((await read(12_345, bytes.length)).equals(bytes)).toBe(true);
      expect(await read(12_344, 1)).toEqual(Buffer.alloc(1));
    });

    it('does nothing for nothing', async () => {
      await write(Buffer.alloc(0), 0);
      expect(await read(0, 0)).toEqual(Buffer.alloc(0));
    });

    for (const operation of ['zero', 'trim'] as const) {
      it.each([
        ['a few bytes', 1_000, 77],
        ['a large unaligned range', 4_095, 5 * mebibyte + 3],
        ['a large aligned range', mebibyte, 4 * mebibyte],
        ['everything', 0, 8 * mebibyte],
      ])(`${operation} of %s reads back as zeros and touches nothing else`, async (_, offset, byteCount) => {
        await write(Buffer.alloc(8 * mebibyte, 0xaa), 0);
        await completed((done) => device[operation](offset, byteCount, done));
        const image = await read(0, 8 * mebibyte);
        const expected = Buffer.alloc(8 * mebibyte, 0xaa).fill(0, offset, offset + byteCount);
        expect(image.equals(expected)).toBe(true);
      });
    }

    it('flushes, also when nothing was written and many at once', async () => {
      await completed((done) => device.flush(done));
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          await write(Buffer.alloc(4096, index), index * 4096);
          await completed((done) => device.flush(done));
        }),
      );
      expect(await read(19 * 4096, 4096)).toEqual(Buffer.alloc(4096, 19));
    });

    it('equals a model under any sequence of operations, disjoint ones at the same time', async () => {
      const slotSize = 512 * 1024;
      const operation = fc.record({
        kind: fc.constantFrom('write' as const, 'zero' as const, 'trim' as const),
        offset: fc.nat(slotSize - 1),
        byteCount: fc.oneof(fc.integer({ min: 1, max: 9_000 }), fc.integer({ min: 1, max: slotSize })),
        fill: fc.integer({ min: 1, max: 255 }),
      });
      const model = Buffer.alloc(8 * mebibyte);
      await completed((done) => device.zero(0, model.length, done));
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(operation, { maxLength: 16 }), { maxLength: 4 }),
          async (rounds) => {
            for (const round of rounds) {
              await Promise.all(
                round.map(({ kind, offset, byteCount, fill }, slot) => {
                  const start = slot * slotSize + offset;
                  const count = Math.min(byteCount, slotSize - offset);
                  model.fill(kind === 'write' ? fill : 0, start, start + count);
                  return kind === 'write'
                    ? write(Buffer.alloc(count, fill), start)
                    : completed((done) => device[kind](start, count, done));
                }),
              );
            }
            expect((await read(0, model.length)).equals(model)).toBe(true);
          },
        ),
        { numRuns: 30 },
      );
    });
  });
}
