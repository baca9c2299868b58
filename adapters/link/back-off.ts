/**
 * How long to wait before the n-th attempt in a row (n from 0): doubling from 50 ms to 2 s, of which a random half
 * is taken off, so that many links that were cut off together do not return together. The cap stays below the
 * default detection time (5 s): a path that is back is used before anybody concludes that the peer is lost.
 */
export function backOffMs(attempt: number, randomByte: number): number {
  const fullMs = Math.min(2000, 50 * 2 ** Math.min(attempt, 10));
  return fullMs * (0.5 + randomByte / 512);
}
