import type { Generation } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import { type OpenOrder, openLogs } from './open-replica.ts';
import type { EnginePorts } from './ports.ts';
import { Refused } from './refusal.ts';
import type { Replica } from './replica.ts';
import { allOf, inSequence, type Step } from './sequence.ts';
import type { Volume } from './volume.ts';
import type { WritePath } from './write-path.ts';

/*
 * A baseline (REQUIREMENTS 2.6): from here on a log says what has changed, before any target exists. It is kept like
 * a peer's, under the name of this node itself, and nothing ever clears it. An image that was copied after the baseline
 * began differs from this replica in its marked regions at most: `extend --no-full-sync` hands these over to the log
 * for the new peer, which stands at the generation of the baseline.
 */

/** Errors: `no-baseline` where there is no data, or no log can be kept. */
export function startBaseline(
  replica: Replica,
  order: OpenOrder,
  ports: EnginePorts,
  path: WritePath | null,
  done: Done,
): void {
  const { node, record } = replica;
  const { current } = record.generation;
  if (current === null || order.intentLogs === 'none') {
    done(
      new Refused('no-baseline', `${node} ${current === null ? 'has no data yet' : 'keeps no intent log'}`),
    );
    return;
  }
  const isOpen = replica.volumes.every(({ logs }) => logs.has(node));
  inSequence(
    [
      // 1. No write is under way that the log would not know of.
      (next) => (path === null ? next(null) : path.freeze(() => next(null))),
      // 2. Marks count from here.
      (next) => (isOpen ? next(null) : openLogs(replica, order, ports, node, next)),
      (next) => allOf(replica.volumes.map(clean), next),
      // 3. From now on the log is opened again with the replica.
      (next) => replica.update((before) => ({ ...before, baseline: current }), next),
    ],
    (error) => {
      path?.thaw();
      done(error);
    },
  );
  function clean({ logs }: Volume): Step {
    return (next) => {
      const log = logs.get(node);
      if (log === undefined) next(new Refused('no-baseline', 'its log is not open'));
      else log.clearAll(next);
    };
  }
}

/**
 * The log for a new peer says what has changed since the baseline. `hasCopy`: this replica itself is the copy: nothing
 * has. In one go: what is written meanwhile is marked in both logs. Null: there is no baseline; everything may differ.
 */
export function seedLogs(
  replica: Replica,
  peer: Parameters<typeof openLogs>[3],
  hasCopy: boolean,
): Generation | null {
  const { baseline, generation } = replica.record;
  const from = hasCopy ? generation.current : baseline;
  if (from === null) return null;
  for (const { logs, regionCount } of replica.volumes) {
    const log = logs.get(peer);
    const changed = logs.get(replica.node);
    if (log === undefined || (!hasCopy && changed === undefined)) return null;
    for (let first = 0; first < regionCount; ) {
      const marked = hasCopy ? -1 : (changed?.nextMarked(first) ?? -1);
      const end = marked < 0 ? regionCount : marked;
      if (end > first) log.clear(first, end - 1);
      first = end + 1;
    }
  }
  return from;
}
