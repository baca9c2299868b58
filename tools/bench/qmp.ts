import { connect, type Socket } from 'node:net';

type Message = Readonly<Record<string, unknown>>;

/** A client of qemu's monitor protocol: commands one after the other, events to wait for. */
export class Qmp {
  readonly #socket: Socket;
  readonly #events: Message[] = [];
  #answered: ((message: Message) => void) | null = null;
  #noticed: () => void = () => undefined;
  #rest = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (text: string) => this.#received(text));
  }

  static async connect(path: string): Promise<Qmp> {
    const socket = connect(path);
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const qmp = new Qmp(socket);
    await qmp.command('qmp_capabilities');
    return qmp;
  }

  command(execute: string, args: Message = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#answered = (message) => {
        if ('return' in message) resolve(message['return']);
        else reject(new Error(`${execute}: ${JSON.stringify(message['error'])}`));
      };
      this.#socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
  }

  /** The next event of that name, also one that has come already. */
  async event(name: string): Promise<Message> {
    for (;;) {
      const at = this.#events.findIndex(({ event }) => event === name);
      const [found] = at < 0 ? [] : this.#events.splice(at, 1);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#noticed = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const message = JSON.parse(line) as Message;
      if ('event' in message) {
        this.#events.push(message);
        this.#noticed();
      } else if (!('QMP' in message)) {
        this.#answered?.(message);
      }
    }
  }
}
