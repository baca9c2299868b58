import { type ClusterState, type ResourceState, replicaNodes } from '../../domain/state.ts';
import type { NodeName, Tag } from '../../domain/vocabulary.ts';
import type { Clock } from '../engine/clock.ts';

/** As long as a `create` or `extend` may take from its question for a port to its event, in milliseconds. */
const promisedForMs = 120_000;

/**
 * The ports FIRST-LAST of this node, one for each of its replicas. One that was named for a replica to be is not named
 * for another, until its event is there or the time is over: two commands at once get two ports.
 */
export class ReplicationPorts {
  readonly #range: { readonly first: number; readonly last: number };
  readonly #node: NodeName;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #promised = new Map<Tag, { readonly port: number; readonly atMs: number }>();

  constructor(node: NodeName, range: { first: number; last: number }, clock: Pick<Clock, 'nowMs'>) {
    this.#node = node;
    this.#range = range;
    this.#clock = clock;
  }

  /** The same one for the same tag; undefined where all are taken. */
  portFor(tag: Tag, state: ClusterState): number | undefined {
    this.#forgetOld();
    const taken = this.#taken(state);
    for (const [other, { port }] of this.#promised) if (other !== tag) taken.add(port);
    const known = this.#promised.get(tag)?.port;
    const port = known !== undefined && !taken.has(known) ? known : this.#firstFree(taken);
    if (port !== undefined) this.#promised.set(tag, { port, atMs: this.#clock.nowMs() });
    return port;
  }

  #firstFree(taken: ReadonlySet<number>): number | undefined {
    const { first, last } = this.#range;
    for (let port = first; port <= last; port += 1) if (!taken.has(port)) return port;
    return undefined;
  }

  #taken(state: ClusterState): Set<number> {
    const resources = Object.values(state.resources).flatMap((one) => [one, ...one.rivals]);
    return new Set(resources.flatMap((resource) => this.#portsOf(resource)));
  }

  #portsOf(resource: ResourceState): number[] {
    if (resource.phase === 'deleted' || !replicaNodes(resource).includes(this.#node)) return [];
    return [resource.replicas[this.#node]?.replication.port ?? 0];
  }

  #forgetOld(): void {
    const endMs = this.#clock.nowMs() - promisedForMs;
    for (const [tag, { atMs }] of this.#promised) if (atMs < endMs) this.#promised.delete(tag);
  }
}
