import { createServer } from 'node:net';

/** Of each node's `--replicate`: a lab has few resources. */
export const portsPerNode = 4;

/** Below what the system gives to clients by itself. */
const first = 20_000;
const last = 32_000;
const triesMax = 50;

/** The first of `count` consecutive ports of loopback on which nobody listens. */
export async function freePorts(count: number, random: () => number = Math.random): Promise<number> {
  for (let tries = 0; tries < triesMax; tries += 1) {
    const port = first + Math.floor(random() * (last - first - count));
    if (await areFree(port, count)) return port;
  }
  throw new Error(`no ${count} free ports in a row between ${first} and ${last}`);
}

export async function areFree(port: number, count: number): Promise<boolean> {
  const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(port + index)));
  return free.every(Boolean);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
