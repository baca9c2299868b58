import { connect, type Socket } from 'node:net';
import {
  AnyObservation,
  EngineStatus,
  lineBytesMax,
  Notice,
  NumberedObservation,
} from '../engine/control-protocol.ts';
import {
  type Engine,
  type EngineListener,
  type OrderBody,
  OrderRefused,
  type ToldObservation,
} from './ports.ts';

interface Waiting {
  readonly resolve: (result: Readonly<Record<string, unknown>>) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** A hand-over drains, and a failed disk takes its time; an engine that is longer silent hangs (rule 24). */
const orderTimeoutMs = 60_000;

/** The controller's end of an engine's control socket: JSON lines, orders out, observations in. */
export class EngineClient implements Engine {
  readonly #socket: Socket;
  readonly #listener: EngineListener;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #rest = '';
  #closed = false;

  private constructor(socket: Socket, listener: EngineListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#received(text));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#gone());
  }

  /** Connects to a running engine. Rejects when nobody listens there. */
  static connect(path: string, listener: EngineListener): Promise<EngineClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new EngineClient(socket, listener));
      });
    });
  }

  order(order: OrderBody): Promise<Readonly<Record<string, unknown>>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new OrderRefused('engine-gone', 'the engine is not running'));
        return;
      }
      const id = this.#nextId++;
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(
          new OrderRefused('engine-gone', `the engine did not answer ${order.order} in ${orderTimeoutMs} ms`),
        );
      }, orderTimeoutMs);
      timer.unref();
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ id, ...order })}\n`);
    });
  }

  async status(): Promise<EngineStatus> {
    const { status } = await this.order({ order: 'status' });
    return EngineStatus.parse(status);
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(text: string): void {
    this.#rest += text;
    for (let end = this.#rest.indexOf('\n'); end >= 0; end = this.#rest.indexOf('\n')) {
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 1);
      this.#line(line);
    }
    if (this.#rest.length > lineBytesMax) this.#socket.destroy();
  }

  #line(line: string): void {
    const message = parse(line);
    if (message === undefined) {
      this.#socket.destroy();
    } else if ('observation' in message) {
      const observation = readObservation(message);
      if (observation) this.#listener.observed(observation);
      else this.#socket.destroy();
    } else if ('notice' in message) {
      const notice = Notice.safeParse(message);
      if (notice.success) this.#listener.noticed(notice.data);
    } else {
      this.#answered(message);
    }
  }

  #answered(message: Readonly<Record<string, unknown>>): void {
    const id = Number(message['id']);
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (message['ok'] === true) waiting.resolve(message);
    else waiting.reject(new OrderRefused(String(message['code']), String(message['message'])));
  }

  #gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new OrderRefused('engine-gone', 'the engine is gone'));
    }
    this.#waiting.clear();
    this.#listener.gone();
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** One that only a newer version understands has its number at least; undefined where it is none at all. */
function readObservation(message: object): ToldObservation | undefined {
  const known = NumberedObservation.safeParse(message);
  if (known.success) return known.data;
  const unknown = AnyObservation.safeParse(message);
  if (!unknown.success) return undefined;
  return { observation: unknown.data.observation, type: 'unknown', originalType: unknown.data.type };
}
