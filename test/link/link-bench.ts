import { connect, type Socket } from 'node:net';
import { startEchoTarget } from './echo-target.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { key, message, timings } from './session-pair.ts';

/*
 * npx tsc --outDir dist && node dist/test/link/link-bench.js [ROUNDS]
 *
 * Writes answered one by one over loopback TCP between two processes: through the link, and side by side over bare
 * sockets that carry as many bytes and look at none of them. Medians of interleaved rounds.
 */
const headerBytes = 64;
const cases = [
  { payloadBytes: 4096, depth: 1, writes: 15_000 },
  { payloadBytes: 4096, depth: 32, writes: 60_000 },
  { payloadBytes: 65_536, depth: 8, writes: 15_000 },
  { payloadBytes: 1 << 20, depth: 4, writes: 2000 },
] as const;

type Run = (payload: Buffer, depth: number, writes: number) => Promise<number>;

/** Writes per second. */
function throughLink(port: number): Run {
  return (payload, depth, writes) =>
    new Promise((resolve) => {
      const adam = new NodeUnderTest('adam', { key, timings });
      const toEve = adam.link('eve');
      toEve.keepsPayloads = false;
      let sent = 0;
      let answered = 0;
      let startMs = 0;
      const send = () => {
        if (sent < writes) toEve.link.send(message({ number: sent++, offset: sent * 4096, payload }));
      };
      toEve.onReceived = () => {
        answered++;
        send();
        if (answered < writes) return;
        adam.close();
        resolve((writes / (performance.now() - startMs)) * 1000);
      };
      toEve.link.dialTo([{ host: '127.0.0.1', port }]);
      toEve.link.open();
      void toEve
        .until(() => toEve.link.established)
        .then(() => {
          startMs = performance.now();
          toEve.link.cork();
          for (let slot = 0; slot < depth; slot++) send();
          toEve.link.uncork();
        });
    });
}

function overBareSocket(port: number): Run {
  return (payload, depth, writes) =>
    new Promise((resolve) => {
      const header = Buffer.alloc(headerBytes);
      let sent = 0;
      let answered = 0;
      let seen = 0;
      const send = (socket: Socket) => {
        if (sent++ >= writes) return;
        socket.write(header);
        socket.write(payload);
      };
      const startMs = performance.now();
      const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(headerBytes + payload.length);
        socket.cork();
        socket.write(length);
        for (let slot = 0; slot < depth; slot++) send(socket);
        socket.uncork();
      });
      socket.on('data', (bytes) => {
        seen += bytes.length;
        socket.cork();
        for (; seen >= headerBytes; seen -= headerBytes) {
          answered++;
          send(socket);
        }
        socket.uncork();
        if (answered < writes) return;
        socket.destroy();
        resolve((writes / (performance.now() - startMs)) * 1000);
      });
    });
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

async function measure(rounds: number): Promise<void> {
  const { child, ports } = await startEchoTarget();
  const runs = { link: throughLink(ports.link), bare: overBareSocket(ports.bare) };
  for (const { payloadBytes, depth, writes } of cases) {
    const payload = Buffer.alloc(payloadBytes, 0x5a);
    const rates = { link: [] as number[], bare: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      for (const which of ['link', 'bare'] as const)
        rates[which].push(await runs[which](payload, depth, writes));
    }
    const [link, bare] = [median(rates.link), median(rates.bare)];
    const row = { payloadBytes, depth, linkPerSecond: Math.round(link), barePerSecond: Math.round(bare) };
    process.stdout.write(`${JSON.stringify({ ...row, ratio: Number((link / bare).toFixed(2)) })}\n`);
  }
  child.kill();
}

await measure(Number(process.argv[2] ?? 5));
