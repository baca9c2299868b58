import { describe, expect, it } from 'vitest';
import { ReceivePool, ReceiveStream } from '../../adapters/link/receive-buffers.ts';

const slabBytes = 1024;
const pool = () => new ReceivePool(8 * slabBytes, slabBytes, 10);

describe('the memory of a link', () => {
  it('is used again once nothing in it is held; while nothing comes, one spare is enough', () => {
    const one = pool();
    const slabs = [one.take(), one.take()];
    for (const slab of slabs) one.hold(slab);
    for (const slab of slabs) one.leave(slab);
    for (const slab of slabs) one.release(slab);
    expect(slabs).toContain(one.take());
    expect(slabs).toContain(one.take());
    for (const slab of slabs) one.leave(slab);
    one.trim();
    expect(slabs).toContain(one.take());
    expect(slabs).not.toContain(one.take());
  });

  it('is not used again while something in it is held, nor while a stream still fills it', () => {
    const one = pool();
    const [held, filled] = [one.take(), one.take()];
    one.hold(held);
    one.leave(held);
    one.hold(filled);
    one.release(filled);
    expect([held, filled]).not.toContain(one.take());
  });

  it('counts a slab as long as anything in it is held, and every message', () => {
    const one = pool();
    const slab = one.take();
    for (const room of [7 * slabBytes - 10, 7 * slabBytes - 20]) {
      one.hold(slab);
      expect(one.room).toBe(room);
    }
    one.release(slab);
    expect(one.room).toBe(7 * slabBytes - 10);
    one.release(slab);
    expect(one.room).toBe(8 * slabBytes);
  });

  it('takes bytes that were read into its space without copying, and others by copying', () => {
    const stream = new ReceiveStream(pool());
    const space = stream.space(64);
    space.write('in place');
    expect(stream.accept(space.subarray(0, 8), stream.space(64))).toBe(8);
    expect(stream.accept(Buffer.from(', copied'), stream.space(64))).toBe(8);
    expect(Buffer.from(stream.unparsed).toString()).toBe('in place, copied');
    stream.consume(16);
    expect(stream.space(64).byteOffset).toBe(space.byteOffset);
  });

  it('reads the rest of a large frame alone, so that the next one begins at the front again', () => {
    const large = 256 * 1024;
    const stream = new ReceiveStream(new ReceivePool(8 * large, 2 * large, 10));
    const first = stream.space(64);
    stream.accept(first.subarray(0, 1000), first);
    const rest = stream.space(large);
    expect(rest.length).toBe(large - 1000);
    stream.accept(rest, rest);
    stream.consume(large);
    expect(stream.space(64).byteOffset).toBe(first.byteOffset);
  });

  it('moves the beginning of a frame to where the rest of it has room', () => {
    const one = pool();
    const stream = new ReceiveStream(one);
    stream.accept(Buffer.alloc(900, 1), stream.space(64));
    one.hold(stream.slab);
    const first = stream.slab;
    stream.consume(890);
    expect(stream.space(600).length).toBe(slabBytes - 10);
    expect(stream.slab).not.toBe(first);
    expect(Buffer.from(stream.unparsed)).toEqual(Buffer.alloc(10, 1));
  });
});
