import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNatsBus } from '../../adapters/bus/nats-bus.ts';
import { startNatsServer } from '../../tools/nats-server.ts';
import { type BusUnderTest, busContract } from './bus-contract.ts';
import { actor, cluster } from './names.ts';
import { OwnLog } from './own-journal.ts';
import { statusWhere } from './status.ts';

for (const jetStream of [true, false]) {
  busContract(`NATS ${jetStream ? 'with' : 'without'} JetStream`, async (): Promise<BusUnderTest> => {
    const folder = await mkdtemp(join(tmpdir(), 'mk-bus-'));
    const server = await startNatsServer({ folder, jetStream });
    return {
      keepsViews: jetStream,
      connect: async (user) => {
        const bus = connectNatsBus({
          cluster,
          user: actor(user),
          servers: [server.url],
          ...(user === 'anna' ? {} : { journal: new OwnLog(user) }),
        });
        await bus.ready(10_000);
        if (jetStream) await statusWhere(bus, ({ views }) => views);
        return bus;
      },
      end: async () => {
        await server.stop();
        await rm(folder, { recursive: true });
      },
    };
  });
}
