import type { EventType } from '../events.ts';
import { type Scope, scopeKey } from '../settings.ts';
import { type ClusterState, type ResourceState, sourceOf } from '../state.ts';
import type { NodeName } from '../vocabulary.ts';
import { setCommand } from './commands.ts';
import { created } from './newborn.ts';
import { endTransitions, type NodeRecipe, type Of, setPhase } from './recipe.ts';

export const clusterRecipes: { [T in EventType]?: NodeRecipe<T> } = {
  'resource.created': (state, event) => {
    const tag = event.resource;
    if (tag === null) return;
    const before = state.resources[tag];
    if (before && before.phase !== 'deleted') {
      before.rivals.push(created(event));
      setPhase(before, 'conflicted', event.id);
      return;
    }
    state.resources[tag] = created(event);
  },
  'node.joined': (state, { id, data }) => setAlive(state, data.node, true, id),
  'node.lost': (state, { id, data }) => {
    setAlive(state, data.node, false, id);
    for (const resource of Object.values(state.resources)) disconnectNode(resource, data.node);
  },
  'node.returned': (state, { id, data }) => {
    setAlive(state, data.node, true, id);
    if (data.restarted) return;
    for (const resource of Object.values(state.resources)) sourceHeardAgain(resource, data.node, id);
  },
  'node.key-added': (state, { data }) => {
    const node = state.nodes[data.node];
    if (node && !node.keys.includes(data.publicKey)) node.keys.push(data.publicKey);
  },
  'node.key-revoked': (state, { data }) => {
    const node = state.nodes[data.node];
    if (node) node.keys = node.keys.filter((key) => key !== data.publicKey);
  },
  'node.settings-changed': (state, { data }) =>
    setSetting(state, { node: data.node, peer: data.peer ?? undefined }, data),
  'resource.settings-changed': (state, { resource, data }) => {
    const scope = { tag: resource ?? undefined, node: data.node ?? undefined, peer: data.peer ?? undefined };
    setSetting(state, scope, data);
  },
  'journal.damaged': (state, { id, data }) => setDamaged(state, data.node, true, id),
  'journal.repaired': (state, { id, data }) => setDamaged(state, data.node, false, id),
  'command.completed': (state, event) => endCommand(state, event, 'completed'),
  'command.failed': (state, event) => endCommand(state, event, 'failed'),
  'command.refused': (state, event) => endCommand(state, event, 'refused'),
};

/** A source that only could not be heard serves still: nobody needs to take over any more. */
export function sourceHeardAgain(resource: ResourceState, node: NodeName, because: string): void {
  if (
    sourceOf(resource) !== node ||
    (resource.phase !== 'awaiting-confirmation' && resource.phase !== 'blocked')
  )
    return;
  endTransitions(resource);
  setPhase(resource, 'in-service', because);
}

export function disconnectNode(resource: ResourceState, node: NodeName): void {
  for (const mirror of Object.values(resource.mirrors)) {
    if (mirror.source !== node && mirror.target !== node) continue;
    mirror.connected = false;
    mirror.congested = false;
  }
}

export function setAlive(state: ClusterState, node: NodeName, alive: boolean, because: string): void {
  const known = state.nodes[node];
  state.nodes[node] = { node, alive, because, damaged: known?.damaged ?? false, keys: known?.keys ?? [] };
}

export function setDamaged(state: ClusterState, node: NodeName, damaged: boolean, because: string): void {
  const known = state.nodes[node];
  state.nodes[node] = { node, alive: known?.alive ?? true, because, damaged, keys: known?.keys ?? [] };
}

export function setSetting(
  state: ClusterState,
  scope: Scope,
  { key, value }: { key: never | string; value?: unknown },
): void {
  state.settings[scopeKey(scope, key as never)] = value;
}

function known(state: ClusterState, tag: string | null): ResourceState[] {
  const resource = tag === null ? undefined : state.resources[tag];
  return resource ? [resource, ...resource.rivals] : [];
}

export function endCommand(
  state: ClusterState,
  event: Of<'command.completed'> | Of<'command.failed'> | Of<'command.refused'>,
  outcome: 'completed' | 'failed' | 'refused',
): void {
  // An id that was used for another command stays that one's.
  if (event.type === 'command.refused' && event.data.code === 'command-id-reused') return;
  for (const resource of known(state, event.resource)) delete resource.unsettled[event.data.commandId];
  setCommand(state, event.data.commandId, { digest: event.data.digest, outcome, tag: event.resource });
}
