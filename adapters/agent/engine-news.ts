import { observationId } from '../../domain/commands.ts';
import { type ReplicaState, reigns } from '../../domain/state.ts';
import { type NodeName, regionSize, type Tag } from '../../domain/vocabulary.ts';
import type { Notice, NumberedObservation } from '../engine/control-protocol.ts';
import { ask } from './asking.ts';
import { type AgentContext, isDurable, type SubmitResult, silenceMs } from './context.ts';
import { fromNotice, fromObservation, fromStatus, type Observed } from './engine-observations.ts';
import type { ToldObservation } from './ports.ts';

/** What the engines of this node tell, and what follows: it is journaled, and where a peer has to be asked, it is asked. */
export class EngineNews {
  readonly #context: AgentContext;
  readonly #comparing = new Map<Tag, Promise<void>>();
  /** `TAG NODE` of targets that are being asked to record themselves out of sync. */
  readonly #asking = new Set<string>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** True once it is journaled, and may be acknowledged; a repeated one is told by its number. */
  async observed(tag: Tag, observation: ToldObservation): Promise<boolean> {
    const { engines, options, log } = this.#context;
    if (observation.type === 'unknown') {
      // Of an engine that is newer than this agent; it would stand in the way of all that come after it.
      log.warn({ tag, observation }, 'an observation of an unknown type is not journaled');
      return true;
    }
    const status = await engines.status(tag).catch(() => null);
    const resource = this.#context.state().resources[tag];
    if (isJournaled(observation, resource?.replicas[options.node]?.observed)) return true;
    // The history of a damaged journal may not have the resource yet.
    if (!resource) return !this.#context.isDamaged();
    const volumes = resource.replicas[options.node]?.volumes ?? [];
    const regions = volumes.reduce((sum, { byteSize }) => sum + Math.ceil(byteSize / regionSize), 0);
    const observed = fromObservation(observation, resource, options.node, regions, status);
    if (!observed) return true;
    return isDurable(await this.#submit(tag, observed, observationId(tag, observation)));
  }

  noticed(tag: Tag, notice: Notice): void {
    const resource = this.#context.state().resources[tag];
    if (!resource) return;
    if (notice.notice === 'stalled') {
      void this.#askToRecord(tag, notice.peer);
      return;
    }
    const observed = fromNotice(notice, resource, this.#context.options.node);
    if (observed) void this.#submit(tag, observed);
    if (notice.notice === 'connected') void this.compare(tag);
  }

  /** Asks the engine how it is: what it heard on its links is a sign of life, and what differs is journaled. */
  compare(tag: Tag): Promise<void> {
    const running = this.#comparing.get(tag) ?? this.#compare(tag).finally(() => this.#comparing.delete(tag));
    this.#comparing.set(tag, running);
    return running;
  }

  async #compare(tag: Tag): Promise<void> {
    const { engines, clock, liveness, options } = this.#context;
    const status = await engines.status(tag).catch(() => null);
    const resource = this.#context.state().resources[tag];
    if (!status || !resource) return;
    const nowMs = clock.nowMs();
    for (const { peer, heardMsAgo } of status.peers)
      if (heardMsAgo !== null) liveness.heard(peer, nowMs, heardMsAgo);
    for (const observed of fromStatus(status, resource, options.node)) await this.#submit(tag, observed);
  }

  #submit(tag: Tag, { command, body }: Observed, id?: string): Promise<SubmitResult> {
    return this.#context.submit(command, { tag, ...body }, 'engine', id);
  }

  /**
   * Writes of the application wait for a target that is silent or does not answer them. Said with each heartbeat for
   * as long as it is so: an order or a question may be lost, and the application must not wait for ever.
   */
  releaseWaiting(tag: Tag, silent: ReadonlySet<NodeName>): void {
    const { engines, options } = this.#context;
    const resource = this.#context.state().resources[tag];
    if (!resource || !reigns(resource, options.node)) return;
    for (const { peer, connected, waitingMs } of engines.lastStatus(tag)?.peers ?? []) {
      if (connected || waitingMs === 0) continue;
      if (silent.has(peer)) void this.giveUp(tag, peer);
      else void this.#askToRecord(tag, peer);
    }
  }

  /** The peer is lost (REQUIREMENTS 1): the engine goes on without it. */
  async giveUp(tag: Tag, peer: NodeName): Promise<void> {
    await this.#context.engines.order(tag, { order: 'peer-lost', peer }).catch((error: unknown) => {
      this.#context.log.warn(
        { tag, peer, error: String(error) },
        'the engine was not told that a peer is lost',
      );
    });
  }

  /** The link to the target is down or it answers no write: it is asked over the bus (REQUIREMENTS 2.3). */
  async #askToRecord(tag: Tag, peer: NodeName): Promise<void> {
    const { engines, options, log } = this.#context;
    const reign = this.#context.state().resources[tag]?.reigns.find(({ node }) => node === options.node);
    const key = `${tag} ${peer}`;
    if (!reign || this.#asking.has(key)) return;
    this.#asking.add(key);
    try {
      const question = { question: 'record-out-of-sync', tag, epoch: reign.epoch };
      const answer = await ask(this.#context, peer, question, silenceMs(options));
      if (answer['recorded'] === true) await engines.order(tag, { order: 'peer-recorded-out-of-sync', peer });
    } catch (error) {
      log.warn(
        { tag, peer, error: String(error) },
        'the target could not be asked to record itself out of sync',
      );
    } finally {
      this.#asking.delete(key);
    }
  }
}

/** Journaled, and not acknowledged before the agent ended. A replica that an older backup replaced counts anew, later. */
function isJournaled(
  { observation, at }: NumberedObservation,
  last: ReplicaState['observed'] | undefined,
): boolean {
  if (!last || observation > last.number) return false;
  return observation === last.number ? at === last.at : at <= last.at;
}
