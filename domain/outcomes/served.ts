import { event, type Loss } from '../events.ts';
import { settingOf } from '../settings.ts';
import { type ClusterState, modeOf, type ResourceState, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import type { Outcome } from './outcome.ts';
import { failedCommand } from './outcome.ts';

export const served: Outcome<'served'> = ({ state, resource, command }) => {
  const { entering } = resource;
  if (!entering || entering.epoch !== command.epoch) return [];
  const { device, epoch } = command;
  const node = sourceOf(resource) ?? resource.lastOwner?.node;
  if (node === undefined) return [];
  const end = entering.command;
  const { from } = entering;
  return [
    ...(entering.why === 'switchover' && from !== null
      ? [event('switchover.completed', resource.tag, { from, to: node, epoch, device }, end)]
      : []),
    ...(entering.why === 'failover' && from !== null
      ? [
          event(
            'failover.completed',
            resource.tag,
            { lost: from, node, epoch, device, loss: asyncLoss(state, resource, from, node) },
            end,
          ),
        ]
      : []),
    ...(end === null
      ? []
      : [
          event(
            'command.completed',
            resource.tag,
            { commandId: end, digest: state.commands[end]?.digest ?? '', device },
            end,
          ),
        ]),
  ];
};

/** FAULTS 2: an asynchronous mirror may miss what was queued; it says so, with the bound. */
export function asyncLoss(
  state: ClusterState,
  resource: ResourceState,
  lost: NodeName,
  node: NodeName,
): Loss | null {
  if (modeOf(resource, lost, node) !== 'async') return null;
  const limit =
    settingOf(state.settings, { tag: resource.tag, node: lost, peer: node }, 'async-limit') ?? 256;
  return { text: `unknown, at most ${limit} writes`, writes: limit, bytes: null, since: null };
}

/** What was handed over to it goes back to whoever handed it over, with its word that it has not started (rule 6). */
export const serveFailed: Outcome<'serve-failed'> = ({ state, resource, command, facts }) => {
  const { entering } = resource;
  const { self } = facts;
  const follows = entering?.after != null && entering.after.node !== self;
  const handedTo = follows && entering.why === 'switchover' ? { node: self, epoch: command.epoch } : null;
  const left = event('resource.left-service', resource.tag, {
    node: self,
    epoch: command.epoch,
    why: follows ? 'never-served' : 'local-failure',
    handedTo,
  });
  if (!entering) return [left];
  const plan =
    entering.why === 'switchover' && entering.from !== null
      ? [
          event(
            'switchover.failed',
            resource.tag,
            { from: entering.from, to: self, epoch: command.epoch, step: 6, why: command.why },
            entering.command,
          ),
        ]
      : [];
  return [...plan, ...failedCommand(state, entering.command, resource, command.why), left];
};
