import { describe, expect, it } from 'vitest';
import { MirrorQueue } from '../../adapters/engine/mirror-queue.ts';

describe('since when a target has answered nothing of what is its turn (write-timeout, REQUIREMENTS 2.3)', () => {
  const sent = (queue: MirrorQueue, last: number, ms: number) =>
    queue.push(last, null, false, 512, false, ms);

  it('what waits behind others that are answered one by one is old, not unanswered: a slow link is no dead target', () => {
    const queue = new MirrorQueue();
    for (const last of [1, 2, 3]) sent(queue, last, 0);
    expect(queue.unansweredSinceMs).toBe(0);
    queue.written(1, 1_000);
    queue.written(2, 2_000);
    expect(queue).toMatchObject({ oldestMs: 0, unansweredSinceMs: 2_000 });
    queue.written(3, 3_000);
    expect(queue.unansweredSinceMs).toBeNull();
    sent(queue, 4, 9_000);
    expect(queue.unansweredSinceMs).toBe(9_000);
  });

  it('each piece of a large write counts', () => {
    const queue = new MirrorQueue();
    sent(queue, 8, 0);
    queue.written(5, 1_000);
    expect(queue.unansweredSinceMs).toBe(1_000);
  });

  it('who says the same again has answered nothing', () => {
    const queue = new MirrorQueue();
    for (const last of [1, 2]) sent(queue, last, 0);
    queue.written(1, 1_000);
    queue.written(1, 5_000);
    expect(queue.unansweredSinceMs).toBe(1_000);
  });

  it('a flush is due when all before it is written, and writes after it do not excuse it', () => {
    const queue = new MirrorQueue();
    sent(queue, 1, 0);
    const number = queue.addFlush(() => undefined, null, 0);
    queue.written(1, 4_000);
    expect(queue.unansweredSinceMs).toBe(4_000);
    sent(queue, 2, 5_000);
    queue.written(2, 6_000);
    sent(queue, 3, 7_000);
    expect(queue.unansweredSinceMs).toBe(4_000);
    queue.flushed(number);
    expect(queue.unansweredSinceMs).toBe(7_000);
  });
});
