import { event } from '../events.ts';
import type { NodeName } from '../vocabulary.ts';
import type { Outcome } from './outcome.ts';

export const superseded: Outcome<'superseded'> = ({ resource, facts }) => {
  const mine = facts.serving;
  if (!mine) return [];
  const others = resource.reigns.filter(({ node }) => node !== mine.node).map((reign) => ({ ...reign }));
  return [event('takeover.conflicted', resource.tag, { reigns: [{ ...mine }, ...others] })];
};

/** Both wrote: a split brain. At most one wrote: that one goes on; none: the better priority. */
export const settleConflict: Outcome<'settle-conflict'> = ({ resource, command, facts }) => {
  const wrote = resource.reigns.filter(({ node }) => command.wrote.includes(node));
  if (wrote.length > 1 || !command.related) {
    return [
      event('split-brain.detected', resource.tag, { reigns: resource.reigns.map((reign) => ({ ...reign })) }),
    ];
  }
  const priorityOf = ({ node }: { node: NodeName }) => resource.replicas[node]?.priority ?? 0;
  const byPriority = [...resource.reigns].sort((a, b) => priorityOf(a) - priorityOf(b));
  const survivor = wrote[0] ?? byPriority[0];
  const loser = resource.reigns.find(({ node }) => node === facts.self && node !== survivor?.node);
  // Each loser takes itself out of service: nobody ends another's reign.
  return loser
    ? [
        event('resource.left-service', resource.tag, {
          node: loser.node,
          epoch: loser.epoch,
          why: 'conflict-settled',
          handedTo: survivor ? { ...survivor } : null,
        }),
      ]
    : [];
};
