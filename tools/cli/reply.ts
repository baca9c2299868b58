import { z } from 'zod';
import { type ExitCode, exitCodes } from '../program.ts';

/** What an agent answers to a command (REQUIREMENTS 5, Bus); a query's answer stands beside `ok`. */
const text = z.string();
export const Reply = z.looseObject({
  ok: z.boolean(),
  commandId: text.optional(),
  decider: text.optional(),
  /** Ids of the events; with `dryRun` their types. */
  events: z.array(text).optional(),
  refusal: z
    .looseObject({
      id: text,
      code: text,
      message: text,
      allowed: z.array(text),
      because: z.array(text),
    })
    .optional(),
  loss: z
    .looseObject({
      text,
      writes: z.number().nullable(),
      bytes: z.number().nullable(),
      since: text.nullable(),
    })
    .optional(),
  token: text.nullable().optional(),
  plan: z
    .array(
      z.looseObject({
        source: text,
        target: text,
        kind: z.enum(['partial', 'full']),
        bytes: z.number().nullable(),
      }),
    )
    .optional(),
  /** Why there is no refusal although it is not done. */
  error: z.enum(['unreachable', 'outcome-unknown', 'failed']).optional(),
  message: text.optional(),
});
export type Reply = Readonly<z.infer<typeof Reply>>;

export function exitCodeOf({ ok, refusal, error }: Reply): ExitCode {
  if (ok) return exitCodes.done;
  if (error === 'unreachable') return exitCodes.unreachable;
  if (error === 'outcome-unknown') return exitCodes.unknown;
  return refusal?.code === 'journal-damaged' ? exitCodes.damaged : exitCodes.refused;
}
