import type { Bus, BusStatus } from '../../adapters/bus/bus.ts';

/** Resolves once the bus's own account of itself fits. */
export function statusWhere(bus: Bus, fits: (status: BusStatus) => boolean): Promise<BusStatus> {
  return new Promise((resolve) => {
    const check = (status: BusStatus) => {
      if (!fits(status)) return;
      watching.end();
      resolve(status);
    };
    const watching = bus.watchStatus(check);
    check(bus.status());
  });
}
