import { type ReplyError, replyError } from './protocol.ts';

/** Why a request gets an error: the number that the specification names, and a sentence for structured replies. */
export interface Refusal {
  readonly error: ReplyError;
  /** ASCII. */
  readonly message: string;
}

export const refusal = {
  unknownCommand: { error: replyError.EINVAL, message: 'unknown command' },
  flags: { error: replyError.EINVAL, message: 'this command does not take these flags' },
  withdrawn: { error: replyError.ESHUTDOWN, message: 'the export has been withdrawn' },
  readOnly: { error: replyError.EPERM, message: 'the export is read-only' },
  beyondEnd: { error: replyError.EINVAL, message: 'the range ends beyond the end of the export' },
  writeBeyondEnd: { error: replyError.ENOSPC, message: 'the range ends beyond the end of the export' },
  payloadTooLong: { error: replyError.EINVAL, message: 'longer than the announced maximum payload' },
  readTooLong: { error: replyError.EOVERFLOW, message: 'longer than the announced maximum payload' },
  flushWithRange: { error: replyError.EINVAL, message: 'a flush has no offset and no length' },
  noContext: { error: replyError.EINVAL, message: 'no metadata context was selected for this export' },
  emptyStatus: { error: replyError.EINVAL, message: 'the status of no byte' },
} as const satisfies Record<string, Refusal>;

/** Errors of the host, by the name that the operating system gives them. Whatever else happens is an EIO. */
const byCode: ReadonlyMap<string, ReplyError> = new Map([
  ['EPERM', replyError.EPERM],
  ['EACCES', replyError.EPERM],
  ['EROFS', replyError.EPERM],
  ['ENOMEM', replyError.ENOMEM],
  ['EINVAL', replyError.EINVAL],
  ['ENOSPC', replyError.ENOSPC],
  ['EDQUOT', replyError.ENOSPC],
  ['EFBIG', replyError.ENOSPC],
  ['ESHUTDOWN', replyError.ESHUTDOWN],
]);

export function refusalOf(error: Error): Refusal {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'EIO';
  const known = byCode.get(code);
  return known === undefined ? { error: replyError.EIO, message: 'EIO' } : { error: known, message: code };
}
