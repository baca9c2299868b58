import { readFile } from 'node:fs/promises';
import { Refused } from './refusal.ts';

/** The cluster's link key: a file with 64 hex digits (32 bytes), readable by its owner only. */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Refused('path-missing', `the link key ${path} cannot be read: ${error.code}`);
  });
  const digits = text.trim();
  if (!/^[0-9a-f]{64}$/i.test(digits)) {
    throw new Refused('invalid-request', `${path} is no link key: 64 hex digits are expected`);
  }
  return Buffer.from(digits, 'hex');
}
