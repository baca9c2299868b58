import { InProcessHub } from '../../adapters/bus/in-process-bus.ts';
import type { Clock } from '../../adapters/engine/clock.ts';
import { busContract } from './bus-contract.ts';
import { actor, cluster } from './names.ts';

const clock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

busContract('in-process bus', async () => {
  const hub = new InProcessHub({ clock });
  return {
    connect: async (user) => hub.connect(cluster, actor(user)),
    keepsViews: true,
    end: async () => undefined,
  };
});
