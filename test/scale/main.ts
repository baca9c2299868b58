import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type { Spread } from './baseline.ts';
import { measure, type ScaleResult } from './measurements.ts';

/*
 * What a cluster of three agents costs with many resources, control plane only: real agents, journals, views and
 * nats-server on one machine and in one process, engines without bytes (PERFORMANCE 3).
 *
 *   npm run bench:cluster                                  200 resources with two targets each, then 1 M events
 *   npm run bench:cluster -- --resources 50 --events 0 --idle 10 --json
 */
const { values: options } = parseArgs({
  options: {
    resources: { type: 'string', default: '200' },
    commands: { type: 'string', default: '600' },
    /** Seconds. */
    idle: { type: 'string', default: '120' },
    events: { type: 'string', default: '1000000' },
    /** Milliseconds. */
    heartbeat: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
});

const idleMs = Number(options.idle) * 1000;
const tell = (what: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${what}\n`);
const result = await measure(
  {
    resources: Number(options.resources),
    commands: Number(options.commands),
    heartbeatMs: Number(options.heartbeat),
    idleMs,
    events: Number(options.events),
  },
  tell,
);
process.stdout.write(options.json ? `${JSON.stringify({ ...result, load: loadavg() })}\n` : table(result));
process.exit(0);

function table(result: ScaleResult): string {
  const { command, roundTrip, append, memory, idle, restart, failover, large, outcome } = result;
  const perDay = 86_400_000 / idleMs;
  const rows: [string, string][] = [
    [
      'load average',
      loadavg()
        .map((load) => load.toFixed(1))
        .join(' '),
    ],
    ['all resources created, extended twice and in sync', seconds(result.createMs)],
    [
      'journal per resource created',
      `${result.creationEvents.toFixed(1)} events, ${kib(result.creationBytes)}`,
    ],
    ['bare request and reply', both(roundTrip)],
    ['bare append, forced to disk', both(append)],
    ['bare request, reply and append', both(command.bare)],
    ['command over the bus, at its decider', both(command.direct)],
    ['  ratio at p50 (aim ≤ 1.4)', result.ratioDirect.toFixed(2)],
    ['command over the bus, forwarded once', both(command.forwarded)],
    ['  ratio at p50 to two requests and an append', result.ratioForwarded.toFixed(2)],
    ['memory of three agents without resources', mib(memory.before)],
    ['memory of three agents with all of them', mib(memory.after)],
    ['journal per idle day', `${(idle.events * perDay).toFixed(0)} events, ${kib(idle.bytes * perDay)}`],
    ['processor of three idle agents', `${(idle.cpuShare * 100).toFixed(1)} % of one core`],
    ['restart from the checkpoint (journal + agent)', started(restart.withCheckpoint)],
    ['restart without it', started(restart.without)],
    ['failover of all: detected', seconds(failover.detectionMs)],
    ['  detected → one resource in service', both(failover.serving)],
    ['  killed → all in service', seconds(failover.allMs)],
    ...(large
      ? ([
          [`restart with ${large.events} events more, from the checkpoint`, started(large.withCheckpoint)],
          ['  with all of them behind the checkpoint', started(large.without)],
        ] as [string, string][])
      : []),
    [
      'outcome',
      `${outcome.inService} in service, ${outcome.failedOver} failed over, heads ${outcome.headsEqual ? 'equal' : 'DIFFER'}, ${outcome.errors.length} errors`,
    ],
    ...outcome.errors.slice(0, 5).map((error): [string, string] => ['  error', error]),
  ];
  return `${rows.map(([name, value]) => `${name.padEnd(52)}${value}`).join('\n')}\n`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}
function both({ p50, p99 }: Spread): string {
  return `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;
}
function mib({ rssMiB, heapMiB }: ScaleResult['memory']['before']): string {
  return `${rssMiB.toFixed(0)} MiB, heap ${heapMiB.toFixed(0)} MiB`;
}
function started({ openMs, startMs }: ScaleResult['restart']['without']): string {
  return `${seconds(openMs)} + ${seconds(startMs)}`;
}
