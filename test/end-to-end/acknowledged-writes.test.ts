import { expect, it } from 'vitest';
import { Cluster, Loopback, megabyte } from './cluster.ts';
import { NbdClient } from './nbd-client.ts';
import { killAll } from './processes.ts';
import { Workload } from './workload.ts';

const byteSize = 16 * megabyte;
const rounds = Number(process.env['MIRRORKEEPER_ROUNDS'] ?? 3);
/** Many rounds measure the product's own detection time (PERFORMANCE 3), a few only its sequence. */
const heartbeatMs = rounds > 3 ? 1000 : 200;

/** Milliseconds from the kill of the source to the first write acknowledged by the new one, and its parts. */
interface Takeover {
  readonly detection: number;
  readonly promises: number;
  readonly serve: number;
  readonly writable: number;
}

it(`every acknowledged write survives kill -9 of engine, agent and nats-server, ${rounds} times (FAULTS 1)`, {
  timeout: 60_000 + rounds * 40_000,
}, async () => {
  const cluster = await Cluster.start(['eve', 'adam'], new Loopback(), heartbeatMs);
  await cluster.mirror('t1', { source: 'eve', targets: { adam: 'sync' }, byteSize });
  const workload = new Workload(byteSize);
  const takeovers: Takeover[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const [source, target] = round % 2 === 0 ? (['eve', 'adam'] as const) : (['adam', 'eve'] as const);
    takeovers.push(await killAndTakeOver(cluster, workload, source, target));
    await cluster.site.startBus();
    await cluster.node(source).start();
    await cluster.untilInSync(target, 't1', target, [source]);
  }
  expect(workload.verify(await cluster.sameImages('t1'))).toEqual([]);
  await cluster.verifyJournals();
  report(takeovers, cluster.lostMs);
});

async function killAndTakeOver(
  cluster: Cluster,
  workload: Workload,
  source: string,
  target: string,
): Promise<Takeover> {
  const victim = cluster.node(source);
  const running = workload.run(await cluster.openDevice(source, 't1'));
  const enough = workload.acknowledged + 200 + Math.floor(Math.random() * 800);
  await cluster.eventually('writes run', async () => expect(workload.acknowledged).toBeGreaterThan(enough));
  const killedAt = Date.now();
  await killAll([...victim.enginePids, victim.agentPid, cluster.site.busPid]);
  await running.ended;

  const status = await cluster.untilServing(target, 't1', target);
  const client = await NbdClient.connect(status.device[0]?.uri ?? '');
  const block = Math.floor(Math.random() * (byteSize / 4096));
  await workload.write(client, block);
  const writableAt = Date.now();
  await client.close();
  expect(await workload.verifyDevice(status.device[0]?.uri ?? '')).toEqual([]);

  const { timeline } = await cluster.ask(target, 'timeline', {});
  const at = (type: string) => Date.parse(timeline?.findLast((entry) => entry.type === type)?.time ?? '');
  return {
    detection: at('failover.started') - killedAt,
    promises: at('resource.entered-service') - at('failover.started'),
    serve: at('failover.completed') - at('resource.entered-service'),
    writable: writableAt - killedAt,
  };
}

function report(takeovers: readonly Takeover[], lostMs: number): void {
  const lines = (['detection', 'promises', 'serve', 'writable'] as const).map((part) => {
    const sorted = takeovers.map((takeover) => takeover[part]).sort((a, b) => a - b);
    return `${part} ${sorted[Math.floor(sorted.length / 2)]} ms median, ${sorted.at(-1)} ms maximum`;
  });
  process.stdout.write(
    `kill to writable, silence of ${lostMs} ms is a loss, ${takeovers.length} rounds: ${lines.join('; ')}\n`,
  );
}
