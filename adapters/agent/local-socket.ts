import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { CommandBody, type CommandReply, type IssuedCommand } from '../bus/messages.ts';
import { CommandToken } from '../bus/subjects.ts';

/** A line is a request; a longer one than this is not read further. */
const lineBytesMax = 1024 * 1024;

/** `{request, command, user, timeoutMs, body}` → `{request, reply}`; the CLI's way when the bus is away. */
const Request = z.object({
  request: z.union([z.string().max(128), z.number()]),
  command: CommandToken,
  /** The operating system's user name, as the caller says it: not verified. */
  user: z.string().min(1).max(128),
  timeoutMs: z.int().min(1).max(86_400_000),
  body: CommandBody,
});

export type CommandHandler = (issued: IssuedCommand, timeoutMs: number) => Promise<CommandReply>;

/** DIR/agent.sock (REQUIREMENTS 5): JSON lines; only the agent's own user and root may open it. */
export function serveLocalSocket(path: string, handle: CommandHandler): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => serve(socket, handle));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket must never be there with other rights, not even before chmod.
    const mask = process.umask(0o177);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      resolve(server);
    });
    process.umask(mask);
  });
}

function serve(socket: Socket, handle: CommandHandler): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    rest += text;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      void answer(line, handle).then(
        (reply) => socket.writable && socket.write(`${JSON.stringify(reply)}\n`),
      );
    }
    if (rest.length > lineBytesMax) {
      // What follows is the rest of that line, and no request.
      socket.removeAllListeners('data').resume();
      socket.end(`${JSON.stringify(invalid(null, `a request has at most ${lineBytesMax} bytes`))}\n`);
      rest = '';
    }
  });
}

async function answer(line: string, handle: CommandHandler): Promise<object> {
  const parsed = Request.safeParse(parseJson(line));
  if (!parsed.success) return invalid(null, z.prettifyError(parsed.error).replaceAll('\n', ' '));
  const { request, command, user, timeoutMs, body } = parsed.data;
  const issued: IssuedCommand = { command, actor: { id: user, via: 'socket', verified: false }, body };
  try {
    return { request, reply: await handle(issued, timeoutMs) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      request,
      reply: { ok: false, commandId: body.id, events: [], error: 'outcome-unknown', message },
    };
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function invalid(request: string | null, message: string): object {
  const refusal = {
    id: '',
    code: 'invalid-request',
    message: `the request is not well-formed: ${message}`,
    allowed: [],
    because: [],
  };
  return { request, reply: { ok: false, commandId: '', events: [], refusal } };
}
