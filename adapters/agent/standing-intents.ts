import { type Intent, standing } from '../../domain/react.ts';
import type { ClusterState, ResourceState } from '../../domain/state.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';

/** An intent, and the text that tells it from others. */
export interface KeyedIntent {
  readonly key: string;
  readonly intent: Intent;
}

interface Kept extends Pick<ClusterState, 'nodes' | 'settings'> {
  readonly resource: ResourceState | undefined;
  readonly intents: readonly KeyedIntent[];
}

/**
 * What the state asks of this node, resource by resource. Each heartbeat looks at all of them, and next to none has
 * changed since: what the intents follow from is the same object then.
 */
export class StandingIntents {
  readonly #node: NodeName;
  readonly #kept = new Map<Tag, Kept>();

  constructor(node: NodeName) {
    this.#node = node;
  }

  of(state: ClusterState, tag: Tag): readonly KeyedIntent[] {
    const { nodes, settings } = state;
    const resource = state.resources[tag];
    const kept = this.#kept.get(tag);
    if (kept?.resource === resource && kept?.nodes === nodes && kept.settings === settings)
      return kept.intents;
    const intents = standing(state, resource, this.#node).map((intent) => ({
      key: JSON.stringify(intent),
      intent,
    }));
    this.#kept.set(tag, { resource, nodes, settings, intents });
    return intents;
  }
}
