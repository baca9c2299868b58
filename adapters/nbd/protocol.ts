/**
 * The numbers of the NBD protocol, from the specification (github.com/NetworkBlockDevice/nbd, doc/proto.md).
 * All integers on the wire are big-endian.
 *
 * ```
 * greeting       NBDMAGIC IHAVEOPT  u16 handshake flags            →  u32 client flags
 * option         IHAVEOPT  u32 option  u32 length  data            →  option reply, one or more
 * option reply   0x3e889045565a9  u32 option  u32 type  u32 length  data
 * request        0x25609513  u16 flags  u16 command  u64 cookie  u64 offset  u32 length  [payload of a write]
 * simple reply   0x67446698  u32 error  u64 cookie  [payload of a read]
 * reply chunk    0x668e33ef  u16 flags  u16 type  u64 cookie  u32 length  payload
 * ```
 *
 * Not offered, with the answer that the specification names for it: TLS (ERR_UNSUP), extended headers and every
 * unknown option (ERR_UNSUP), FAST_ZERO and RESIZE (EINVAL).
 */

/** Pairs of 32-bit halves: a 64-bit magic without a BigInt. */
export const magic = {
  greeting: [0x4e42444d, 0x41474943],
  option: [0x49484156, 0x454f5054],
  optionReply: [0x0003e889, 0x045565a9],
  request: 0x25609513,
  simpleReply: 0x67446698,
  replyChunk: 0x668e33ef,
} as const;

export const handshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const transmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
} as const;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const optionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x8000_0001,
  invalid: 0x8000_0003,
  unknownExport: 0x8000_0006,
  tooBig: 0x8000_0009,
} as const;
export type OptionReply = (typeof optionReply)[keyof typeof optionReply];

export const infoType = { export: 0, name: 1, blockSize: 3 } as const;

export const commandFlag = { fua: 1, noHole: 2, df: 4, reqOne: 8 } as const;

export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** The flags that each command may carry, by its number: FUA is valid for all, the others for one each. */
export const flagsAllowed: readonly number[] = Array.from(Object.values(command), (number) => {
  if (number === command.read) return commandFlag.fua | commandFlag.df;
  if (number === command.writeZeroes) return commandFlag.fua | commandFlag.noHole;
  if (number === command.blockStatus) return commandFlag.fua | commandFlag.reqOne;
  return commandFlag.fua;
});

export const chunkType = { none: 0, offsetData: 1, blockStatus: 5, error: 0x8001 } as const;
export const chunkFlagDone = 1;

export const extentState = { hole: 1, zero: 2 } as const;

/** The error numbers that a reply may carry, whatever the errno of the host is called. */
export const replyError = {
  none: 0,
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ESHUTDOWN: 108,
} as const;
export type ReplyError = (typeof replyError)[keyof typeof replyError];

/** The one metadata context: id 1, whatever export it is selected for. */
export const allocationContext = { name: 'base:allocation', namespace: 'base:', id: 1 } as const;

export const headerSize = {
  clientFlags: 4,
  option: 16,
  optionReply: 20,
  request: 28,
  simpleReply: 16,
  chunk: 20,
} as const;

/** Sizes in bytes. */
export const limit = {
  /** The longest string that the specification allows. */
  name: 4096,
  /** Data of one option; more is drained and answered with TOO_BIG. */
  optionData: 65_536,
  /** Payload of one read or write, announced as block-size information. */
  payload: 32 * 1024 * 1024,
  minimumBlock: 1,
  preferredBlock: 4096,
  /** The specification's ceiling for one block-status reply is 2^20; a client asks again for the rest. */
  extentsPerReply: 4096,
} as const;
