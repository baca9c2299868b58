import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { Exit, exitCodes } from '../program.ts';
import { type Client, type CommandBody, howToAskAgain } from './client.ts';
import { eachLine } from './lines.ts';
import { Reply } from './reply.ts';

const Line = z.object({ request: z.union([z.string(), z.number()]).nullable(), reply: Reply });

/** An agent's DIR/agent.sock: one JSON line for each request and each reply (adapters/agent/local-socket.ts). */
export async function connectSocket(path: string, user: string): Promise<Client> {
  const socket = await open(path);
  return new SocketClient(socket, path, user);
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EACCES' ? 'only its own user and root may' : (error.code ?? error.message);
      reject(new Exit(exitCodes.unreachable, `no agent answers at ${path} (${why})`));
    });
  });
}

class SocketClient implements Client {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #user: string;
  readonly #waiting = new Map<number, (reply: Reply | null) => void>();
  #next = 1;

  constructor(socket: Socket, path: string, user: string) {
    this.#socket = socket;
    this.#path = path;
    this.#user = user;
    eachLine(socket, (line) => this.#received(line));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const answer of this.#waiting.values()) answer(null);
    });
  }

  async request(command: string, body: CommandBody, timeoutMs: number): Promise<Reply> {
    if (!this.#socket.writable) throw new Exit(exitCodes.unreachable, `no agent answers at ${this.#path}`);
    const request = this.#next++;
    const answered = new Promise<Reply | null>((resolve) => this.#waiting.set(request, resolve));
    const timer = setTimeout(() => this.#waiting.get(request)?.(null), timeoutMs);
    this.#socket.write(`${JSON.stringify({ request, command, user: this.#user, timeoutMs, body })}\n`);
    const reply = await answered;
    clearTimeout(timer);
    this.#waiting.delete(request);
    if (reply === null)
      throw new Exit(exitCodes.unknown, `the agent did not answer in time; ${howToAskAgain(body.id)}`);
    return reply;
  }

  #received(line: string): void {
    const parsed = Line.safeParse(parseJson(line));
    if (parsed.success) this.#waiting.get(Number(parsed.data.request ?? this.#next - 1))?.(parsed.data.reply);
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
