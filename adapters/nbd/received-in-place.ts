import type { Buffer } from 'node:buffer';
import { type OnReadOpts, Socket } from 'node:net';

export interface InPlace {
  /** Where the next bytes are to go; asked for again after each call of `received`. */
  space(): Buffer;
  /** The first `byteCount` bytes of `into` have come; false stops reading until `resume`. */
  received(byteCount: number, into: Buffer): boolean;
}

/**
 * An accepted connection that reads into memory of our choice. Node offers that (`onread`) to sockets that it is
 * asked to open, not to those that a server accepts; the difference is a fresh 64 KiB buffer per read and a copy
 * per payload. So the accepted handle is moved into a socket with `onread`. The accepted one, opened with
 * `pauseOnConnect`, stays behind without a handle: it is what the server counts, and ends with the other.
 */
export function receiveInPlace(accepted: Socket, { space, received }: InPlace): Socket {
  const shell = accepted as Socket & { _handle: unknown };
  if (!shell._handle)
    throw new Error('an accepted socket of this version of Node has no handle to take over');
  const onread: OnReadOpts = {
    buffer: space,
    callback: (byteCount, into) => received(byteCount, into as Buffer),
  };
  const options: ConstructorParameters<typeof Socket>[0] & {
    handle: unknown;
    onread: OnReadOpts;
  } = {
    handle: shell._handle,
    onread,
  };
  shell._handle = null;
  const socket = new Socket(options);
  socket.once('close', () => accepted.destroy());
  return socket;
}
