import type { CommandOf } from '../commands.ts';
import { event, type Reign } from '../events.ts';
import { type ResourceState, reigns } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import type { Outcome } from './outcome.ts';

export const superseded: Outcome<'superseded'> = ({ resource, facts }) => {
  const mine = facts.serving;
  if (!mine) return [];
  const others = resource.reigns.filter(({ node }) => node !== mine.node).map((reign) => ({ ...reign }));
  return [event('takeover.conflicted', resource.tag, { reigns: [{ ...mine }, ...others] })];
};

/** At most one wrote: that one goes on; none: the better priority. */
function survivorOf(resource: ResourceState, wrote: readonly NodeName[]): Reign | undefined {
  const priorityOf = ({ node }: Reign) => resource.replicas[node]?.priority ?? 0;
  const byPriority = [...resource.reigns].sort((a, b) => priorityOf(a) - priorityOf(b));
  return byPriority.find(({ node }) => wrote.includes(node)) ?? byPriority[0];
}

/** Both wrote, or they have no common past. */
export function isSplit(resource: ResourceState, { wrote, related }: CommandOf<'settle-conflict'>): boolean {
  return !related || resource.reigns.filter(({ node }) => wrote.includes(node)).length > 1;
}

/** Whether this node is one of those that give way. */
export const givesWay = (resource: ResourceState, wrote: readonly NodeName[], self: NodeName): boolean =>
  reigns(resource, self) && survivorOf(resource, wrote)?.node !== self;

/** Each loser takes itself out of service: nobody ends another's reign. */
export const settleConflict: Outcome<'settle-conflict'> = ({ resource, command, facts }) => {
  const sides = { reigns: resource.reigns.map((reign) => ({ ...reign })) };
  const conflicted = resource.conflictJournaled ? [] : [event('takeover.conflicted', resource.tag, sides)];
  if (isSplit(resource, command)) return [...conflicted, event('split-brain.detected', resource.tag, sides)];
  const own = resource.reigns.find(({ node }) => node === facts.self);
  const survivor = survivorOf(resource, command.wrote);
  if (!own || !survivor || !givesWay(resource, command.wrote, facts.self)) return [];
  const { node, epoch } = own;
  return [
    ...conflicted,
    event('resource.left-service', resource.tag, {
      node,
      epoch,
      why: 'conflict-settled',
      handedTo: { ...survivor },
    }),
  ];
};
