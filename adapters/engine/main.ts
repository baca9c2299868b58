import { writeFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ControlSocket } from './control-socket.ts';
import { Engine } from './engine.ts';
import { monotonicClock, realPorts } from './real-ports.ts';

/*
 * The engine process: `node main.js --dir DIR`, DIR absolute. It listens on `DIR/ctl.sock` for its controller and
 * prints `ready` when it does. It lives until it is ordered to stop: neither the loss of its controller nor a
 * hang-up of its terminal ends it (DESIGN 1).
 */

const { values } = parseArgs({ options: { dir: { type: 'string' } } });
const { dir } = values;
if (dir === undefined || !isAbsolute(dir)) {
  process.stderr.write('usage: main.js --dir DIR   (an absolute path)\n');
  process.exit(2);
}

for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE'] as const) process.on(signal, () => undefined);
process.on('SIGTERM', () => stop());
spareFromOutOfMemory();

const engine: Engine = new Engine({
  ports: realPorts(`engine ${dir}`),
  pid: process.pid,
  socket: join(dir, 'nbd.sock'),
  push: (line) => control.push(line),
  isControlled: () => control.isControlled(engine.node?.lostAfterMs ?? Number.POSITIVE_INFINITY),
});
const control = new ControlSocket(() => engine, monotonicClock, exitSoon);

control.listen(join(dir, 'ctl.sock'), (error) => {
  if (error !== null) {
    process.stderr.write(`${JSON.stringify({ level: 'error', message: error.message })}\n`);
    process.exit(1);
  }
  process.stdout.write('ready\n');
});

function stop(): void {
  engine.order({ id: 0, order: 'stop' }, (outcome) => {
    if (outcome.ok) exitSoon();
  });
}

/** The reply to `stop` still has to leave. */
function exitSoon(): void {
  control.close();
  setTimeout(() => process.exit(0), 100);
}

/** Write-back through a process can need memory just when there is none (DESIGN 4): this one goes last. */
function spareFromOutOfMemory(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '-900');
  } catch {
    // Only root may; the unit of the agent sets it for everybody else.
  }
}
