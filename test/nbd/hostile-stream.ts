import { Buffer } from 'node:buffer';
import {
  clientFlags,
  go,
  info,
  listMetaContext,
  option,
  request,
  setMetaContext,
  structuredReply,
} from './client-messages.ts';

/** A small seeded generator (mulberry32): the same seed, the same hostile stream. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

const name = 'sda';

/** Haggling of every kind, then a choice of the export. */
export function hostileNegotiation(dice: Dice): Buffer {
  const messages = [clientFlags(dice.pick([0, 1, 2, 3, 3, 3, 3, 4, 0xffff_ffff]))];
  for (let left = dice.below(5); left > 0; left--) {
    messages.push(
      dice.pick<() => Buffer>([
        () => structuredReply(),
        () => setMetaContext(name, 'base:allocation', 'base:', ':'),
        () => listMetaContext(dice.pick([name, 'x', ''])),
        () => info(dice.pick([name, '', 'sda@0', '\u0000\uffff']), 3, 3, 9),
        () => option(3),
        () => option(dice.below(20), Buffer.alloc(dice.below(40), dice.below(256))),
        () => option(dice.below(20), Buffer.alloc(8), dice.pick([0, 7, 9, 70_000, 0xffff_ffff])),
        () => option(1, Buffer.from(dice.pick([name, 'none', '']))),
      ])(),
    );
  }
  messages.push(go(dice.pick([name, name, 'sda@1', 'sda@2'])));
  return Buffer.concat(messages);
}

/** Requests with every field at, on and beyond its limits; one in three streams is damaged on top. */
export function hostileRequests(dice: Dice, byteSize: number): Buffer {
  const messages: Buffer[] = [];
  for (let left = 1 + dice.below(5); left > 0; left--) {
    const command = dice.pick([0, 1, 1, 1, 3, 4, 5, 6, 7, 8, dice.below(0x1_0000)]);
    const near = BigInt(dice.below(byteSize));
    const offset = dice.pick([0n, near, near, near, BigInt(byteSize), 2n ** 63n, 2n ** 64n - 1n]);
    const short = dice.below(2000);
    const length = dice.pick([
      0,
      short,
      short,
      short,
      byteSize - Number(near),
      byteSize,
      0x0200_0001,
      0xffff_ffff,
    ]);
    const flags = dice.pick([0, 0, 0, 0, 1, 1 << dice.below(16), dice.below(0x1_0000)]);
    const payload = command === 1 ? Buffer.alloc(Math.min(length, 20_000), 0xee) : Buffer.alloc(0);
    messages.push(request(command, { flags, cookie: BigInt(dice.below(1000)), offset, length }), payload);
  }
  return dice.below(3) === 0 ? damaged(dice, Buffer.concat(messages)) : Buffer.concat(messages);
}

/** Flipped, cut, repeated or inserted bytes. */
export function damaged(dice: Dice, bytes: Buffer): Buffer {
  const at = dice.below(bytes.length);
  switch (dice.below(4)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8));
      return bytes;
    case 1:
      return bytes.subarray(0, at);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.floor(at / 2))]);
    default:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.alloc(1 + dice.below(30), dice.below(256)),
        bytes.subarray(at),
      ]);
  }
}

/**
 * What a stream of requests may do to a writable export, read from the specification: the writes, zeroes and
 * trims that are whole, in range and with allowed flags, up to the first thing that is not a request.
 */
export function allowedChanges(stream: Buffer, byteSize: number): string[] {
  const changes: string[] = [];
  let at = 0;
  while (stream.length - at >= 28 && stream.readUInt32BE(at) === 0x25609513) {
    const flags = stream.readUInt16BE(at + 4);
    const command = stream.readUInt16BE(at + 6);
    const offset = Number(stream.readBigUInt64BE(at + 16));
    const length = stream.readUInt32BE(at + 24);
    const isInside = offset + length <= byteSize && length > 0;
    const fua = (flags & 1) !== 0 ? '+fua' : '';
    at += 28;
    if (command === 2) break;
    if (command === 1) {
      at += length;
      if (isInside && at <= stream.length && flags < 2) changes.push(`write${fua} ${offset} ${length}`);
    } else if (command === 4) {
      if (isInside && flags < 2) changes.push(`trim${fua} ${offset} ${length}`);
    } else if (command === 6 && isInside && flags < 4) {
      changes.push(`zero${fua}${flags >= 2 ? '+allocated' : ''} ${offset} ${length}`);
    }
  }
  return changes;
}
