import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { lineBytesMax, Order } from './control-protocol.ts';
import type { Engine, Outcome } from './engine.ts';

/** Lines that wait for a controller which does not read; then it is let go (I16). */
const unreadBytesMax = 8 * 1024 * 1024;

/**
 * The engine's Unix socket for its controller (control-protocol.ts). One controller at a time is pushed to: the
 * newest; an older connection is closed. The engine goes on whoever comes or goes.
 */
export class ControlSocket {
  readonly #engine: () => Engine;
  readonly #clock: Clock;
  readonly #onStop: () => void;
  #server: Server | null = null;
  #controller: Socket | null = null;
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(engine: () => Engine, clock: Clock, onStop: () => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#onStop = onStop;
  }

  listen(path: string, done: (error: Error | null) => void): void {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path);
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    server.once('error', done);
    // The socket must never be there with other rights, not even before chmod.
    const mask = process.umask(0o177);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      done(null);
    });
    process.umask(mask);
  }

  /** A controller has said something within that time. */
  isControlled(withinMs: number): boolean {
    return this.#controller !== null && this.#clock.nowMs() - this.#heardMs <= withinMs;
  }

  push(line: object): void {
    if (this.#controller !== null) this.#write(this.#controller, line);
  }

  close(): void {
    this.#server?.close();
    this.#controller?.end();
  }

  #accept(socket: Socket): void {
    this.#controller?.destroy();
    this.#controller = socket;
    this.#heardMs = this.#clock.nowMs();
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      if (this.#controller === socket) this.#controller = null;
    });
    socket.on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#line(socket, line);
      if (text.length > lineBytesMax) {
        this.#write(socket, invalid(null, `a line has more than ${lineBytesMax} bytes`));
        socket.end();
      }
    });
    this.#engine().controllerCame();
  }

  #line(socket: Socket, line: string): void {
    if (line.trim() === '' || socket.destroyed) return;
    this.#heardMs = this.#clock.nowMs();
    let content: unknown;
    try {
      content = JSON.parse(line);
    } catch {
      this.#write(socket, invalid(null, 'a line is not JSON'));
      return;
    }
    const parsed = Order.safeParse(content);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      this.#write(socket, invalid(idOf(content), `${issue?.path.join('.') || 'order'}: ${issue?.message}`));
      return;
    }
    const { id, order } = parsed.data;
    this.#engine().order(parsed.data, (outcome: Outcome) => {
      this.#write(socket, { id, ...outcome });
      if (order === 'stop' && outcome.ok) this.#onStop();
    });
  }

  #write(socket: Socket, line: object): void {
    if (socket.destroyed) return;
    socket.write(`${JSON.stringify(line)}\n`);
    if (socket.writableLength > unreadBytesMax) socket.destroy();
  }
}

const invalid = (id: unknown, message: string) => ({ id, ok: false, code: 'invalid-request', message });

const idOf = (content: unknown): unknown =>
  typeof content === 'object' && content !== null && 'id' in content ? content.id : null;
