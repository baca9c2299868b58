import { InvalidArgumentError } from 'commander';

/** What people type as numbers. Errors: commander's, which is a usage error. */

const unitBytes: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `4096`, `64K`, `512M`, `2G`: bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})([KMGT]?)$/i.exec(text);
  const bytes = Number(match?.[1]) * (unitBytes[(match?.[2] ?? '').toUpperCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes))
    throw new InvalidArgumentError('A number of bytes is expected, with K, M or G behind it if you like.');
  return bytes;
}

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !Number.isFinite(seconds) || seconds <= 0)
    throw new InvalidArgumentError('A number of seconds is expected.');
  return seconds;
}

export const parseWhole =
  (least: number, most: number) =>
  (text: string): number => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= least && number <= most))
      throw new InvalidArgumentError(`A number from ${least} to ${most} is expected.`);
    return number;
  };
