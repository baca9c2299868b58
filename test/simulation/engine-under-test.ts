import type { Order } from '../../adapters/engine/control-protocol.ts';
import { Engine } from '../../adapters/engine/engine.ts';
import type { EnginePorts } from '../../adapters/engine/ports.ts';
import type { Reply } from './agent.ts';

/** What the simulation needs of an engine: orders in, replies and pushes out. */
export interface EngineUnderTest {
  handle(order: Order, reply: (reply: Reply) => void): void;
}

/** The engine as adapters/engine/main.ts runs it, without its control socket. */
export function startEngine(
  ports: EnginePorts,
  push: (message: object) => void,
  isControlled: () => boolean,
): EngineUnderTest {
  const engine = new Engine({ ports, pid: 1, socket: '/nbd.sock', push, isControlled });
  return { handle: (order, reply) => engine.order(order, reply) };
}
