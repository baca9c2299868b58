import type { Epoch, NodeName } from '../../domain/vocabulary.ts';
import type { Done } from '../block/block-device.ts';
import type { IncomingMessage } from '../link/link.ts';
import { messageType, PromisePayload } from '../link/protocol.ts';
import type { Clock, Timer } from './clock.ts';
import { readJson, send, sendJson } from './messages.ts';
import type { Node } from './node.ts';
import type { Peer } from './peer.ts';
import { Refused } from './refusal.ts';

export type PromiseAnswer = PromisePayload;
type Answered = (error: Error | null, answer: PromiseAnswer | null) => void;

interface Question {
  readonly answered: Answered;
  readonly timer: Timer;
}

/**
 * Promises of epochs (rule 7): whoever promised n to a candidate follows, takes and promises no other any epoch up
 * to n. Durable before the answer; the session of the source so far is over before it too.
 */
export class Promises {
  readonly #node: Node;
  readonly #clock: Clock;
  readonly #asked = new Map<string, Question>();

  constructor(node: Node, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  get highest(): Epoch {
    const { epoch, promised } = this.#node.replica.record;
    return Math.max(epoch, promised);
  }

  promise(epoch: Epoch, to: NodeName, done: Done): void {
    const refusal = this.#refusal(epoch, to);
    if (refusal !== null) {
      done(refusal);
      return;
    }
    const { replica, target, peers } = this.#node;
    const { promised, promisedTo } = replica.record;
    if (promised === epoch && promisedTo === to) {
      done(null);
      return;
    }
    const followed = target.source;
    replica.observe(
      { type: 'promised', to, epoch },
      (record) => (record.promised >= epoch ? record : { ...record, promised: epoch, promisedTo: to }),
      (error) => {
        if (error === null && followed !== null && followed !== to) peers.get(followed)?.link.drop();
        const kept = replica.record.promised === epoch && replica.record.promisedTo === to;
        done(error ?? (kept ? null : this.#stale(epoch)));
      },
    );
  }

  /** Asks the engine of a peer, over the link. */
  ask(peer: Peer, epoch: Epoch, answered: Answered): void {
    const key = keyOf(peer, epoch);
    if (!peer.link.established || this.#asked.has(key)) {
      answered(new Refused('target-unreachable', `${peer.node} cannot be asked now`), null);
      return;
    }
    const timer = this.#clock.after(this.#node.lostAfterMs, () => this.#answer(key, null));
    this.#asked.set(key, { answered, timer });
    send(peer.link, 'promise-request', this.#node.replica.record.epoch, { number: epoch });
  }

  received(peer: Peer, message: IncomingMessage): boolean {
    const epoch = message.number;
    if (message.type === messageType['promise-request']) {
      this.promise(epoch, peer.node, (error) => {
        const code = error === null ? null : error instanceof Refused ? error.code : 'device-failed';
        const answer: PromiseAnswer = { promised: error === null, highest: this.highest, code };
        sendJson(peer.link, 'promise', this.#node.replica.record.epoch, epoch, answer);
      });
      return true;
    }
    const answer = readJson(message, PromisePayload);
    if (answer !== null) this.#answer(keyOf(peer, epoch), answer);
    return answer !== null;
  }

  sessionEnded(peer: Peer): void {
    for (const key of this.#asked.keys()) if (key.startsWith(`${peer.node} `)) this.#answer(key, null);
  }

  #refusal(epoch: Epoch, to: NodeName): Refused | null {
    const { replica, source, target, peers, lostAfterMs } = this.#node;
    const { promised, promisedTo } = replica.record;
    if (source !== null) return new Refused('source-alive', `${replica.node} serves epoch ${source.epoch}`);
    if (promised === epoch && promisedTo === to) return null;
    if (epoch <= this.highest) return this.#stale(epoch);
    const heard = [...peers.values()].find(
      (peer) =>
        peer.node !== to &&
        (peer.node === target.source || peer.theirs?.role === 'source') &&
        (peer.heardMsAgo(this.#clock.nowMs()) ?? Number.POSITIVE_INFINITY) <= lostAfterMs,
    );
    if (heard === undefined) return null;
    return new Refused('source-alive', `${replica.node} has heard the source ${heard.node} in time`);
  }

  #stale(epoch: Epoch): Refused {
    const { node } = this.#node.replica;
    return new Refused('stale-epoch', `${node} knows of epoch ${this.highest}, ${epoch} is not above it`);
  }

  #answer(key: string, answer: PromiseAnswer | null): void {
    const question = this.#asked.get(key);
    if (question === undefined) return;
    this.#asked.delete(key);
    question.timer.cancel();
    if (answer === null) question.answered(new Refused('target-unreachable', 'there was no answer'), null);
    else question.answered(null, answer);
  }
}

const keyOf = (peer: Peer, epoch: Epoch) => `${peer.node} ${epoch}`;
