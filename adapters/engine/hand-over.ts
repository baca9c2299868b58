import { receiveHandOver } from '../../domain/generation-state.ts';
import type { Epoch, NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { IncomingMessage } from '../link/link.ts';
import { HandOverPayload, messageType } from '../link/protocol.ts';
import { sendLogs } from './bitmaps.ts';
import { readJson, send, sendJson } from './messages.ts';
import type { Node } from './node.ts';
import type { Peer } from './peer.ts';
import { Refused } from './refusal.ts';
import { inSequence } from './sequence.ts';

/**
 * Rule 6, steps 2 to 4, both sides.
 *
 * Old source: 1. freeze, flush, drain, so that both have everything; 2. its logs for every third replica go to the
 * new one, with what it knows about them; 3. when they are durable there: "handed to B, epoch n" is durable here;
 * 4. it leaves service. A failure before 3 thaws it; after 3 it does not serve until it is told to take back.
 *
 * New source: merges the logs into its own, durably, then takes over what the old one knows (I7: so its own log
 * covers what the third replicas lack), then says that it is ready. It serves when its agent says so.
 */
export class HandOver {
  readonly #node: Node;
  #attempt = 0;
  /** The old source waits for the new one. */
  #waiting: { readonly peer: Peer; readonly done: Done } | null = null;
  constructor(node: Node) {
    this.#node = node;
  }

  start(to: NodeName, epoch: Epoch, done: Done): void {
    const { source, peers, replica } = this.#node;
    const peer = peers.get(to);
    const mirror = source?.mirrors.get(to);
    if (source === null || peer === undefined || mirror === undefined) {
      done(
        new Refused(
          source === null ? 'not-source' : 'unknown-peer',
          `${replica.node} cannot hand over to ${to}`,
        ),
      );
      return;
    }
    if (mirror.state.phase !== 'in-sync' || this.#waiting !== null) {
      done(new Refused('target-out-of-sync', `${to} is ${mirror.state.phase}`));
      return;
    }
    if (epoch <= source.epoch) {
      done(new Refused('stale-epoch', `this reign has epoch ${source.epoch}`));
      return;
    }
    inSequence(
      [
        // 1
        (next) => source.drain(next),
        // 2
        (next) => this.#send(peer, epoch, next),
        // 3
        (next) =>
          replica.observe(
            { type: 'handed-over', to, epoch },
            (record) => ({ ...record, role: 'none', crashedSource: false, handedTo: { node: to, epoch } }),
            next,
          ),
        // 4
        (next) => this.#node.endReign(next),
      ],
      (error) => {
        if (error !== null && this.#node.source === source) source.resume();
        done(error);
      },
    );
  }

  received(peer: Peer, message: IncomingMessage): boolean {
    switch (message.type) {
      case messageType['hand-over']:
        return this.#take(peer, message);
      default:
        if (this.#waiting?.peer === peer && message.number === this.#attempt) this.#end(null);
        return true;
    }
  }

  sessionEnded(peer: Peer): void {
    if (this.#waiting?.peer === peer) {
      this.#end(new Refused('target-unreachable', `the session with ${peer.node} ended`));
    }
  }

  #send(peer: Peer, epoch: Epoch, done: Done): void {
    const { replica, peers } = this.#node;
    this.#attempt += 1;
    const others = [...peers.keys()].filter((node) => node !== peer.node);
    sendLogs(peer.link, replica, replica.record.epoch, this.#attempt, others);
    this.#waiting = { peer, done };
    const { inSync, generation } = replica.record;
    const content: HandOverPayload = { epoch, finish: { inSync, generation, logs: others } };
    if (!peer.link.established) this.#end(new Refused('target-unreachable', `${peer.node} is away`));
    else sendJson(peer.link, 'hand-over', replica.record.epoch, this.#attempt, content);
  }

  #end(error: Error | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.done(error);
  }

  #take(peer: Peer, message: IncomingMessage): boolean {
    const content = readJson(message, HandOverPayload);
    const { replica, target } = this.#node;
    if (content === null || target.source !== peer.node) return false;
    const attempt = message.number;
    const source = { node: peer.node, generation: content.finish.generation };
    inSequence(
      [
        (next) => peer.logs.merge(replica, content.finish.logs, next),
        (next) => replica.update((record) => receiveHandOver(record, source, content.finish.logs), next),
      ],
      (error) => {
        if (error === null) send(peer.link, 'hand-over-ready', replica.record.epoch, { number: attempt });
      },
    );
    return true;
  }
}
