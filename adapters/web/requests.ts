import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';

const bodyBytesMax = 64 * 1024;

/** What is wrong with a request, as the answer says it. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

export function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(text);
}

/** A JSON body of that shape. A form of another site cannot send this type. Errors: `HttpError`. */
export async function readJson<S extends z.ZodType>(
  request: IncomingMessage,
  schema: S,
): Promise<z.infer<S>> {
  if (request.headers['content-type'] !== 'application/json')
    throw new HttpError(415, 'the body has to be application/json');
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > bodyBytesMax) throw new HttpError(413, `a body has at most ${bodyBytesMax} bytes`);
    chunks.push(chunk as Buffer);
  }
  return checked(schema, parsed(Buffer.concat(chunks).toString('utf8')));
}

/** Errors: `HttpError` 400 with what is wrong. */
export function checked<S extends z.ZodType>(schema: S, value: unknown): z.infer<S> {
  const result = schema.safeParse(value);
  if (!result.success) throw new HttpError(400, z.prettifyError(result.error).replaceAll('\n', ' '));
  return result.data;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, 'the body is not JSON');
  }
}
