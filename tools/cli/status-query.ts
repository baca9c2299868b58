import { z } from 'zod';
import type { AsOf } from '../../projections/projection.ts';
import type { StatusView } from '../../projections/status.ts';
import type { Client } from './client.ts';
import { ask } from './query.ts';

/** A resource's status as an agent of the same version tells it (REQUIREMENTS 5). */
export type Status = StatusView & { readonly asOf: AsOf };

const isStatus = (value: unknown): value is Status =>
  typeof value === 'object' &&
  value !== null &&
  'tag' in value &&
  'mirrors' in value &&
  Array.isArray(value.mirrors) &&
  'asOf' in value;

const Answer = z.object({ status: z.array(z.custom<Status>(isStatus)) });

/** By tag; one where a tag is given. Errors: `Exit`, e.g. refused with `unknown-tag`. */
export async function askStatus(
  client: Client,
  args: { readonly tag?: string | undefined; readonly asOf?: string | undefined },
  timeoutMs: number,
): Promise<readonly Status[]> {
  return (await ask(client, 'status', args, timeoutMs, Answer)).status;
}
