import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { eachLine } from '../cli/lines.ts';
import { Exit, exitCodes } from '../program.ts';

/**
 * How `lab kill NODE` and the like, typed in another terminal, reach the lab that runs: one JSON line with the order,
 * one with what became of it.
 */
export const nodeOrders = ['kill', 'stop', 'partition', 'heal'] as const;

export const LabOrder = z.union([
  z.object({ order: z.enum(nodeOrders), node: z.string() }),
  z.object({ order: z.enum(['write', 'verify']), bytes: z.int().min(1).nullable() }),
]);
export type LabOrder = z.infer<typeof LabOrder>;

/** `wrong`: data is not what was acknowledged. */
const Outcome = z.object({ ok: z.boolean(), wrong: z.boolean(), text: z.string() });
export type Outcome = z.infer<typeof Outcome>;

export async function serveControl(
  path: string,
  carryOut: (order: LabOrder) => Promise<Outcome>,
): Promise<Server> {
  await rm(path, { force: true });
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    eachLine(socket, (line) => void answer(socket, line, carryOut));
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

async function answer(
  socket: Socket,
  line: string,
  carryOut: (order: LabOrder) => Promise<Outcome>,
): Promise<void> {
  const outcome = await outcomeOf(line, carryOut);
  socket.end(`${JSON.stringify(outcome)}\n`);
}

async function outcomeOf(line: string, carryOut: (order: LabOrder) => Promise<Outcome>): Promise<Outcome> {
  try {
    return await carryOut(LabOrder.parse(JSON.parse(line)));
  } catch (error) {
    return { ok: false, wrong: false, text: error instanceof Error ? error.message : String(error) };
  }
}

/** Errors: `unreachable` where no lab takes orders there, `unknown` where it ended over it. */
export async function orderLab(path: string, order: LabOrder): Promise<Outcome> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch {
    throw new Exit(exitCodes.unreachable, noLab);
  }
  const line = new Promise<string>((resolve, reject) => {
    eachLine(socket, resolve);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => reject(new Exit(exitCodes.unknown, 'the lab ended before it answered')));
  });
  socket.write(`${JSON.stringify(order)}\n`);
  return Outcome.parse(JSON.parse(await line));
}

export const noLab =
  'no lab runs in this folder: start one with mirrorkeeper lab (npm start), and leave it open';
