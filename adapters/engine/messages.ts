import { Buffer } from 'node:buffer';
import type { z } from 'zod';
import type { Epoch } from '../../domain/vocabulary.ts';
import type { IncomingMessage, Link } from '../link/link.ts';
import { type MessageName, messageType } from '../link/protocol.ts';

export interface Fields {
  readonly flags?: number;
  readonly volume?: number;
  readonly number?: number;
  readonly offset?: number;
  readonly byteCount?: number;
  readonly payload?: Uint8Array | null;
}

export function send(link: Link, name: MessageName, epoch: Epoch, fields: Fields = {}): boolean {
  return link.send({
    type: messageType[name],
    flags: fields.flags ?? 0,
    volume: fields.volume ?? 0,
    epoch,
    number: fields.number ?? 0,
    offset: fields.offset ?? 0,
    byteCount: fields.byteCount ?? 0,
    payload: fields.payload ?? null,
  });
}

export function sendJson<T>(
  link: Link,
  name: MessageName,
  epoch: Epoch,
  number: number,
  content: T,
  volume = 0,
): boolean {
  return send(link, name, epoch, { number, volume, payload: Buffer.from(JSON.stringify(content)) });
}

/** The content of a json message, or null when it is not what the table says: the sender contradicts itself. */
export function readJson<Schema extends z.ZodType>(
  message: IncomingMessage,
  schema: Schema,
): z.output<Schema> | null {
  try {
    const bytes = message.payload;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
